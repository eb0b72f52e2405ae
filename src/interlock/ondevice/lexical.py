"""Lexical ranking: BM25 (Robertson and Zaragoza 2009) over short passages, with light stemming.

Below: numpy. Above: `passages`. Finds what vectors blur: names, codes, numbers, rare words.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

K1 = 1.2
B = 0.75
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_STOP_WORDS = """
    a an and are as at be been but by can could did do does for from had has have how i if in is it its me my of
    on or our please so that the their them there they this to was we were what when where which who why will
    with would you your am i'm it's don't
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def words(text: str) -> list[str]:
    """Lower-case stems of the words that carry meaning."""
    return [_stem(word) for word in _WORD.findall(text.lower().replace("’", "'")) if word not in STOP_WORDS]


def _stem(word: str) -> str:
    for ending, put in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)] + put
    return word


@dataclass(frozen=True, slots=True)
class Bm25:
    """An index of passages; `scores` gives one number per passage, 0 where no word is shared."""

    postings: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]
    ceilings: dict[str, float]
    size: int

    @classmethod
    def fit(cls, passages: Sequence[str]) -> Bm25:
        """An index of the texts, by their place."""
        counts = [Counter(words(passage)) for passage in passages]
        lengths = [sum(count.values()) for count in counts]
        mean = max(1.0, sum(lengths) / max(1, len(lengths)))
        where: dict[str, list[tuple[int, float]]] = {}
        for place, count in enumerate(counts):
            for word, times in count.items():
                weight = times * (K1 + 1) / (times + K1 * (1 - B + B * lengths[place] / mean))
                where.setdefault(word, []).append((place, weight))
        postings: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]] = {}
        rarity: dict[str, float] = {}
        for word, entries in where.items():
            rarity[word] = math.log(1 + (len(passages) - len(entries) + 0.5) / (len(entries) + 0.5))
            places, weights = zip(*entries, strict=True)
            postings[word] = (np.array(places, np.int64), np.array(weights, np.float32) * np.float32(rarity[word]))
        return cls(postings, rarity, len(passages))

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        """BM25 of the query to each passage."""
        total = np.zeros(self.size, np.float32)
        for word in set(words(query)):
            if word in self.postings:
                places, weights = self.postings[word]
                total[places] += weights
        return total

    def shares(self, query: str) -> npt.NDArray[np.float32]:
        """The same as a share, 0..1, of what a passage with every known word of the query could reach."""
        reachable = sum(self.ceilings.get(word, 0.0) for word in set(words(query))) * (K1 + 1)
        return self.scores(query) / np.float32(reachable) if reachable else np.zeros(self.size, np.float32)
