"""Text as a pattern can read it: characters that only look different are made the same, invisible ones are left out.

Full-width and mathematical letters, digits of other scripts, letters of other scripts that look like Latin ones, odd spaces, dashes and dots
(Unicode TR 36 and 39 name the tricks). Above: scan, signals, moderation. Below: nothing. Plain ASCII costs one look at a flag.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_ZEROS = (
    0x660,
    0x6F0,
    0x966,
    0x9E6,
    0xA66,
    0xAE6,
    0xB66,
    0xBE6,
    0xC66,
    0xCE6,
    0xD66,
    0xE50,
    0xED0,
    0xF20,
    0x1040,
    0x17E0,
)
"""The zero of each script whose ten digits stand in order (Unicode's `Nd`)."""
_LOOKALIKES = {
    "a": "аɑα", "b": "ƅ", "c": "сϲⅽ", "d": "ԁⅾ", "e": "еҽ℮", "g": "ɡ", "h": "һ", "i": "іıⅰι", "j": "јϳ", "k": "κ", "l": "ⅼ",
    "m": "ⅿ", "n": "ո", "o": "оοօ", "p": "рρ", "q": "ԛ", "s": "ѕſ", "u": "υս", "v": "νѵⅴ", "w": "ѡԝ", "x": "хⅹ", "y": "уү",
    "A": "АΑ", "B": "ВΒ", "C": "СϹⅭ", "D": "Ⅾ", "E": "ЕΕ", "G": "Ԍ", "H": "НΗ", "I": "ІΙⅠİ", "J": "Ј", "K": "КΚ\u212a", "L": "Ⅼ",
    "M": "МΜⅯ", "N": "Ν", "O": "ОΟ", "P": "РΡ", "S": "Ѕ", "T": "ТΤ", "V": "Ⅴ", "X": "ХΧⅩ", "Y": "ҮΥ", "Z": "Ζ",
    "-": "‐‑‒–—―−⁃﹣", ".": "․。﹒｡", ",": "﹐", ":": "﹕∶", "@": "﹫", "/": "⁄∕",
    " ": "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
}  # fmt: skip
_INVISIBLE = (
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x180B, 0x180F),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xE0000, 0xE0080),
)


def _table() -> dict[int, str | None]:
    table: dict[int, str | None] = dict.fromkeys(_INVISIBLE)
    for code in (*range(0xFF01, 0xFF5F), *range(0x1D400, 0x1D800), *range(0x2460, 0x246A), *range(0x2070, 0x208A)):
        plain = unicodedata.normalize("NFKC", chr(code))
        if len(plain) == 1 and plain.isascii():
            table[code] = plain
    for zero in _ZEROS:
        table.update({zero + digit: str(digit) for digit in range(10)})
    table.update({0xB9: "1", 0xB2: "2", 0xB3: "3"})
    for plain, others in _LOOKALIKES.items():
        table.update({ord(other): plain for other in others})
    return table


_TABLE = _table()
_ANY = re.compile("[" + "".join(map(re.escape, map(chr, _TABLE))) + "]")
_ANY_LATIN = re.compile("[\u00a0\u00ad\u00b2\u00b3\u00b9]")
Places = Sequence[int] | None
"""For each place of the folded text, and its end, the place in the text as it came; `None` where they are the same."""


def folded(text: str) -> tuple[str, Places]:
    """The text for reading, and where each of its characters came from."""
    if text.isascii():
        return text, None
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        tricks = _ANY.search(text)
    else:
        tricks = _ANY_LATIN.search(text)
    if tricks is None:
        return text, None
    plain = text.translate(_TABLE)
    if len(plain) == len(text):
        return plain, None
    places = [place for place, each in enumerate(text) if _TABLE.get(ord(each), "") is not None]
    places.append(len(text))
    return plain, places


def span(places: Places, start: int, end: int) -> tuple[int, int]:
    """Where a stretch of the folded text stands in the text as it came; invisible characters inside it belong to it."""
    return (start, end) if places is None else (places[start], places[end - 1] + 1)
