"""Telephone numbers in text: by their shape, by the words around them, and by the numbering plans of some regions.

Above: kinds. Below: phonenumbers (https://github.com/daviddrysdale/python-phonenumbers, Google's plans), where it is installed (extra `pii`)
and regions are named. A run of digits alone is no telephone number: it needs a country code, a plan's shape, or a word that says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

SIGN = r"\d[\d() ./-]{4,}\d"
_RUN = re.compile(
    r"(?<![\w@#$€£&=_])(?<!\d[.,:/])(?:\+ ?)?\(?\d[\d ().-]{4,24}\d(?:,? ?(?:x|ext\.?|extension) ?\d{1,6})?(?![\w%@])(?!-\d)"
)
_CUE = re.compile(
    r"(?i)(?:phone|tel(?:ephone|efon|éfono|\.)?|téléphone|call(?:ed|ing)?(?: me| us| him| her| them)?|fax|mobile|cell|dial|ring|whatsapp"
    r"|viber|sms|text(?:ed)? (?:me|us)|messages? (?:to|from)|answering at|reach(?:ed|able)?(?: me| us| him| her| them)?|handy|móvil|celular"
    r"|contact(?: number| no\.?| me| us)?|hotline|number is|my number|new number|rufnummer|numéro)(?: ?(?:number|no\b|nr\b|#))?\W{0,3}(?:at |on |is |under |to |an |:)?[\s\W]{0,4}$"
)
_CUE_AFTER = re.compile(r"(?i)^[\s,;(-]{0,3}(?:office|fax|mobile|cell|home|work|tel|phone|\(?(?:m|h|w|o|f)\)\s)")
_OTHER = re.compile(
    r"(?i)(?:zip|postal|postcode|card|account|acct|order|invoice|ticket|ref(?:erence)?|tracking|serial|version|isbn|issn|article|sku|case"
    r"|id|no\.|#|patent|build|lat|lon|coordinates?|population|iban|vat|siret|siren|policy|licen[cs]e|passport)(?: ?(?:number|code|no\.?|id))?"
    r"(?: (?:is|was))?\W{0,3}$"
)
_DATE = re.compile(
    r"^(?:19|20)\d\d(?:([-. ])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?:\D|$)| ?- ?(?:19|20)\d\d$)"
    r"|^(?:0?[1-9]|[12]\d|3[01])([-. ])(?:0?[1-9]|[12]\d|3[01])\2(?:19|20)\d\d(?:\D|$)"
)
_NORTH_AMERICA = re.compile(r"(?:1[ .-])?\(?[2-9]\d{2}\)?[ .-]?[2-9]\d{2}[ .-]\d{4}(?:\D.*)?")
_AREA_IN_PARENTHESES = re.compile(r"\(0?\d{1,4}\)[ .-]?\d{2,4}(?:[ .-]?\d{2,4}){1,3}")
_ABROAD = re.compile(r"00[1-9]\d{0,2}[ .-]|00[1-9]\d{8}")
_TRUNK = re.compile(r"0\d{1,4}(?:[ .-]\d{2,8}){1,4}")
_IN_PAIRS = re.compile(r"\d\d[ .-]\d\d[ .-]\d\d")
_EXTENSION = re.compile(r"(?i),? ?(?:x|ext\.?|extension) ?\d{1,6}$")

Plan = Callable[[str], bool]
"""Whether a number may exist."""


class Phones:
    """Made once. `regions`: ISO 3166 codes of countries whose national numbers are looked for by their plans, too."""

    __slots__ = ("_plan", "_regions")

    def __init__(self, regions: Sequence[str] = ()) -> None:
        self._regions = tuple(regions)
        self._plan = _by_plan(self._regions) if regions and find_spec("phonenumbers") is not None else None

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Where they stand."""
        for run in _RUN.finditer(text):
            start, end = run.span()
            while end - start >= 6:
                value = text[start:end]
                if self._is_one(value, text[max(0, start - 40) : start], text[end : end + 12]):
                    yield start, end
                    break
                shorter = value.find(" ")  # what stood before it, a house number say, may have joined the run
                if shorter < 0 or start - run.start() > 12:
                    break
                start += shorter + 1

    def _is_one(self, value: str, before: str, after: str) -> bool:
        number = _EXTENSION.sub("", value)
        count = sum("0" <= each <= "9" for each in number)
        if not 6 <= count <= 15 or value.count("(") != value.count(")") or _DATE.match(number):
            return False
        if _CUE.search(before) or _CUE_AFTER.match(after):
            return count > 6 or _IN_PAIRS.fullmatch(number) is not None
        if count == 6 or _OTHER.search(before):
            return False
        if number[0] == "+" or _ABROAD.match(number):
            return count >= 8 and (self._plan is None or self._plan(number if number[0] == "+" else "+" + number[2:]))
        if _NORTH_AMERICA.fullmatch(value):
            return True
        if _AREA_IN_PARENTHESES.fullmatch(number):
            return True
        if not _TRUNK.fullmatch(number) or not 9 <= count <= 11:
            return False
        return self._plan is None or self._plan(number)


def _by_plan(regions: Sequence[str]) -> Plan:
    """Google's numbering plans; those of `regions` are read at once, so that no call has to wait for them."""
    library: Any = import_module("phonenumbers")
    for region in regions:
        library.PhoneMetadata.metadata_for_region(region, None)

    def may_exist(number: str) -> bool:
        for region in ("ZZ",) if number[0] == "+" else regions:
            try:
                parsed = library.parse(number, None if region == "ZZ" else region)
            except library.NumberParseException:
                continue
            if library.is_possible_number(parsed) if region == "ZZ" else library.is_valid_number(parsed):
                return True
        return False

    return may_exist
