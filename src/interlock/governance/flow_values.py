"""Values inside texts: found, typed, normalised. Above: flow_known, flow_words, flow. Below: nothing of ours."""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, cast

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(
    r"(?:https?://|www\.)(?:[^\s<>\"')\].]|\.(?!(?-i:[A-Z])))+|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|net|org|io|ly|co|info|dev|app)\b(?:/[^\s<>\"')\]]*)?",
    re.IGNORECASE,
)
ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}[A-Z0-9]{8,30}\b")
_LONG_NUMBER = re.compile(r"\b[A-Z]{0,4}\d[\d -]{4,}\d\b")
"""Numbers of cards, documents and phones."""
_NUMBER = re.compile(r"(?<![\w.-])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w%])|(?<![\w.-])\d+(?:\.\d+)?(?!\w|%|\.\d|-\d)")
_LONG = re.compile(r"\d[\d -]{4,}\d|[A-Z]{2}\d{2}[A-Z0-9]{8}")
"""What every account and every long number holds."""
_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]")
_MONTHS = {m: n for n, m in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}  # noqa: SIM905 - twelve words on a line
_DAY_MONTH = re.compile(
    r"(?:\b(\d{1,2})(?:st|nd|rd|th)?(?:\s+of)?\s+)?\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?(?:\s+(\d{1,2})(?:st|nd|rd|th)?\b)?",
    re.IGNORECASE,
)
_DAY = re.compile(rf"\d{{4}}-\d{{2}}-\d{{2}}|{_DAY_MONTH.pattern}", re.IGNORECASE)
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_ISO = re.compile(r"\d{4}-(\d{2})-(\d{2})")
_CLOCK = re.compile(r"\b(\d{1,2}):(\d{2})\b|\b(\d{1,2})\s*(am|pm)\b", re.IGNORECASE)
_ADDRESS = re.compile(
    r"\b\d+ (?:[A-Z][a-z]+ )+(?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Square|Place|Way)\b|\b[A-Z]{2} \d{5}\b"
)
_COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_SHARE = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d+)?)\s?%")
_COMPUTED = re.compile(r"%|(?<=\s)\+|\b(?:difference|half|minus|plus|remainder|remaining)\b")
_LENGTH = re.compile(r"\b(\d{1,3}|an?|one|two|three|four|five)[ -]?(hour|hr|minute|min)s?\b")
_FORMS = {
    "day": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "date": re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?"),
    "start": re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?"),
    "account": re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{8,30}"),
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
}


def well_formed(kind: str, value: Any) -> bool:
    """Whether the value has the form of its kind; kinds without one take words of ordinary length."""
    form = _FORMS.get(kind)
    if kind in ("date", "start", "day"):
        return form is not None and form.fullmatch(str(value)) is not None and _is_day(str(value))
    return form.fullmatch(str(value)) is not None if form else len(str(value)) <= 200


def _is_day(text: str) -> bool:
    try:
        return dt.datetime.fromisoformat(text).year >= 2000
    except ValueError:
        return False


def plain(value: Any) -> bool:
    """Whether what a reader sees is all there is: nothing hidden, no character that only looks like another form."""
    text = str(value)
    return text.isascii() or (_HIDDEN.search(text) is None and unicodedata.normalize("NFC", text) == text)


def normal(text: str) -> str:
    """Lower case, compatibility forms folded, without characters that cannot be seen."""
    if text.isascii():
        return text.lower()
    return _HIDDEN.sub("", unicodedata.normalize("NFKC", text)).lower()


def visible(text: str) -> str:
    """Without characters that cannot be seen."""
    return text if text.isascii() else _HIDDEN.sub("", text)


def canonical(kind: str, value: str) -> str:
    """The one form of a value of a kind. Letter case counts where it reaches somebody outside: it could carry something."""
    if kind == "url":
        return value.removeprefix("https://" if value.startswith("https://") else "http://")
    if kind in ("email", "account"):
        return value
    if kind == "amount":
        try:
            return f"{float(value.replace(',', '')):g}"
        except ValueError:
            return value
    return normal(value).strip()


def links(text: str) -> list[str]:
    """Everything in a text that reads as an address of the web. No address holds a blank, so only words with a dot inside are looked at."""
    rest = _EMAIL.sub(" ", text) if "@" in text else text
    likely = [word for word in rest.split() if word.find(".", 0, -1) >= 0 or "://" in word]
    return [each.rstrip(".,;:!?") for word in likely for each in _URL.findall(word)]


def own_links(record: Any, sender: str) -> list[str]:
    """A record's links. Where its sender is an address of mail, only those to that address's own domain: others are links to somebody else."""
    found = [link for leaf in each(record) for link in links(str(leaf))]
    domain = sender.rpartition("@")[2].lower() if _EMAIL.fullmatch(sender) else ""
    return [link for link in found if not domain or _host(link) == domain or _host(link).endswith(f".{domain}")]


def _host(link: str) -> str:
    return re.split(r"[/?#:]", re.sub(r"^https?://", "", link.lower()))[0]


def carried(text: str) -> Iterator[tuple[str, str]]:
    """Typed values inside a text: (kind, value)."""
    for address in _EMAIL.findall(text) if "@" in text else ():
        yield "email", address.rstrip(".")
    for link in links(text):
        yield "url", link
    if _LONG.search(text) is None:
        return
    for account in ACCOUNT.findall(text):
        yield "account", account
    for number in _LONG_NUMBER.findall(_ISO.sub(" ", ACCOUNT.sub(" ", text))):
        if sum(ch.isdigit() for ch in number) >= 6:
            yield "number", number


def amounts(text: str) -> list[str]:
    """Numbers that can be an amount: none that belong to a date, a time, a share or an identifier."""
    return _NUMBER.findall(_only_amounts(text))


def placed(kind: str, text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, canonical value) of every value of a kind: `email`, `url`, `account`, `amount`, `day` (`5-30`) or `clock` (`10-20`)."""
    if kind == "day":
        for found in _DAY.finditer(text):
            for month, day in dates(found[0]):
                yield found.start(), found.end(), f"{month}-{day}"
    elif kind == "clock":
        for found in _CLOCK.finditer(text):
            for hour, minute in clocks(found[0]):
                yield found.start(), found.end(), f"{hour}-{minute}"
    elif kind == "amount":
        for found in _NUMBER.finditer(_only_amounts(text)):
            yield found.start(), found.end(), canonical("amount", found[0])
    else:
        rest = _blank(_EMAIL, text) if kind == "url" else text
        for found in {"email": _EMAIL, "url": _URL, "account": ACCOUNT}[kind].finditer(rest):
            value = found[0].rstrip(".,;:!?") if kind == "url" else found[0].rstrip(".")
            yield found.start(), found.start() + len(value), canonical(kind, value)


def _only_amounts(text: str) -> str:
    """The text with blanks for what cannot be an amount: dates, times, addresses."""
    for pattern in (_ISO, _CLOCK, _EMAIL, _DAY_MONTH, _YEAR, _ADDRESS):
        text = _blank(pattern, text)
    return text


def _blank(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda found: " " * len(found[0]), text)


def number(text: str) -> float | None:
    """A text that is one number; none where it is anything else."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def shares(text: str) -> list[float]:
    """The shares that a text names, as parts of one: `19.5%`."""
    return [float(each) / 100 for each in _SHARE.findall(text)]


def is_computed(text: str) -> bool:
    """Whether a text's amounts are parts of a sum: `the difference`, `10% plus 5`."""
    return _COMPUTED.search(text.lower()) is not None


def dates(text: str) -> Iterator[tuple[int, int]]:
    """(month, day) of every date in a text, ranges such as `from the 13th to the 17th of May` included."""
    for month, day in _ISO.findall(text):
        yield int(month), int(day)
    for before, month, after in _DAY_MONTH.findall(text):
        for day in (before, after):
            if day:
                yield _MONTHS[normal(month)[:3]], int(day)


def clocks(text: str) -> Iterator[tuple[int, int]]:
    """(hour, minute) of every time of day in a text."""
    for hour, minute, half_hour, half in _CLOCK.findall(text):
        yield (int(hour), int(minute)) if hour else (int(half_hour) % 12 + 12 * (half.lower() == "pm"), 0)


def years(text: str) -> list[str]:
    """The years that a text names."""
    return _YEAR.findall(text)


def length_minutes(text: str) -> set[int]:
    """The lengths of time that a text names in hours or minutes, in minutes."""
    found = _LENGTH.findall(text.lower())
    return {(_COUNTS.get(count) or int(count)) * (60 if unit.startswith("h") else 1) for count, unit in found}


def minutes_between(start: str, end: str) -> int | None:
    """Minutes from one ISO time to another; none where one of them is no such time."""
    try:
        return round((dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(start)).total_seconds() / 60)
    except (ValueError, TypeError):
        return None


def days_between(first: str, second: str) -> int:
    """Days from one ISO date to another."""
    return (dt.date.fromisoformat(second[:10]) - dt.date.fromisoformat(first[:10])).days


def each(value: Any) -> list[Any]:
    """A value's own leaves: of lists and objects every one, however deep they nest."""
    if not isinstance(value, (list, tuple, dict)):
        return [value]
    found: list[Any] = []
    left: list[Any] = [value]
    while left:
        last = left.pop()
        if isinstance(last, (list, tuple)):
            left.extend(reversed(cast("Sequence[Any]", last)))
        elif isinstance(last, dict):
            left.extend(reversed([item for key, item in cast("dict[str, Any]", last).items() if key != "type"]))
        else:
            found.append(last)
    return found


def at(output: Any, path: Sequence[str]) -> list[Any]:
    """What stands at a path; `*` for every element or value. What has another shape than the path says holds nothing."""
    holders = [output]
    for key in path:
        holders = [found for holder in holders for found in (_all(holder) if key == "*" else _given(one(holder, key)))]
    return holders


def one(holder: Any, key: str) -> Any:
    """The value of a key; `*` for the keys of an object, or the value itself."""
    if key == "*":
        return (
            list(cast("dict[str, Any]", holder)) + list(cast("dict[str, Any]", holder).values())
            if isinstance(holder, dict)
            else holder
        )
    return cast("dict[str, Any]", holder).get(key) if isinstance(holder, dict) else None


def _given(value: Any) -> list[Any]:
    return [] if value is None else [value]


def _all(holder: Any) -> list[Any]:
    if isinstance(holder, dict):
        return list(cast("dict[str, Any]", holder).values())
    return list(cast("list[Any]", holder)) if isinstance(holder, list) else []
