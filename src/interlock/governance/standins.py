"""Stand-ins that keep the form of what they stand for, for tools that check it: out of ranges that nobody owns, so each can be told from a real one.

| kind | looks like | range |
|---|---|---|
| email | `k3x…@….pii.invalid` | top-level domain `invalid` (RFC 2606) |
| ip | `2001:db8:…`, sixteen bytes | documentation prefix (RFC 3849) |
| card | two digits longer, check digit right | issuers from 99, which ISO/IEC 7812 leaves to national bodies |
| phone | `+999…` | country code 999, which the ITU keeps in reserve (E.164) |
| iban | two characters longer, check digits right | country XZ, for private use (ISO 3166) |

E-mail and IP addresses are sealed as tokens are, with a mark. Digits have no room for one: they are permuted by a Feistel network of ten rounds
(the construction of NIST SP 800-38G's FF1, with keyed BLAKE2b as its round function), so a number of such a range that we did not make turns into a
wrong one instead of being refused. What does not fit gets a token. Spaces and dashes are not kept.

Above: veil. Below: digits, tokens.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re

from .digits import compact, luhn
from .tokens import TenantKey, base32, unbase32

KINDS = ("email", "ip", "card", "phone", "iban")
ANY = re.compile(
    r"(?P<email>(?<![\w.-])[a-z2-7]{1,60}@(?:[a-z2-7]{1,60}\.){1,4}pii\.invalid(?![\w-]))"
    r"|(?P<ip>(?<![\w:])2001:db8(?::[0-9a-f]{4}){6}(?![\w:]))"
    r"|(?P<card>(?<!\d)99\d{12,19}(?!\d))"
    r"|(?P<phone>\+999\d{7,12}(?!\d))"
    r"|(?P<iban>(?<![A-Z0-9])XZ\d{2}[A-Z0-9]{13,32}(?![A-Z0-9]))"
)
"""A stand-in, by the name of its kind. Also what is looked for before a text is scanned: they are not taken for somebody's."""
SIGN = re.compile(r"pii\.invalid|2001:db8|99\d{12}|\+999\d|XZ\d\d")
LONGEST = 340
"""Characters."""
_ROUNDS = 10
_LABEL = 60
_DIGITS = "0123456789"
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def stand_in(key: TenantKey, kind: str, value: str) -> str | None:
    """Something of the same form; `None` where there is none for it."""
    match kind:
        case "email":
            return _mail(key, value)
        case "ip":
            return _address(key, value)
        case "card":
            plain = _digits(value)
            if not luhn(plain):
                return None
            made = "99" + _permuted(key, kind, plain[:-1], _DIGITS)
            return made + _check_digit(made)
        case "phone":
            plain = _digits(value)
            return "+999" + _permuted(key, kind, plain, _DIGITS) if 7 <= len(plain) <= 12 else None
        case "iban":
            plain = compact(value)
            if not 15 <= len(plain) <= 32 or not plain.isascii():
                return None
            body = _permuted(key, kind, plain[:2] + plain[4:], _LETTERS)
            return f"XZ{98 - _mod97('XZ00' + body):02}{body}"
        case _:
            return None


def original(key: TenantKey, kind: str, made: str) -> str | None:
    """What it stands for, in the plain way of writing; `None` where it cannot be one of ours."""
    match kind:
        case "email":
            sealed = unbase32(made.removesuffix(".pii.invalid").replace("@", "").replace(".", ""))
            raw = None if sealed is None else key.opened("email", sealed)
            return None if raw is None else raw.decode("utf-8", "replace")
        case "ip":
            raw = key.opened("ip", ipaddress.IPv6Address(made).packed[4:14])
            return None if raw is None or len(raw) != 4 else str(ipaddress.IPv4Address(raw))
        case "card":
            if not luhn(made):
                return None
            plain = _permuted(key, kind, made[2:-1], _DIGITS, back=True)
            return plain + _check_digit(plain)
        case "phone":
            return "+" + _permuted(key, kind, made[4:], _DIGITS, back=True)
        case "iban":
            if _mod97(made) != 1:
                return None
            plain = _permuted(key, kind, made[4:], _LETTERS, back=True)
            return (
                f"{plain[:2]}{98 - _mod97(plain[:2] + '00' + plain[2:]):02}{plain[2:]}" if plain[:2].isalpha() else None
            )
        case _:
            return None


def _mail(key: TenantKey, value: str) -> str | None:
    text = base32(key.sealed("email", value.encode("utf-8", "replace")))
    labels = [text[start : start + _LABEL] for start in range(0, len(text), _LABEL)]
    if len(labels) > 4:
        return None
    if len(labels) == 1:
        labels = [text[:-8], text[-8:]]
    return f"{labels[0]}@{'.'.join(labels[1:])}.pii.invalid"


def _address(key: TenantKey, value: str) -> str | None:
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:  # one of the sixth version is too long to be hidden in another
        return None
    return ipaddress.IPv6Address(b"\x20\x01\x0d\xb8" + key.sealed("ip", address.packed) + b"\0\0").exploded.replace(
        ":0db8:", ":db8:"
    )


def _permuted(key: TenantKey, kind: str, text: str, alphabet: str, *, back: bool = False) -> str:
    """Another text of the same length over the same alphabet, one to one; `back`: the text that it was made of."""
    radix, half = len(alphabet), len(text) // 2
    numbers = [alphabet.index(each) for each in text]
    left, right = _number(numbers[:half], radix), _number(numbers[half:], radix)
    sizes = (radix**half, radix ** (len(text) - half))
    for turn in range(_ROUNDS) if not back else reversed(range(_ROUNDS)):
        if turn % 2 == 0:
            left = (left + (-1 if back else 1) * _round(key, kind, turn, len(text), right)) % sizes[0]
        else:
            right = (right + (-1 if back else 1) * _round(key, kind, turn, len(text), left)) % sizes[1]
    return _text(left, half, alphabet) + _text(right, len(text) - half, alphabet)


def _round(key: TenantKey, kind: str, turn: int, length: int, number: int) -> int:
    said = b"%d|%d|%d" % (turn, length, number)
    return int.from_bytes(hashlib.blake2b(said, key=key.for_digits(kind), digest_size=32).digest(), "big")


def _number(digits: list[int], radix: int) -> int:
    total = 0
    for digit in digits:
        total = total * radix + digit
    return total


def _text(number: int, length: int, alphabet: str) -> str:
    made: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        made.append(alphabet[digit])
    return "".join(reversed(made))


def _digits(text: str) -> str:
    return "".join(each for each in text if "0" <= each <= "9")


def _check_digit(plain: str) -> str:
    return next(digit for digit in _DIGITS if luhn(plain + digit))


def _mod97(plain: str) -> int:
    return int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97
