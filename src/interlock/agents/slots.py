"""Typed values found in what people write: order ids spelt loosely, amounts, dates in words. Pure, and it never guesses.

Above: `flow`. Below: the contract's `Slot`. A text that holds two different values for one slot gives none: asking is cheaper than
refunding the wrong order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from difflib import SequenceMatcher
from typing import Any

from msgspec import Struct

from .contract import Slot

MAX_TEXT_CHARS = 4000
"""Longer texts are cut before any pattern sees them."""


class Found(Struct, frozen=True):
    """What the extractors made of a text."""

    values: dict[str, Any]
    missing: dict[str, str]
    """Required slots without a value, each with the reason."""


def extract(slots: Iterable[Slot], text: str, given: Mapping[str, Any], today: date) -> Found:
    """Values of `slots`: from the input field of the same name, else from the text."""
    values: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for slot in slots:
        source = given.get(slot.name)
        candidates = _values(slot, str(source) if source not in (None, "") else text, today)
        if len(candidates) == 1:
            values[slot.name] = candidates[0]
        elif slot.required:
            found = " and ".join(str(c) for c in candidates[:3])
            missing[slot.name] = f"ambiguous: {found}" if candidates else "not found in the text"
    return Found(values, missing)


def _values(slot: Slot, text: str, today: date) -> list[Any]:
    """Every different value of the slot that the text holds, in the order in which they stand."""
    text = text[:MAX_TEXT_CHARS]
    finders: dict[str, Callable[[], Iterable[Any]]] = {
        "order_id": lambda: order_ids(text, slot.pattern),
        "email": lambda: (m[0].rstrip(".").lower() for m in _EMAIL.finditer(text)),
        "amount": lambda: amounts(text),
        "date": lambda: (day.isoformat() for day in dates(text, today)),
        "integer": lambda: integers(text),
        "number": lambda: (number for number in (_number(m[0]) for m in _NUMBER.finditer(text)) if number is not None),
        "text": lambda: _texts(text, slot.pattern),
        "choice": lambda: choices(text, slot.choices),
        "product": lambda: products(text, slot.choices),
    }
    return list(dict.fromkeys(finders[slot.type]()))


# --- order ids -----------------------------------------------------------------------------------------------------

_LOOSE_ID = re.compile(
    r"(?<![A-Za-z0-9])([A-Za-z]{1,5})([\s\-_#./:]{0,3})([0-9OoIl](?:[\s\-]?[0-9OoIl]){2,11})(?![A-Za-z0-9])"
)
_PLAIN_ID = re.compile(r"(?<![A-Za-z0-9$€£.,])(?:[A-Z]{1,5}-?\d{4,12}|\d{5,12})(?![A-Za-z0-9])")
_SEPARATORS = ("-", "", "_", "#", "/", ".", " ")
_MISREAD = str.maketrans("OoIl", "0011")
_COMMON_WORDS = """
    a an and are as at be but by did do for from had has he i if in is it its me my no nr not of on or our out
    so than that the then they this to up us was we were with you your order id ref number num items item about
    around since after before only just
"""
_WORDS = frozenset(_COMMON_WORDS.split())
"""Words that stand before a number without being the letters of an id, and that tell no product from another."""


def order_ids(text: str, pattern: re.Pattern[str] | None) -> list[str]:
    """Ids as the pattern spells them, also where the text does not: `fh 10234`, `FH10234` and `fh-1O234` are `FH-10234`."""
    shape = pattern or _PLAIN_ID
    bounded = re.compile(rf"(?<![A-Za-z0-9])(?:{shape.pattern})(?![A-Za-z0-9])", shape.flags)
    exact = [_value_of(match) for match in bounded.finditer(text)]
    found = dict.fromkeys(exact)
    for letters, between, digits in _LOOSE_ID.findall(text):
        spaced = between.strip() == ""
        if spaced and letters.lower() in _WORDS and between:
            continue
        number = re.sub(r"[\s\-]", "", digits.translate(_MISREAD))
        for spelling in _spellings(letters, between, number):
            match = shape.fullmatch(spelling)
            if match:
                found[_value_of(match)] = None
                break
    return list(found)


def _value_of(match: re.Match[str]) -> str:
    """The group of a pattern that has one, else all that matched."""
    return match[1] if match.re.groups and match[1] else match[0]


def _spellings(letters: str, between: str, number: str) -> Iterable[str]:
    for prefix in (letters, letters.upper(), letters.lower()):
        for separator in (between, *_SEPARATORS):
            yield f"{prefix}{separator}{number}"
    yield number


# --- e-mail, numbers, amounts ----------------------------------------------------------------------------------------

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_LIKE_LATIN = str.maketrans("ſıİ", "siI")
"""Letters that a pattern without regard to case takes for these, as `frıday`, and that no table of words has."""
_NUMBER = re.compile(r"(?<![\w.,])-?\d{1,12}(?:[.,]\d{1,6})*(?![\w]|[.,]\d)")
_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_CURRENCY_WORDS = {
    "usd": "USD", "dollar": "USD", "dollars": "USD", "bucks": "USD", "eur": "EUR", "euro": "EUR", "euros": "EUR",
    "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "quid": "GBP", "cad": "CAD", "aud": "AUD", "chf": "CHF",
    "francs": "CHF", "jpy": "JPY", "yen": "JPY",
}  # fmt: skip
_AMOUNT = re.compile(
    r"(?P<sign>[$€£¥])\s?(?P<after>\d[\d.,]{0,14})"
    rf"|(?P<before>\d[\d.,]{{0,14}})\s?(?P<unit>[$€£¥]|(?:{'|'.join(_CURRENCY_WORDS)})\b)"
    rf"|\b(?P<code>usd|eur|gbp|cad|aud|chf|jpy)\s?(?P<coded>\d[\d.,]{{0,14}})",
    re.IGNORECASE,
)


def amounts(text: str) -> list[float]:
    """Amounts that stand with a currency, in its main unit: `$45`, `45,50 €`, `1,200 dollars`, `EUR 12`."""
    found: list[float] = []
    for match in _AMOUNT.finditer(text.translate(_LIKE_LATIN)):
        number = _number(match["after"] or match["before"] or match["coded"] or "")
        if number is not None:
            found.append(round(float(number), 2))
    return found


def currencies(text: str) -> list[str]:
    """ISO codes of the currencies that amounts stand with, in the same order as `amounts`."""
    text = text[:MAX_TEXT_CHARS].translate(_LIKE_LATIN)
    marks = [(m["sign"] or m["unit"] or m["code"] or "") for m in _AMOUNT.finditer(text)]
    return [_SIGNS.get(mark) or _CURRENCY_WORDS[mark.lower()] for mark in marks]


def integers(text: str) -> list[int]:
    """Whole numbers, in digits or as words up to twelve."""
    text = text.translate(_LIKE_LATIN)
    found = [(m.start(), int(m[0])) for m in re.finditer(r"(?<![\w.,])-?\d{1,12}(?![\w]|[.,]\d)", text)]
    words = re.finditer(rf"\b(?:{'|'.join(_UNITS)})\b", text, re.IGNORECASE)
    found += [(m.start(), _UNITS.index(m[0].lower())) for m in words]
    return [number for _, number in sorted(found)]


def _number(text: str) -> float | int | None:
    """A number in either notation: `1,234.56`, `1.234,56`, `45,5`. A lone group of three digits is thousands."""
    text = text.rstrip(".,")
    last = max(text.rfind("."), text.rfind(","))
    if last < 0:
        return int(text) if text.lstrip("-").isdigit() else None
    mark, decimals = text[last], text[last + 1 :]
    whole = re.sub(r"[.,]", "", text[:last])
    grouped = len(decimals) == 3 and (text.count(mark) > 1 or (mark == "," and "." not in text))
    plain = f"{whole}{decimals}" if grouped else f"{whole}.{decimals}"
    try:
        return int(plain) if grouped else float(plain)
    except ValueError:
        return None


# --- dates -----------------------------------------------------------------------------------------------------------

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_MONTH = r"(?P<{0}>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{{0,6}}\.?"
_WRITTEN = re.compile(
    r"\b(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})\b"
    r"|\b(?P<a>\d{1,2})(?P<sep>[/.])(?P<b>\d{1,2})(?P=sep)(?P<y2>\d{4}|\d{2})\b"
    rf"|\b(?P<d3>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH.format('m3')}(?:,?\s+(?P<y3>\d{{4}}))?\b"
    rf"|\b{_MONTH.format('m4')}\s+(?P<d4>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(?P<y4>\d{{4}})\b)?",
    re.IGNORECASE,
)
_RELATIVE = re.compile(
    r"\b(?:(?P<before>the day before yesterday)|(?P<after>the day after tomorrow)|(?P<word>today|tonight|yesterday|tomorrow)"
    rf"|(?P<n>\d{{1,3}}|an?|{'|'.join(_UNITS[1:])}|a couple of|a few)\s+(?P<unit>day|week|month)s?\s+ago"
    r"|in\s+(?P<n2>\d{1,3}|an?|" + "|".join(_UNITS[1:]) + r")\s+(?P<unit2>day|week|month)s?"
    r"|(?P<last>last|past)\s+(?P<lastunit>week|month)"
    rf"|(?:(?P<which>last|next|this|on)\s+)?(?P<day>{'|'.join(_DAYS)}))\b",
    re.IGNORECASE,
)
_UNIT_DAYS = {"day": 1, "week": 7, "month": 30}


def dates(text: str, today: date) -> list[date]:
    """Dates as written (`2026-11-20`, `20 Nov`, `11/20/2026`) or in words (`yesterday`, `two weeks ago`, `last Friday`).

    A date that could be read two ways (`03/04/2026`) gives none. Without a year it is the latest one that has begun.
    """
    text = text.translate(_LIKE_LATIN)
    found = [(m.start(), _written(m, today)) for m in _WRITTEN.finditer(text)]
    found += [(m.start(), _relative(m, today)) for m in _RELATIVE.finditer(text)]
    return [day for _, day in sorted(found, key=lambda pair: pair[0]) if day is not None]


def _written(match: re.Match[str], today: date) -> date | None:
    if match["y"]:
        return _day(int(match["y"]), int(match["m"]), int(match["d"]))
    if match["a"]:
        a, b, year = int(match["a"]), int(match["b"]), int(match["y2"])
        year += 2000 if year < 100 else 0
        readings = {_day(year, b, a)} if match["sep"] == "." else {_day(year, a, b), _day(year, b, a)}
        possible = readings - {None}
        return possible.pop() if len(possible) == 1 else None
    name, day, year = (
        (match["m3"], match["d3"], match["y3"]) if match["m3"] else (match["m4"], match["d4"], match["y4"])
    )
    month = _MONTHS.index(name[:3].lower()) + 1
    if year:
        return _day(int(year), month, int(day))
    this_year = _day(today.year, month, int(day))
    return (
        this_year
        if this_year is None or this_year <= today + timedelta(days=60)
        else _day(today.year - 1, month, int(day))
    )


def _relative(match: re.Match[str], today: date) -> date | None:
    if match["before"] or match["after"]:
        return today + timedelta(days=-2 if match["before"] else 2)
    if match["word"]:
        return today + timedelta(days={"yesterday": -1, "tomorrow": 1}.get(match["word"].lower(), 0))
    if match["n"]:
        return today - timedelta(days=_count(match["n"]) * _UNIT_DAYS[match["unit"].lower()])
    if match["n2"]:
        return today + timedelta(days=_count(match["n2"]) * _UNIT_DAYS[match["unit2"].lower()])
    if match["last"]:
        return today - timedelta(days=_UNIT_DAYS[match["lastunit"].lower()])
    weekday = _DAYS.index(match["day"].lower())
    if (match["which"] or "").lower() in ("next", "this"):
        return today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)
    return today - timedelta(days=(today.weekday() - weekday - 1) % 7 + 1)


def _count(word: str) -> int:
    word = word.lower()
    if word.isdigit():
        return int(word)
    return {"a": 1, "an": 1, "a couple of": 2, "a few": 3}.get(word) or _UNITS.index(word)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


# --- words -----------------------------------------------------------------------------------------------------------


def _texts(text: str, pattern: re.Pattern[str] | None) -> list[str]:
    if pattern is None:
        return [text.strip()] if text.strip() else []
    return [_value_of(m) for m in pattern.finditer(text)]


def choices(text: str, options: Iterable[str]) -> list[str]:
    """The options that the text names, as whole words in any case."""
    return [o for o in options if re.search(rf"(?<!\w){re.escape(o)}(?!\w)", text, re.IGNORECASE)]


def products(text: str, names: Iterable[str]) -> list[str]:
    """Products that the text names: whole, else all significant words of the name, else nearly (one typing error per word)."""
    whole = choices(text, names)
    if whole:
        return [n for n in whole if not any(n != other and n.lower() in other.lower() for other in whole)]
    words = set(_tokens(text))
    close = {name: _nearness(_tokens(name), words) for name in names}
    best = max(close.values(), default=0.0)
    return [name for name, share in close.items() if share == best and share >= 0.85]


def _tokens(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in _WORDS]


def _nearness(wanted: list[str], words: set[str]) -> float:
    """Mean over the wanted words of how well the nearest word of the text fits (0–1)."""
    if not wanted:
        return 0.0
    fits = [1.0 if w in words else max((_fit(w, word) for word in words), default=0.0) for w in wanted]
    return sum(fits) / len(fits)


def _fit(wanted: str, word: str) -> float:
    if abs(len(wanted) - len(word)) > 2 or wanted[:1] != word[:1]:
        return 0.0
    return SequenceMatcher(None, wanted, word, autojunk=False).ratio()
