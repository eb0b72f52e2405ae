"""Text inside of text: what an encoding or a way of writing hides from patterns. One layer, bounded.

Above: injection, moderation. Below: nothing.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
from collections.abc import Callable, Collection, Iterator
from functools import partial
from urllib.parse import unquote

MAX_CHARS = 8_000
"""Of what is taken out of one text."""
SIGNS = {
    "base64": r"[A-Za-z0-9+/_-]{24}",
    "hex": r"(?:(?:\\x|0x|%)?[0-9a-fA-F]{2}[ ,]?){16}",
    "html": r"&(?:#|lt;|amp;)",
    "percent": r"%[0-9a-fA-F]{2}[^%\n]{0,40}%[0-9a-fA-F]{2}",
    "escapes": r"\\[ux][0-9a-fA-F]{2}",
    "spaced": r"\b(?:\w[ ._*-]){5}\w\b",
    "leet": r"[a-zA-Z][013457@$!][a-zA-Z]",
    "turned": r"(?i)snoitcurtsni|tpmorp|erongi|vafgehpgvba|vtaber|flfgrz cebzcg",
}
"""What an encoding looks like (RE2); nothing is taken out without its sign."""
_BASE64 = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{24,}={0,2}")
_HEX = re.compile(r"(?<!\w)(?:(?:\\x|0x|%)?[0-9a-fA-F]{2}[ ,]?){16,}(?!\w)")
_SPACED = re.compile(r"(?<!\w)\w([ ._*-])\w(?:\1\w)+(?!\w)")
_LEET = str.maketrans("013457@$!", "oieastasi")
_TAGS = re.compile("[\U000e0020-\U000e007e]{4,}")
_ESCAPES = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")
_LETTERS = re.compile(r"[a-zA-Z]{3}")


def unwrapped(text: str, signs: Collection[str], raw: str = "") -> Iterator[str]:
    """What is inside `text` by the signs that it shows; `raw`: as it came, where invisible letters are to be read, too."""
    if raw and not raw.isascii() and (tags := "".join(_TAGS.findall(raw))):
        yield "".join(chr(ord(each) - 0xE0000) for each in tags)[:MAX_CHARS]
    if not signs:
        return
    if len(text) > 4 * MAX_CHARS:
        text = text[: 2 * MAX_CHARS] + text[-2 * MAX_CHARS :]
    if decoded := " ".join(_decoded(text, signs))[:MAX_CHARS]:
        yield decoded
    if "html" in signs:
        yield html.unescape(text)
    if "percent" in signs:
        yield unquote(text)
    if "escapes" in signs:
        yield _ESCAPES.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    if "spaced" in signs:
        yield " ".join(_SPACED.sub(lambda found: found[0].replace(found[1], ""), text).split())
    if "leet" in signs:
        yield text.translate(_LEET)
    if "turned" in signs:
        yield text[::-1]
        yield codecs.encode(text, "rot13")


def _decoded(text: str, signs: Collection[str]) -> Iterator[str]:
    for found in _BASE64.finditer(text) if "base64" in signs else ():
        body = found[0].rstrip("=")[: 4 * MAX_CHARS // 3].replace("-", "+").replace("_", "/")
        body = body[:-1] if len(body) % 4 == 1 else body
        yield from _readable(partial(base64.b64decode, body + "=" * (-len(body) % 4)))
    for found in _HEX.finditer(text) if "hex" in signs else ():
        digits = re.sub(r"\\x|0x|[^0-9a-fA-F]", "", found[0])[: 2 * MAX_CHARS]
        yield from _readable(partial(bytes.fromhex, digits[: len(digits) // 2 * 2]))


def _readable(decode: Callable[[], bytes]) -> Iterator[str]:
    """What came out of it, where that is mostly text."""
    try:
        raw = decode()
    except (ValueError, binascii.Error):
        return
    text = raw.decode("utf-8", "ignore")
    if len(text) >= 12 and sum(each.isprintable() for each in text) > 0.9 * len(raw) and _LETTERS.search(text):
        yield text
