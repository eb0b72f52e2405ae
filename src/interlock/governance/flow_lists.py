"""Which value of one of the system's lists a request means, when it names none of them. Above: flow_known. Below: flow_values, flow_words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from . import flow_values as values
from .flow_words import Words, words_of

_MOST = ("most", "largest", "biggest", "highest")
_LEAST = ("fewest", "smallest", "least", "lowest")
_RANKED = re.compile(r"\b(?:rank\w*|places?|positions?)\b")
_RISING = re.compile(rf"\b(?:{'|'.join(_LEAST)}|ascending|increasing)\b")
_COUNTED = re.compile(r"\b(?:how many|number of|count\w*|total)\b")
_FOUND_BY = 2
"""Words of the request that a named person's record has to hold, for it to be the one that is looked for."""


class Lists:
    """What the request says of the things of each kind, and what is known of their size."""

    def __init__(self, prompt: Words) -> None:
        self._prompt = prompt
        self._sizes: dict[str, dict[str, dict[str, int]]] = {}
        self._records: dict[str, Counter[str]] = {}
        self._found: dict[str, Counter[str]] = {}
        self._settled: dict[str, str] = {}
        self._hidden: Counter[str] = Counter()
        self._members: dict[str, set[str]] = {}

    def saw(self, tool: str, kind: str, told: str, output: Any, by: str) -> None:
        """A read of one thing of a kind: how many records it holds, whose they are, and whether it is what is looked for."""
        if not isinstance(output, list):
            return
        records = cast("list[Any]", output)
        self._sizes.setdefault(kind, {}).setdefault(tool, {})[told] = len(records)
        if not by:
            self._members.setdefault(kind, set()).update(str(each) for each in records if isinstance(each, str))
            return
        self._records[told] = Counter(values.canonical("name", str(values.one(each, by))) for each in records)
        sought = frozenset(words_of(self._prompt.raw))
        named = [each for each in records if self._prompt.says(str(values.one(each, by)))]
        hits = [
            len({word for leaf in values.each(each) for word in words_of(str(leaf)) if len(word) > 3} & sought)
            for each in named
        ]
        self._found.setdefault(kind, Counter())[told] = max(hits, default=0)

    def hide(self, kind: str) -> None:
        """A list held something that is no name: it was not counted."""
        self._hidden[kind] += 1

    def _is_of_all(self, noun: str) -> bool:
        return re.search(rf"\b(?:all|each|every)\b(?: \w+)? {noun}s?\b", self._prompt.text) is not None

    def settle(self, kind: str, value: str) -> None:
        """A person has said which one it is; it stays that one."""
        self._settled.setdefault(kind, value)

    def is_singled_out(self, noun: str, value: str, listed: set[str]) -> bool:
        """Whether the request speaks of all, of the one that begins so, of the largest or smallest, or of the one that holds what it says."""
        text, kind = self._prompt.text, f"name:{noun}"
        if self._is_of_all(noun):
            return True
        if kind in self._settled:
            return self._settled[kind] == value
        if begins := re.search(rf"\b{noun}s? (?:that )?(?:starting|beginning|starts|begins) with ['\"]?(\w+)", text):
            return value.startswith(begins[1]) and sum(each.startswith(begins[1]) for each in listed) == 1
        for words, extreme in ((_MOST, max), (_LEAST, min)):
            if re.search(rf"\b{noun}s?(?: \w+){{1,3}} (?:{'|'.join(words)})\b", text):
                counted = [
                    each
                    for each in self._sizes.get(kind, {}).values()
                    if self._is_counted(kind, each, listed, extreme is max)
                ]
                counted = counted or ([] if kind in self._sizes else [self._tallied()])
                return bool(counted) and all(_ends(sizes, extreme) == [value] for sizes in counted)
        found = self._found.get(kind, Counter[str]())
        most = max(found.values(), default=0)
        return most >= _FOUND_BY and [each for each, count in found.items() if count == most] == [value]

    def own_number(self, name: str, listed: Mapping[str, set[str]]) -> str:
        """The number that a request for ranks (`the user's rank`) or counts (`how many`) gives one of those whose records were counted; empty before all of them were."""
        kinds = [kind for kind in self._sizes if listed.get(kind)]
        tallies = self._tallied()
        mine = values.canonical("name", name)
        if mine not in tallies or not all(
            listed[kind] <= set(self._records) and not self._hidden[kind] for kind in kinds
        ):
            return ""
        text = self._prompt.text
        if _RANKED.search(text):
            sign = 1 if _RISING.search(text) else -1
            order = sorted(tallies, key=lambda each: (sign * tallies[each], each))
            shared = sum(count == tallies[mine] for count in tallies.values()) > 1
            return "" if shared and "alphabetic" not in text else str(order.index(mine) + 1)
        return str(tallies[mine]) if _COUNTED.search(text) else ""

    def _is_counted(self, kind: str, sizes: Mapping[str, int], listed: set[str], largest: bool) -> bool:
        """Whether nothing of the list was left uncounted; one may be, where a counted one holds everybody who was seen: none is larger."""
        unseen = len(listed - set(sizes)) + self._hidden[kind]
        return not unseen or (largest and unseen == 1 and max(sizes.values()) >= len(self._members.get(kind, ())))

    def _tallied(self) -> Counter[str]:
        """Records by whose they are, over everything that was read."""
        return sum(self._records.values(), Counter[str]())


def _ends(sizes: Mapping[str, int], extreme: Callable[[Iterable[int]], int]) -> list[str]:
    return [each for each, size in sizes.items() if size == extreme(sizes.values())]
