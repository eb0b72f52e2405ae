"""Reasons why two similar texts must not share an answer, however close their vectors are.

Below: words, and the standard library. Above: semantic. Vectors blur exactly what these look at: numbers, units, dates, negations, names, who
does what to whom, and what is asked for. `differs` always holds; `wording` holds until a namespace has shown by compared answers
that other words mean the same there. A guard may refuse a good pair (a miss costs one call), it should not pass a bad one.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from msgspec import Struct

from .words import (
    DATE_WORDS,
    ENTITIES,
    FUNCTION_WORDS,
    NEGATIONS,
    NUMBER_WORDS,
    OPENINGS,
    OPPOSITES,
    OUTSIDE,
    SMALL_WORDS,
    TRAILING,
    UNITS,
    WHOSE,
    stem,
)

_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_CODE = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]+", re.IGNORECASE)
_ADDRESS = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.]+|https?://\S+|\bwww\.\S+|\[[a-z_]{2,20}:[a-z2-7]{11,}\]",  # the last: tokens of personal data
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“”«»]([^\"“”«»]+)[\"“”«»]")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_NAME = re.compile(r"\b[A-Z][\w'’-]*")
_SENTENCE_START = re.compile(r"(?:^|[.!?]\s+|[\"“(]\s*)[A-Z][\w'’-]*")
_SIGN = re.compile(r"[$€£¥₹%°]")
_GLUED_UNIT = re.compile(r"(?<=\d)\s?([a-z]{1,4})\b", re.IGNORECASE)
_MONTH_MAY = re.compile(
    r"\b(?:\d+(?:st|nd|rd|th)?\s+(?:of\s+)?may|may\s+\d+|in may|by may|until may|since may)\b", re.IGNORECASE
)
_QUANTITY = re.compile(r"\bhow\s+(much|many|long|old|far|often|big|tall|high|fast|soon|late)\b")
_ASKS = re.compile(r"\b(why|when|where|who|whom|whose)\b")
_READ = 4096
"""Texts whose parts are kept at hand; the neighbours of a question are read again and again."""
LONGEST = 4_000
"""Characters; longer texts share nothing, since what tells them apart may be one word in a page."""


class Reading(Struct, frozen=True):
    """What the guards see in one text."""

    words: tuple[str, ...]
    numbers: Counter[str]
    units: frozenset[str]
    dates: frozenset[str]
    addresses: frozenset[str]
    entities: frozenset[str]
    names: tuple[frozenset[str], ...]
    negated: bool
    asks: str
    """`why`, `when`, `where`, `who`, `how much`, …; empty for every other question and for statements."""
    opening: str
    """How the question begins, without its courtesies: `how`, `what`, `can`, `is`, …"""
    outside: bool
    """It speaks of something that does not stand in it: `this error`, `the one below`."""
    whose: frozenset[str]
    small: frozenset[str]
    """Prepositions, `should` and its like, `myself` and its like: they turn the sense without adding to it."""
    content: tuple[str, ...]
    """Stems of the words that carry meaning, in order."""


def differs(a: str, b: str) -> str | None:
    """Why the answer to one text must not serve the other, or None when nothing speaks against it."""
    if a == b:
        return None
    if max(len(a), len(b)) > LONGEST:
        return "too long to be compared word by word"
    left, right = reading(a), reading(b)
    if left.numbers != right.numbers:
        return "numbers, amounts or codes differ"
    if left.units != right.units:
        return "units or currencies differ"
    if left.dates != right.dates:
        return "dates or times differ"
    if left.addresses != right.addresses:
        return "addresses differ"
    if left.negated != right.negated:
        return "one is negated and the other is not"
    if left.entities != right.entities or not (_known(left.names, right) and _known(right.names, left)):
        return "names or quoted words differ"
    if left.asks and right.asks and left.asks != right.asks:
        return f"one asks {left.asks} and the other {right.asks}"
    if _reordered(left, right):
        return "the same words stand in another order"
    if _opposed(frozenset(left.words), frozenset(right.words)):
        return "one says the opposite"
    return None


def wording(a: str, b: str) -> str | None:
    """Why two texts cannot be trusted to mean the same by themselves: a word that carries meaning stands in one of them only."""
    left, right = reading(a), reading(b)
    if left.asks != right.asks:
        return f"one asks {left.asks or right.asks} and the other does not"
    if left.opening != right.opening:
        return f"one begins with {left.opening!r} and the other with {right.opening!r}"
    if left.outside or right.outside:
        return "what is spoken of does not stand in the text"
    if left.whose != right.whose:
        return "they speak of different persons"
    if left.small != right.small:
        return f"small words that only one has: {', '.join(sorted(left.small ^ right.small)[:4])}"
    counted, against = Counter(left.content), Counter(right.content)
    only = (counted - against) + (against - counted)
    if only:
        return f"words that only one has: {', '.join(sorted(only)[:4])}"
    return None


@lru_cache(maxsize=_READ)
def reading(text: str) -> Reading:
    """The parts of a text that decide whether it may share an answer."""
    lowered = text.lower().replace("’", "'")
    words = tuple(_WORD.findall(lowered))
    return Reading(
        words=words,
        numbers=_numbers(text, words),
        units=_units(lowered, words),
        dates=_dates(lowered, words),
        addresses=frozenset(_ADDRESS.findall(lowered)),
        entities=frozenset(ENTITIES[word] for word in map(_plain, words) if word in ENTITIES),
        names=tuple(
            frozenset(map(_plain, _WORD.findall(name.lower()))) for name in [*_names(text), *_QUOTED.findall(text)]
        ),
        negated=sum(word.replace("'", "") in NEGATIONS for word in words) % 2 == 1,
        asks=_asks(lowered),
        opening=_opening(words),
        outside=any(word in OUTSIDE for word in words),
        whose=frozenset(WHOSE[word] for word in words if word in WHOSE),
        small=frozenset(words) & SMALL_WORDS,
        content=_content(words),
    )


def _content(words: tuple[str, ...]) -> tuple[str, ...]:
    """Stems of the words that carry meaning; of the others, the one that ends the text counts (`made`, `made of`)."""
    plain = [_plain(word) for word in words]
    kept = [stem(word) for word in plain if word not in FUNCTION_WORDS]
    return (*kept, plain[-1]) if plain and plain[-1] in TRAILING else tuple(kept)


def _opening(words: tuple[str, ...]) -> str:
    """The first word that says what kind of question it is; `how do I` and `how can you` begin alike, `can I` does not."""
    for word in words:
        plain = _plain(word)
        if plain in OPENINGS:
            return OPENINGS[plain]
    return ""


def _plain(word: str) -> str:
    """A word without `'s`."""
    return word.split("'", maxsplit=1)[0]


def _numbers(text: str, words: tuple[str, ...]) -> Counter[str]:
    found = [number.strip(".,:/-").replace(",", "") for number in _NUMBER.findall(text)]
    found += [code.lower() for code in _CODE.findall(text)]
    return Counter(found + [word for word in words if word in NUMBER_WORDS])


def _units(lowered: str, words: tuple[str, ...]) -> frozenset[str]:
    found = {UNITS[word] for word in words if word in UNITS}
    found |= {UNITS.get(sign) or sign for sign in _SIGN.findall(lowered)}
    for glued in _GLUED_UNIT.findall(lowered):
        if glued in UNITS:
            found.add(UNITS[glued])
    return frozenset(found)


def _dates(lowered: str, words: tuple[str, ...]) -> frozenset[str]:
    found = {word for word in words if word in DATE_WORDS}
    if _MONTH_MAY.search(lowered):
        found.add("may")
    return frozenset(found)


def _asks(lowered: str) -> str:
    quantity = _QUANTITY.search(lowered)
    if quantity is not None:
        return f"how {quantity.group(1)}"
    found = _ASKS.search(lowered)
    return "" if found is None else {"whom": "who"}.get(found.group(1), found.group(1))


def _reordered(left: Reading, right: Reading) -> bool:
    """Whether the same words, or the same words that carry meaning, come in another order."""
    if left.words != right.words and Counter(left.words) == Counter(right.words):
        return True
    return tuple(dict.fromkeys(left.content)) != tuple(dict.fromkeys(right.content)) and set(left.content) == set(
        right.content
    )


def _opposed(left: frozenset[str], right: frozenset[str]) -> bool:
    """Whether a word stands in one text where its opposite stands in the other."""
    return any(
        (a in left and b in right and a not in right and b not in left)
        or (b in left and a in right and b not in right and a not in left)
        for a, b in OPPOSITES
    )


def _known(names: tuple[frozenset[str], ...], other: Reading) -> bool:
    """Whether every name and quotation of one text stands in the other; letter case alone makes no difference."""
    words = set(map(_plain, other.words))
    return all(name <= words for name in names)


def _names(text: str) -> list[str]:
    """Capitalised words that do not merely begin a sentence; none where everything is capitalised."""
    letters = [letter for letter in text if letter.isalpha()]
    if not letters or sum(letter.isupper() for letter in letters) > len(letters) / 2:
        return []
    starts = {match.end() for match in _SENTENCE_START.finditer(text)}
    return [match.group() for match in _NAME.finditer(text) if match.end() not in starts and match.group() != "I"]
