"""What a request ties together: which of its sentences ask for which call, and which of its values belong to that call. Above: flow. Below: flow_values.

A request that says `pay 50 to A. My rent is 900` does not ask to pay 900 to A. A call's verb has to be a wish (not `what I pay`, not `remind me to book`), and
of several values of a kind those count that follow the verb first; values of sentences that ask for something else are not this call's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct

from . import flow_values as values

_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9'\"])|\n+|\s+(?=\d{1,2}\.\s)")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_QUOTED = re.compile(r"""(?<!\w)(['"\u2018\u201c]).+?['"\u2019\u201d](?!\w)""")
_ASIDE = re.compile(r"\([^()]*\)")
_FROM = re.compile(r"\bfrom\s+(?:the\s+|my\s+|our\s+)?(?:\w+\s+)?['\"\u2018\u201c]?$")
_LINK = re.compile(
    r"(?:\s|[,;/&+-]|\b(?:and|or|to|at|also|then|until|till|on|the|cc|for|by)\b|['\"\u2018\u2019\u201c\u201d])*"
)
"""What may stand between two members of one list."""
_SUBJECTS = frozenset(
    re.findall(r"\S+", "i we they he she it you who that i'll we'll they'll i've we've they've you've i'd we'd he'll she'll")
)  # fmt: skip
_ADVERBS = frozenset(
    ("just", "always", "already", "also", "often", "have", "had", "has", "never", "ever", "not", "will", "would")
)
_ABOUT = frozenset(("about", "of", "before", "after", "by", "while", "without", "from", "when"))
_WISHING = frozenset(("want", "like", "get", "have", "need", "be", "wish"))
_REMIND = re.compile(r"\bremind\w*\b[^.!?]*\b(?:to|about)\s+(?:me\s+to\s+)?$")
_SOURCE = re.compile(r"\S\s+(?:from|in|at|on)\s+(?:the\s+|my\s+|our\s+)?(?:\w+\s+)?['\"\u2018\u201c]?$")
"""Before something that is where something else stands, not whom it goes to."""
_NAME = re.compile(
    r"(?<=[a-z0-9,] )(?!(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\b)[A-Z][a-z]+"
)
_ALL = re.compile(r"\b(?:all|each|every|everybody|everyone|both)\b")
_KEPT_VALUES = 1_000
"""Values of which is kept whether they belong to a call: texts to one reader ask for the same one."""
_KEPT = 64
"""Lists of names of which is kept where they stand."""
_RANGE = re.compile(r"[\s,]*(?:to|until|till|through|-|\u2013)[\s,]*(?:the\s+)?")


class Place(Struct, frozen=True):
    """Where something stands in the request."""

    start: int
    end: int
    value: str
    timed: bool = False
    """A day or a time, of which `from` is no source."""


class Scope:
    """A request by its sentences, and by what each of them asks for."""

    def __init__(self, raw: str, asking: Mapping[str, Sequence[str]]) -> None:
        """`asking`: by tool, the beginnings of words that ask for it; tools that change nothing own no sentence."""
        self._raw = raw
        self._low = raw.lower() if len(raw.lower()) == len(raw) else raw
        self._spoken = re.sub(r"[-_]", " ", self._low)
        self._quotes = [each.span() for each in _QUOTED.finditer(raw)]
        self._capitals = frozenset(each[0].lower() for each in _NAME.finditer(raw)).union(
            self._low[start + 1 : end - 1] for start, end in self._quotes
        )
        self._sentences = self._split()
        self._anchors = {tool: self._anchors_of(wants) for tool, wants in asking.items()}
        self._open = frozenset(tool for tool, wants in asking.items() if not wants)
        self._typed: dict[str, list[Place]] = {}
        self._told: dict[tuple[str, str, bool], list[Place]] = {}
        self._tied: dict[tuple[str, str, frozenset[str]], bool] = {}
        self._reaches: dict[str, list[tuple[int, int, int]]] = {}
        self._owned: list[tuple[int, int]] | None = None
        self._others_named: dict[frozenset[str], tuple[frozenset[str], list[Place]]] = {}

    def asks_for(self, tool: str) -> bool:
        """Whether the request wishes this call; a tool without words of its own may be called by whoever has its contract."""
        return tool in self._open or bool(self._anchors.get(tool))

    def ties(self, tool: str, kind: str, value: str, listed: Iterable[str] = ()) -> bool:
        """Whether a value that the request says belongs to this call; `listed`: other values of its kind that are known by name."""
        if tool in self._open or tool not in self._anchors:
            return True
        wanted = values.canonical(kind, value)
        if kind in ("email", "account", "url", "amount"):
            said = any(each.value == wanted for each in self._places(kind))
            return not said or any(each.value == wanted for each in self._typed_of(tool, kind))
        key = (tool, value, listed if isinstance(listed, frozenset) else frozenset(listed))
        known = self._tied.get(key)
        if known is None:
            found = self._named(value, key[2])
            mine = [each for each in found if each.value == wanted]
            known = not mine or any(each in mine for each in self._of(tool, found, first=False))
            if len(self._tied) >= _KEPT_VALUES:
                self._tied.clear()
            self._tied[key] = known
        return known

    def named_for(self, tool: str, kind: str, *, near: bool = False) -> set[str]:
        """All values of a kind (`email`) that the request ties to this call; `near`: in sentences with its verb only."""
        if tool not in self._anchors:
            return set()
        return {each.value for each in self._typed_of(tool, kind, near=near)}

    def of_all(self, tool: str) -> bool:
        """Whether a sentence that asks for this call speaks of all or each of something."""
        spans = [span for span in self._sentences if any(span[0] <= at < span[1] for at in self._anchors.get(tool, ()))]
        return any(_ALL.search(self._low, *span) for span in spans)

    def wishes_apart(self, tool: str, maker: str, label: str) -> bool:
        """Whether a label stands in a sentence that asks for `tool` and not for `maker`."""
        spans = [span for span in self._sentences if any(span[0] <= at < span[1] for at in self._anchors.get(tool, ()))]
        spans = [span for span in spans if not any(span[0] <= at < span[1] for at in self._anchors.get(maker, ()))]
        return any(_whole(label.lower()).search(self._low, *span) for span in spans)

    def days(self, tool: str) -> set[tuple[int, int]] | None:
        """(month, day) of the dates that are this call's; none where the request does not tell them apart."""
        told = self._typed_of(tool, "day") if tool in self._anchors else self._places("day")
        return {(int(month), int(day)) for each in told for month, _, day in [each.value.partition("-")]} or None

    def times(self, tool: str) -> set[tuple[int, int]] | None:
        """(hour, minute) of the times of day that are this call's."""
        told = self._typed_of(tool, "clock") if tool in self._anchors else self._places("clock")
        return {(int(hour), int(minute)) for each in told for hour, _, minute in [each.value.partition("-")]} or None

    def range_of(self, tool: str) -> tuple[str, str] | None:
        """The first and the last day of `from the 11th to the 15th`, where that is what the request gives this call."""
        found = self._typed_of(tool, "day")
        for one, other in pairwise(found):
            if _RANGE.fullmatch(self._low[one.end : other.start]):
                return one.value, other.value
        return None

    @property
    def raw(self) -> str:
        """The request as it was said."""
        return self._raw

    def anchors(self, tool: str) -> Sequence[int]:
        """Where the request wishes a call."""
        return self._anchors.get(tool, ())

    def sentence(self, at: int) -> tuple[int, int]:
        """Start and end of the sentence in which a character stands."""
        return next((span for span in self._sentences if span[0] <= at < span[1]), (0, len(self._raw)))

    def places(self, kind: str) -> Sequence[Place]:
        """Every value of a kind (`email`, `account`, `day`, …) in the request."""
        return self._places(kind)

    def is_inside_quotes(self, at: int) -> bool:
        """Whether a character stands between quotation marks."""
        return self._is_quoted(at)

    def whole(self, names: Iterable[str]) -> list[Place]:
        """Where names stand as whole words, longer ones first; not inside of longer quotations."""
        found: dict[int, Place] = {}
        for each in sorted({name.lower() for name in names if name}, key=len, reverse=True):
            for match in _whole(re.sub(r"[-_]", " ", each)).finditer(self._spoken):
                span = next((span for span in self._quotes if span[0] <= match.start() < span[1]), None)
                inside = span is not None and match.span() != (span[0] + 1, span[1] - 1)
                if not inside and not any(place.start <= match.start() < place.end for place in found.values()):
                    found[match.start()] = Place(match.start(), match.end(), each)
        return [found[at] for at in sorted(found)]

    def _split(self) -> list[tuple[int, int]]:
        ends = [each.span() for each in _END.finditer(self._raw)]
        inside = [at for at, _ in ends if any(start < at < end - 1 for start, end in self._quotes)]
        cuts = [0, *(end for at, end in ends if at not in inside)]
        return list(zip(cuts, [*cuts[1:], len(self._raw)], strict=True))

    def _anchors_of(self, wants: Sequence[str]) -> list[int]:
        found: set[int] = set()
        for start, end in self._sentences:
            words = [each for each in _WORD.finditer(self._low, start, end) if not self._is_quoted(each.start())]
            for want in wants:
                verb, _, things = want.partition("+")
                if things and not any(
                    each[0].startswith(tuple(things.split("|"))) for each in _WORD.finditer(self._low, start, end)
                ):
                    continue
                if " " in verb:
                    at = self._low.find(verb, start, end)
                    found.update({at} if at >= 0 and self._is_wish(at, words) else ())
                else:
                    found.update(
                        each.start()
                        for each in words
                        if each[0].startswith(verb) and self._is_wish(each.start(), words)
                    )
        return sorted(found)  # fmt: skip

    def _is_quoted(self, at: int) -> bool:
        return any(start <= at < end for start, end in self._quotes)

    def _is_wish(self, at: int, words: Sequence[re.Match[str]]) -> bool:
        """Not what somebody did or does, nor what a reminder is to be about."""
        before = [each[0] for each in words if each.end() <= at]
        word = next((each[0] for each in words if each.start() == at), "")
        told = [each for each in before if each not in _ADVERBS and not each.endswith("ly")]
        if (
            told
            and told[-1] in _SUBJECTS
            and not (told[-1] == "you" and {"can", "could", "would", "will"} & set(before[-3:]))
        ):
            return False
        if word.endswith("ing") and before and before[-1] in _ABOUT:
            return False
        if word.endswith("ed") and word != "need" and _WISHING.isdisjoint(before[-4:]):
            return False
        return _REMIND.search(self._low[max(0, at - 160) : at]) is None

    def _places(self, kind: str) -> list[Place]:
        if kind not in self._typed:
            self._typed[kind] = [
                Place(start, end, value, kind in ("day", "clock"))
                for start, end, value in values.placed(kind, self._raw)
            ]
        return self._typed[kind]

    def _typed_of(self, tool: str, kind: str, *, near: bool = False) -> list[Place]:
        """The values of a kind that are this call's, found once."""
        key = (tool, kind, near)
        if key not in self._told:
            self._told[key] = self._of(tool, self._places(kind), first=True, near=near)
        return self._told[key]

    def _named(self, value: str, names: frozenset[str]) -> list[Place]:
        """The value, the listed ones, and whatever is quoted or has a capital, wherever they stand as whole words; longer ones first."""
        if names not in self._others_named:
            lower = self._capitals.union(name.lower() for name in names)
            if len(self._others_named) >= _KEPT:
                self._others_named.clear()
            self._others_named[names] = lower, self._standing(lower)
        others, standing = self._others_named[names]
        return standing if value.lower() in others else self._standing(others | {value.lower()})

    def _standing(self, names: Iterable[str]) -> list[Place]:
        found: dict[int, Place] = {}
        for each in sorted(names, key=len, reverse=True):
            spoken = each.replace("-", " ").replace("_", " ")
            for match in _whole(spoken).finditer(self._spoken) if spoken and spoken in self._spoken else ():
                if not any(place.start <= match.start() < place.end for place in found.values()):
                    found[match.start()] = Place(match.start(), match.end(), values.canonical("name", each))
        return [found[at] for at in sorted(found)]

    def _of(self, tool: str, found: Sequence[Place], *, first: bool, near: bool = False) -> list[Place]:
        """Those of the places that are this call's: after its verb, else before it, else in sentences that ask for nothing else."""
        told: list[Place] = []
        for start, at, stop in self._reach(tool):
            after = [each for each in found if at <= each.start < stop]
            after = [each for each in after if each.timed or not self._is_from(each, start)] or after
            before = [
                each for each in found if start <= each.start < at and not _SOURCE.search(self._low, start, each.start)
            ]
            told += self._chain(after) if first else after
            told += before if not after else ()
        if told or near:
            return told
        return [each for each in found if not any(start <= each.start < end for start, end in self._asking())]

    def _reach(self, tool: str) -> list[tuple[int, int, int]]:
        """(start of its sentence, verb, where its values end) of each wish for a call, found once."""
        found = self._reaches.get(tool)
        if found is None:
            found = self._reaches[tool] = []
            others = self._others(tool)
            for at in self._anchors.get(tool, ()):
                start, end = next(span for span in self._sentences if span[0] <= at < span[1])
                found.append((start, at, min((each for each in others if at < each < end), default=end)))
        return found

    def _asking(self) -> list[tuple[int, int]]:
        """The sentences that ask for any call, found once."""
        if self._owned is None:
            asking = {at for anchors in self._anchors.values() for at in anchors}
            self._owned = [span for span in self._sentences if any(span[0] <= each < span[1] for each in asking)]
        return self._owned

    def _is_from(self, place: Place, start: int) -> bool:
        """What is taken from somewhere does not go there."""
        return _FROM.search(self._low, start, place.start) is not None

    def _others(self, tool: str) -> list[int]:
        mine = set(self._anchors.get(tool, ()))
        return [
            each for other, anchors in self._anchors.items() if other != tool for each in anchors if each not in mine
        ]

    def _chain(self, found: Sequence[Place]) -> list[Place]:
        """The first one, and those that are listed with it."""
        chain = list(found[:1])
        for each in found[1:]:
            between = _ASIDE.sub(" ", self._low[chain[-1].end : each.start])
            if not _LINK.fullmatch(between):
                break
            chain.append(each)
        return chain


@lru_cache(maxsize=512)
def _whole(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
