"""Whose each number of a request is: a text to a reader may say the numbers, days and times that the request binds to that reader. Above: flow_checks. Below: flow_scope,
flow_values.

A request that says `tell Alice that the code is 12 and Bob that it is 45` binds 12 to Alice and 45 to Bob, although both stand in it. What stands in a sentence that names no
reader is bound to whoever was named last before it, and to everybody where nobody was. A reader who is not named, because the request speaks of all of them, gets what is bound to
nobody. A number that the request does not hold is a reader's only as a place or a count in what the system said (`Lists.own_number`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from . import flow_values as values
from .flow_scope import Place, Scope
from .flow_terms import Argument

_COUNTED = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905 - words on a line
_ORDERED = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()  # noqa: SIM905 - words on a line
_WORDS = {word: str(number) for words in (_COUNTED, _ORDERED) for number, word in enumerate(words)}
_FIGURE = re.compile(rf"\d+(?:[.,:/-]\d+)*|\b(?=[zotfsen])(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)
_LISTING = re.compile(r"(?m)^[ \t]*(\d{1,2})[.)]\s")
"""The mark of a list's item."""
_NAMED = re.compile(r"[A-Z][a-z]{2,}")
_TO = re.compile(r"(?:\bto|\band|\btell|\binform|\bask|\bnotify|\bremind|,)\s+$")
"""Before a name that no list holds: whoever is told something."""
_VERB = re.compile(r"\w+\s+")
_LINK = re.compile(r"(?:\s|[,;&+(<]|[)>]|\b(?:and|or|also|both|the)\b|['\"\u2018\u2019\u201c\u201d])*")
_BEARING = 3
"""Letters of a name that an address bears."""
_KINDS = ("email", "account", "person", "name")


class Owned(Struct, frozen=True):
    """A group of readers in the request, named in one breath."""

    start: int
    end: int
    readers: frozenset[str]


def readers_of(arguments: Mapping[str, object], terms: Mapping[str, Argument]) -> list[tuple[str, str]]:
    """(kind, value) of whom a call's texts reach."""
    return [
        (argument.kind, str(value))
        for name, argument in terms.items()
        if argument.role == "authority" and argument.kind.partition(":")[0] in _KINDS
        for value in values.each(arguments.get(name))
        if value not in (None, "")
    ]


class Figures:
    """A request by its numbers and by whom it names."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._places = [Place(each.start(), each.end(), _value(each[0])) for each in _FIGURE.finditer(scope.raw)] + [
            place for kind in ("day", "clock") for place in scope.places(kind)
        ]

        self._named: dict[tuple[str, str, str, int], list[Owned]] = {}

    def foreign(
        self,
        tool: str,
        text: str,
        reader: tuple[str, str],
        others: Collection[str],
        own: Callable[[str], bool],
    ) -> str:
        """The first number of a text that is not its reader's, as the text says it; empty where there is none. `others`: other readers of its kind that are known; `own`: whether a
        number is the reader's by what the system said.
        """
        told = _unlisted(text) if "\n" in text else text
        groups: list[Owned] | None = None
        for figure in _FIGURE.finditer(told):
            value = _value(figure[0])
            found = [each for each in self._places if each.value == value]
            if not found:
                if len(value) == 1 and not own(value) and not self._is_part_of_time(told, figure):
                    return figure[0]
                continue
            groups = self._groups(tool, reader, others) if groups is None else groups
            if not any(self._is_bound(tool, each, reader[1], groups) for each in found):
                return figure[0]
        return ""

    def _is_part_of_time(self, text: str, figure: re.Match[str]) -> bool:
        """A digit of a day or a time of day that the request names in another form."""
        said = {(kind, each.value) for kind in ("day", "clock") for each in self._scope.places(kind)}
        return any(
            start <= figure.start() < end and (kind, value) in said
            for kind in ("day", "clock")
            for start, end, value in values.placed(kind, text)
        )

    def _groups(self, tool: str, reader: tuple[str, str], others: Collection[str]) -> list[Owned]:
        """Whom the request names to be told something, in its order; those that are listed together are one."""
        key = (tool, *reader, len(others))
        if key not in self._named:
            self._named[key] = self._grouped(reader[1].lower(), self._readers(tool, reader, others))
        return self._named[key]

    def _grouped(self, mine: str, places: Sequence[Place]) -> list[Owned]:
        found: dict[int, Place] = {}
        for place in places:
            found.setdefault(place.start, place)
        groups: list[Owned] = []
        for at in sorted(found):
            each = found[at]
            name = mine if _is_same(each.value, mine) else each.value
            last = groups[-1] if groups else None
            if (
                last
                and self._scope.sentence(last.start) == self._scope.sentence(at)
                and _LINK.fullmatch(self._scope.raw[last.end : at])
            ):
                groups[-1] = Owned(last.start, each.end, last.readers | {name})
            else:
                groups.append(Owned(at, each.end, frozenset((name,))))
        return groups

    def _readers(self, tool: str, reader: tuple[str, str], others: Collection[str]) -> Sequence[Place]:
        kind, value = reader
        typed = [place for each in ("email", "account") for place in self._scope.places(each)]
        typed = [Place(each.start, each.end, each.value.lower()) for each in typed]
        listed = {each.lower() for each in others if "@" not in each}
        if kind not in ("email", "account"):
            listed.add(value.lower())
        taken = [(each.start, each.end) for each in typed]
        named = [
            Place(each.start(), each.end(), each[0].lower())
            for each in _NAMED.finditer(self._scope.raw)
            if not self._scope.is_inside_quotes(each.start())
            and not any(start <= each.start() < end for start, end in taken)
            and (each[0].lower() not in listed)
            and self._is_told(tool, each, [value, *others])
        ]
        return [*typed, *named, *self._scope.whole(listed)]

    def _is_told(self, tool: str, name: re.Match[str], known: Sequence[str]) -> bool:
        """Whether a name is somebody's who is told something: an address that is known bears it, or it stands where one would."""
        low = name[0].lower()
        if any("@" in each and _is_same(low, each.lower()) for each in known):
            return True
        before = self._scope.raw[: name.start()].lower()
        anchors = [at for at in self._scope.anchors(tool) if at < name.start()]
        told = _TO.search(before, max(0, len(before) - 24)) or any(_VERB.fullmatch(before, at) for at in anchors)
        return bool(anchors and told) and not any(values.dates(name[0]))

    def _is_bound(self, tool: str, figure: Place, reader: str, groups: Sequence[Owned]) -> bool:
        mine = reader.lower()
        owner = self._owner(tool, figure.start, groups)
        return owner is None or mine in owner.readers

    def _owner(self, tool: str, at: int, groups: Sequence[Owned]) -> Owned | None:
        """Whose a number is by where it stands; nobody's in particular where the request names nobody for it."""
        start, end = self._scope.sentence(at)
        here = [each for each in groups if start <= each.start < end]
        if not here:
            return next((each for each in reversed(groups) if each.end <= at), None)
        first = min((each for each in self._scope.anchors(tool) if start <= each < end), default=start)
        if at < first and len(here) > 1:
            return None
        before = [each for each in here if each.end <= at]
        leads = any(first <= each.start < here[0].start for each in self._places)
        if before and not leads:
            return before[-1]
        return next((each for each in here if each.start >= at), here[-1])


def _unlisted(text: str) -> str:
    """A text without the numbers of a list's items, where they count from one."""
    marks = _LISTING.findall(text)
    listed = len(marks) > 1 and marks == [str(number) for number in range(1, len(marks) + 1)]
    return _LISTING.sub(lambda found: " " * len(found[0]), text) if listed else text


def _value(figure: str) -> str:
    low = figure.lower()
    return _WORDS.get(low, low)


def _is_same(name: str, reader: str) -> bool:
    """Whether a name is the reader's: itself, or one that the reader's address bears."""
    return name == reader or (
        "@" in reader and len(name) >= _BEARING and name.isalpha() and name in reader.partition("@")[0]
    )
