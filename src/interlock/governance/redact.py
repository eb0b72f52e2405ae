"""Personal data and credentials taken out of text before it is stored (`store_prompts: redacted`).

A first form, by pattern and check digit: e-mail addresses, payment cards, IBANs, phone numbers, IP addresses, and the
credentials whose shape their issuers document. Names and addresses of people are *not* found by it.

Above: `app` hands it to the store. Below: nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CARD = re.compile(r"(?<![\w-])(?:\d[ -]?){12,18}\d(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_EMAIL = re.compile(r"\b[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b")
_SECRET = re.compile(
    r"\b(?:sk-[\w-]{16,}|AKIA[0-9A-Z]{16}|gh[pousr]_\w{30,}|xox[abprs]-[\w-]{10,}|AIza[\w-]{35}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,})"
)
_IP = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")
_PHONE = re.compile(
    r"(?<![\w-])(?<!\d[ -])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)[ .-]?|\d{2,4}[ .-])\d{3,4}[ .-]?\d{3,4}(?![\w-]|[ -]\d)"
)

# Most text holds nothing of this. The signs below say so for a hundredth of what the patterns above cost: text is mapped to
# classes of characters, in which a run of one class is found at the speed of memory. No pattern can match where its sign is absent.
_NUMERIC = b"0123456789 .()-"
_WORD = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"


def _classes(**members: bytes) -> bytes:
    """A table for `bytes.translate`: each member becomes the letter of its class, everything else a space."""
    table = bytearray(b" " * 256)
    for letter, characters in members.items():
        for character in characters:
            table[character] = ord(letter)
    return bytes(table)


_NUMERIC_RUNS = _classes(n=_NUMERIC)
_IBAN_RUNS = _classes(A=bytes(range(65, 91)), d=b"0123456789")
_WORD_RUNS = _classes(w=_WORD)
_SHORTEST_NUMBER = b"n" * 7
_NUMBER = re.compile(rb"[0-9][0-9 .()-]{5,}[0-9]")
_SHORTEST_SECRET = b"w" * 11


class _Signs(NamedTuple):
    """What a text may hold."""

    number: bool
    iban: bool
    secret: bool


def _signs(text: str) -> _Signs:
    if not text.isascii():
        return _Signs(number=True, iban=True, secret=True)
    plain = text.encode()
    return _Signs(
        number=_SHORTEST_NUMBER in plain.translate(_NUMERIC_RUNS) and _NUMBER.search(plain) is not None,
        iban=b"AAdd" in plain.translate(_IBAN_RUNS),
        secret=_SHORTEST_SECRET in plain.translate(_WORD_RUNS),
    )


def redact(text: str) -> str:
    """`text` with each find replaced by `[kind]`. Order ids and other plain numbers stay."""
    signs = _signs(text)
    if signs.iban:
        text = _IBAN.sub(lambda found: "[iban]" if _iban_holds(found[0]) else found[0], text)
    if signs.number:
        text = _CARD.sub(lambda found: "[card]" if _luhn_holds(found[0]) else found[0], text)
    if "@" in text:
        text = _EMAIL.sub("[email]", text)
    if signs.secret:
        text = _SECRET.sub("[secret]", text)
    if signs.number:
        text = _PHONE.sub("[phone]", _IP.sub("[ip]", text))
    return text


def _luhn_holds(text: str) -> bool:
    """The check digit of ISO/IEC 7812-1."""
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    total = sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and total % 10 == 0


def _iban_holds(text: str) -> bool:
    """The check digits of ISO 13616: rearranged, letters as numbers, the remainder by 97 is 1."""
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    rearranged = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in rearranged)) % 97 == 1
