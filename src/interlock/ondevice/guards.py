"""Reasons why two similar texts must not share an answer, however close their vectors are.

Below: nothing but the standard library. Above: the application's semantic cache. Vectors blur exactly what these look at: numbers, negations,
names and who does what to whom. A guard may refuse a good pair (a miss costs one call), it should not pass a bad one.
"""

from __future__ import annotations

import re
from collections import Counter

_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_CODE = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]+", re.IGNORECASE)
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+|https?://\S+|\bwww\.\S+", re.IGNORECASE)
_QUOTED = re.compile(r"[\"“”«»]([^\"“”«»]+)[\"“”«»]")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_NAME = re.compile(r"\b[A-Z][\w'’-]*")
_SENTENCE_START = re.compile(r"(?:^|[.!?]\s+|[\"“(]\s*)[A-Z][\w'’-]*")

_NEGATIONS = """
    no not never none nobody nothing neither nor without cannot cant dont doesnt didnt wont wouldnt isnt arent
    wasnt werent shouldnt couldnt havent hasnt hadnt aint unable stop disable cancel undo unlike except fail
    fails failed
"""
NEGATIONS = frozenset(_NEGATIONS.split())
_NUMBER_WORDS = """
    zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred
    thousand million billion half double twice first second third
"""
NUMBER_WORDS = frozenset(_NUMBER_WORDS.split())
OPPOSITES = (
    ("before", "after"), ("buy", "sell"), ("increase", "decrease"), ("open", "close"), ("start", "stop"), ("on", "off"),
    ("enable", "disable"), ("cheapest", "best"), ("best", "worst"), ("more", "less"), ("most", "least"), ("add", "remove"),
    ("accept", "reject"), ("max", "min"), ("maximum", "minimum"), ("good", "bad"), ("pros", "cons"), ("gain", "lose"),
    ("legal", "illegal"), ("possible", "impossible"), ("in", "out"), ("up", "down"), ("left", "right"), ("male", "female"),
    ("boys", "girls"), ("men", "women"), ("he", "she"), ("lend", "borrow"), ("send", "receive"), ("import", "export"),
)  # fmt: skip


def differs(a: str, b: str) -> str | None:
    """Why the answer to one text must not serve the other, or None when nothing speaks against it."""
    if a == b:
        return None
    if _numbers(a) != _numbers(b):
        return "numbers, amounts or codes differ"
    if Counter(_ADDRESS.findall(a.lower())) != Counter(_ADDRESS.findall(b.lower())):
        return "addresses differ"
    if _negated(a) != _negated(b):
        return "one is negated and the other is not"
    left, right = _words(a), _words(b)
    if left != right and Counter(left) == Counter(right):
        return "the same words stand in another order"
    if _names_differ(a, b):
        return "names or quoted words differ"
    only_left, only_right = set(left) - set(right), set(right) - set(left)
    if any((x in only_left and y in only_right) or (y in only_left and x in only_right) for x, y in OPPOSITES):
        return "one says the opposite"
    return None


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("’", "'"))


def _numbers(text: str) -> Counter[str]:
    found = [number.strip(".,:/-").replace(",", "") for number in _NUMBER.findall(text)]
    found += [code.lower() for code in _CODE.findall(text)]
    return Counter(found + [word for word in _words(text) if word in NUMBER_WORDS])


def _negated(text: str) -> bool:
    """Whether the text is negated; two negations undo each other."""
    plain = [word.replace("'", "") for word in _words(text)]
    return sum(word in NEGATIONS for word in plain) % 2 == 1


def _names_differ(a: str, b: str) -> bool:
    """Whether a name or quotation of one is missing in the other; letter case alone makes no difference."""
    return any(
        not set(_words(name)) <= set(_words(other))
        for text, other in ((a, b), (b, a))
        for name in [*_names(text), *_QUOTED.findall(text)]
    )


def _names(text: str) -> list[str]:
    """Capitalised words that do not merely begin a sentence; none where everything is capitalised."""
    letters = [letter for letter in text if letter.isalpha()]
    if not letters or sum(letter.isupper() for letter in letters) > len(letters) / 2:
        return []
    starts = {match.end() for match in _SENTENCE_START.finditer(text)}
    return [match.group() for match in _NAME.finditer(text) if match.end() not in starts and match.group() != "I"]
