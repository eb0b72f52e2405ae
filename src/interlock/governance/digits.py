"""Check digits of numbers that are somebody's: payment cards, bank accounts, national ids. Pure functions of the number as it was found.

Above: kinds. Below: nothing. Each names the rule it follows; a number with the wrong check digit is an ordinary number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_VERHOEFF = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
_VERHOEFF_TURNS = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
    "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
"""ISO 13616 registry (SWIFT), release 99."""
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_CF_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ),
        strict=True,
    )
)
_VIN_VALUES = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", (*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)), strict=True))
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def digits_of(text: str) -> list[int]:
    """The ASCII digits of a number, its separators left out."""
    return [ord(each) - 48 for each in text if "0" <= each <= "9"]


def compact(text: str) -> str:
    """Letters and digits alone, in capitals."""
    return "".join(each for each in text if each.isalnum()).upper()


def luhn(text: str) -> bool:
    """ISO/IEC 7812-1, annex B. All zeros do not count."""
    digits = digits_of(text)[::-1]
    total = sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return total % 10 == 0 and any(digits)


def iban(text: str) -> bool:
    """ISO 13616: the length of its country, and remainder 1 by 97."""
    plain = compact(text)
    return _IBAN_LENGTHS.get(plain[:2]) == len(plain) and _mod97(plain)


def _mod97(plain: str) -> bool:
    return int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1


def weighted(digits: Sequence[int], weights: Sequence[int]) -> int:
    """The sum of each digit times its weight."""
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def us_ssn(text: str) -> bool:
    """Social Security Administration: no area 000 or 666, no group 00, no serial 0000; areas from 900 on are taxpayer ids (ITIN)."""
    digits = "".join(map(str, digits_of(text)))
    if len(digits) != 9 or digits[3:5] == "00" or digits[5:] == "0000" or len(set(digits)) == 1:
        return False
    return digits[:3] not in ("000", "666") and digits not in ("123456789", "987654321", "078051120")


def uk_nino(text: str) -> bool:
    """HMRC NIM39110: prefixes that are never given."""
    plain = compact(text)
    return plain[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def uk_nhs(text: str) -> bool:
    """NHS Data Dictionary, NHS number: modulus 11 over nine digits."""
    digits = digits_of(text)
    if len(digits) != 10:
        return False
    check = 11 - weighted(digits[:9], range(10, 1, -1)) % 11
    return check % 11 == digits[9] and check != 10 and len(set(digits)) > 1


def de_tax(text: str) -> bool:
    """Steuer-IdNr: ISO 7064 MOD 11,10; among the first ten digits one stands twice or three times."""
    digits = digits_of(text)
    if len(digits) != 11 or digits[0] == 0 or not 8 <= len(set(digits[:10])) <= 9:
        return False
    product = 10
    for digit in digits[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == digits[10]


def fr_nir(text: str) -> bool:
    """Numéro de sécurité sociale: 97 less the remainder of the first thirteen digits; Corsica's 2A and 2B count as 19 and 18."""
    plain = compact(text).replace("2A", "19", 1).replace("2B", "18", 1)
    return len(plain) == 15 and plain.isdigit() and 97 - int(plain[:13]) % 97 == int(plain[13:])


def es_dni(text: str) -> bool:
    """DNI and NIE: the letter by the remainder by 23; X, Y and Z stand for 0, 1 and 2."""
    plain = compact(text)
    number = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return number.isdigit() and len(number) == 8 and _DNI_LETTERS[int(number) % 23] == plain[-1]


def it_cf(text: str) -> bool:
    """Codice fiscale (D.M. 23 December 1976): its last letter."""
    plain = compact(text)
    odd = sum(_CF_ODD[each] for each in plain[0:15:2])
    even = sum(int(each) if each.isdigit() else ord(each) - 65 for each in plain[1:15:2])
    return len(plain) == 16 and chr((odd + even) % 26 + 65) == plain[15]


def pl_pesel(text: str) -> bool:
    """PESEL: weights 1, 3, 7, 9; digits three to six are a month, with its century, and a day."""
    digits = digits_of(text)
    if (
        len(digits) != 11
        or not 1 <= (digits[2] * 10 + digits[3]) % 20 <= 12
        or not 1 <= digits[4] * 10 + digits[5] <= 31
    ):
        return False
    return (10 - weighted(digits[:10], (1, 3, 7, 9) * 3) % 10) % 10 == digits[10]


def nl_bsn(text: str) -> bool:
    """Burgerservicenummer: the eleven-test, the last digit counted as minus one."""
    digits = digits_of(text)
    return len(digits) == 9 and any(digits) and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def br_cpf(text: str) -> bool:
    """CPF: two digits by modulus 11."""
    digits = digits_of(text)
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    first = weighted(digits[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(digits[:10], range(11, 1, -1)) * 10 % 11 % 10
    return digits[9:] == [first, second]


def in_aadhaar(text: str) -> bool:
    """Aadhaar: twelve digits that begin with 2 to 9, the last one by Verhoeff's scheme (1969)."""
    digits = digits_of(text)
    if len(digits) != 12 or digits[0] < 2:
        return False
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_VERHOEFF[check][int(_VERHOEFF_TURNS[place % 8][digit])])
    return check == 0


def se_pn(text: str) -> bool:
    """Personnummer: a date of birth and Luhn over the last ten digits."""
    digits = digits_of(text)[-10:]
    month, day = digits[2] * 10 + digits[3], digits[4] * 10 + digits[5]
    return len(digits) == 10 and 1 <= month <= 12 and 1 <= day % 60 <= 31 and luhn("".join(map(str, digits)))


def ch_ahv(text: str) -> bool:
    """AHV/AVS number: 756 and twelve digits, checked like an EAN-13."""
    digits = digits_of(text)
    return len(digits) == 13 and digits[:3] == [7, 5, 6] and weighted(digits, (1, 3) * 7) % 10 == 0


def au_tfn(text: str) -> bool:
    """Australian tax file number: weights by the ATO, modulus 11."""
    digits = digits_of(text)
    return len(digits) == 9 and any(digits) and weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def us_aba(text: str) -> bool:
    """ABA routing number: weights 3, 7, 1; the first two digits are those of a Federal Reserve district."""
    digits = digits_of(text)
    if len(digits) != 9 or not any(digits):
        return False
    head = digits[0] * 10 + digits[1]
    return (head <= 12 or 21 <= head <= 32 or 61 <= head <= 72 or head == 80) and weighted(
        digits, (3, 7, 1) * 3
    ) % 10 == 0


def vin(text: str) -> bool:
    """Vehicle identification number: the check digit at place nine (49 CFR 565.15)."""
    plain = text.upper()
    values = [int(each) if each.isdigit() else _VIN_VALUES.get(each, 0) for each in plain]
    remainder = weighted(values, (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return plain[8] == ("X" if remainder == 10 else str(remainder)) and not plain.isalpha() and len(set(plain)) > 4


def wallet(text: str) -> bool:
    """An address of Ethereum or one in Bech32 by its shape, one in Base58Check by its sum."""
    if text.startswith(("0x", "bc1")):
        return True
    number = 0
    for each in text:
        number = number * 58 + _BASE58.index(each)
    if number >= 1 << 200:
        return False
    raw = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4] == raw[21:]
