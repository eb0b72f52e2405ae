"""Whether two answers say the same: the judge behind shadow mode and audits of the semantic cache.

Above: semantic. Below: guards. In doubt it says no: a pair that it calls different counts as an error of the cache, so that its own mistakes
make the cache serve less, not more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from .guards import reading
from .minilm import Vectors

Judge = Callable[[str, str], bool]
"""(one answer, another) → whether they would serve a reader equally."""
SAME_MEANING = 0.93
"""Cosine above which two answers with the same numbers, dates, names and negation are taken for the same."""
_GAPS = re.compile(r"[\W_]+")


def plain(answer: str) -> str:
    """The answer without what does not change it: letter case, spaces, punctuation between words."""
    return _GAPS.sub(" ", answer).strip().casefold()


def same_text(a: str, b: str) -> bool:
    """Equal as JSON values, or letter for letter but for case, spaces and punctuation; digits keep their separators."""
    if a == b:
        return True
    left, right = _value(a), _value(b)
    if left is not None or right is not None:
        return left == right
    return plain(a) == plain(b) and reading(a).numbers == reading(b).numbers


def same_meaning(embed: Callable[[Sequence[str]], Vectors]) -> Judge:
    """A judge that also takes other words for the same, by their vectors, where every number, unit, date, name and negation agrees."""

    def judge(a: str, b: str) -> bool:
        if same_text(a, b):
            return True
        if _value(a) is not None or _value(b) is not None:
            return False
        left, right = reading(a), reading(b)
        if (left.numbers, left.units, left.dates, left.addresses, left.entities, left.negated) != (
            right.numbers,
            right.units,
            right.dates,
            right.addresses,
            right.entities,
            right.negated,
        ):
            return False
        vectors = embed([a, b])
        return float(vectors[0] @ vectors[1]) >= SAME_MEANING

    return judge


def _value(answer: str) -> Any:
    """The answer as a JSON object or array; `None` where it is neither."""
    text = answer.strip()
    if text[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
