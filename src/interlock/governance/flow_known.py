"""What is trusted so far in one task, by kind, and from where. Above: flow. Below: flow_values, flow_words, flow_terms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from . import flow_values as values
from .flow_lists import Lists
from .flow_terms import Field, ToolTerms
from .flow_times import Times
from .flow_words import Words, beginning, beginnings, is_part, spoken, spoken_as, words_of

_ENDING_NUMBER = re.compile(r"(?<!\d)\d{4,}$")
_MOST = ("largest", "biggest", "longest", "newest", "latest", "highest")
_LEAST = ("smallest", "shortest", "oldest", "earliest", "lowest")
_PAGES = ("website", "page", "article", "link", "blog", "url", "site")
_LEAST_SECRET = 4
_DESCRIBING = 3
_MOSTLY = 0.33
_POINTER = 4
"""Letters that a value needs for the request to point with it."""


class Known:
    """Values that the user said, and those of trusted fields. Nothing is ever taken out, nothing widens to its like."""

    def __init__(self, prompt: Words, given: Mapping[str, Any] | None = None, house: str = "") -> None:
        self._prompt = prompt
        self._given = given or {}
        self._values: dict[str, set[str]] = {}
        self._directory: dict[str, set[str]] = {}
        self._objects: dict[str, dict[str, str]] = {}
        self._meant: set[tuple[str, str]] = set()
        self._ranks: dict[str, dict[str, float]] = {}
        self._words: set[str] = set()
        self.times = Times(prompt.raw)
        for kind, value in values.carried(prompt.raw):
            self.add(kind, value)
        for kind, value in values.carried(house):
            self.add(kind, value)
        for number in values.amounts(prompt.raw):
            self.add("amount", number)
        self._said = frozenset(self._values.get("amount", ()))
        if prompt.is_computed:
            self._values["amount"] = set()
        self._groups: dict[str, list[frozenset[str]]] = {}
        self._lists = Lists(prompt)
        self._names_any: dict[str, tuple[int, bool]] = {}
        self._firsts: dict[str, tuple[int, dict[str, list[str]]]] = {}
        self._told: dict[str, tuple[int, frozenset[str]]] = {}
        self.wrote: set[str] = set()
        """Texts of this task's own calls: where a list of the system's shows them, they are no names of the system's."""
        self._made_with: dict[tuple[str, str], frozenset[str]] = {}
        self._secret: set[str] = set()
        self._own: set[tuple[str, str]] = set()
        self._described_objects: dict[str, set[str]] = {}
        self._by_kind: Mapping[str, Callable[[str], bool]] = {
            "date": self.times.is_date, "day": self.times.is_day, "start": self.times.is_start, "title": self._is_title,
            "account": self._is_account, "proper": prompt.has_whole_name, "street": lambda text: prompt.has_whole_name(text) and any(map(str.isdigit, text)), "person": prompt.is_name, "quoted": prompt.quoted.__contains__, "file": prompt.names_file,
        }  # fmt: skip

    def has(self, kind: str, value: Any) -> bool:
        """Whether the value is known as that kind of thing."""
        text = str(value)
        if kind.startswith("input:"):
            return self._given.get(kind.removeprefix("input:")) == value
        if values.canonical(kind, text) in self._values.get(kind, ()):
            return True
        if kind in ("email", "url", "amount", "number"):
            return False
        special = self._by_kind.get(kind)
        return special(text) if special else self._prompt.says(text) or self._of_directory(kind, text)

    def from_directory(self, kind: str, value: Any) -> bool:
        """Whether it is known from a list of the system's only, and not because the user said it."""
        return kind.startswith("name:") and not self._prompt.says(str(value))

    def listed(self, kind: str) -> set[str]:
        """The values of a list of the system's."""
        return self._directory.get(kind, set())

    def standing(self, kind: str, text: str) -> Iterator[str]:
        """The values of a list of the system's that stand in a text (in small letters) as whole words. Only those are looked for that begin with one of its words."""
        listed = self._directory.get(kind, ())
        size, firsts = self._firsts.get(kind, (0, {}))
        if size != len(listed):  # a list only grows
            firsts = dict[str, list[str]]()
            for each in listed:
                firsts.setdefault(beginning(each), []).append(each)
            self._firsts[kind] = len(listed), firsts
        for word in ("", *beginnings(text)) if firsts else ():
            yield from (each for each in firsts.get(word, ()) if is_part(each, text))

    def is_singled_out(self, kind: str, value: str) -> bool:
        """Whether the request's words tell which value of a list it means."""
        return self._lists.is_singled_out(kind.partition(":")[2], values.canonical(kind, value), self.listed(kind))

    def trusted_words(self) -> set[str]:
        """Words of the system's lists."""
        return self._words

    def secrets(self) -> list[str]:
        """What a contract calls secret, and the request does not speak of."""
        return sorted(self._secret, key=len, reverse=True)

    def learn_secrets(self, terms: ToolTerms, output: Any) -> None:
        """Takes in the fields of an output that are to go nowhere unless the request speaks of them."""
        if terms.confidentiality == "secret":
            found = (str(leaf) for leaf in values.each(output))
            self._secret.update(each for each in found if len(each) >= _LEAST_SECRET and not self._prompt.says(each))
        for field in terms.returns:
            secret = field.kind == "secret" or field.confidentiality == "secret"
            if secret and not (field.wants and self._prompt.mentions(field.wants)):
                *path, last = field.path.split(".")
                found = (leaf for holder in values.at(output, path) for leaf in values.each(values.one(holder, last)))
                self._secret.update(text for text in map(str, found) if len(text) >= _LEAST_SECRET)

    def settle(self, kind: str, value: str) -> None:
        """A person has said which value of a list the request means."""
        self._lists.settle(kind, values.canonical(kind, value))

    def groups(self, kind: str) -> list[frozenset[str]]:
        """Values that a record to which the request points holds together."""
        return self._groups.get(kind, [])

    def is_passage(self, text: str) -> bool:
        """Whether a text to a reader says what stands in the request, in its order, names of lists apart."""
        return self._prompt.is_passage(text, self._words)

    def own_number(self, name: str) -> str:
        """The place or the count that the system's records give somebody, where the request asks for such a thing."""
        return self._lists.own_number(name, self._directory)

    def of_kind(self, kind: str) -> set[str]:
        """Every value that is known as an address or an account."""
        return self._values.get(kind, set())

    def told(self, kind: str) -> frozenset[str]:
        """Names of a list of the system's that stand in the request. A list only grows, so its size says whether it was looked at."""
        listed = self._directory.get(kind, ())
        found = self._told.get(kind)
        if found is None or found[0] != len(listed):
            low = spoken_as(self._prompt.raw)
            found = len(listed), frozenset(each for each in listed if spoken_as(each) in low)
            self._told[kind] = found
        return found[1]

    def saw(self, tool: str, tallies: str, told: str, output: Any, by: str) -> None:
        """Takes in how large a thing is: its output's length; and whose records it holds, `by` that field."""
        self._lists.saw(tool, tallies, values.canonical(tallies, told), output, by)

    def _is_title(self, text: str) -> bool:
        return not self.strange(text) and self.is_passage(text) and self._prompt.count(text) > 0

    def object_is_meant(self, kind: str, value: Any) -> bool:
        """Whether an id belongs to an object that the user named or singled out (the largest), or that this task made."""
        if (kind, str(value)) in self._own:
            return True
        if singled := self._singled_out(kind):
            return str(value) in singled
        if (kind, str(value)) in self._meant:
            return True
        named = {each: label for each, label in self._objects.get(kind, {}).items() if label and self._is_said(label)}
        longest = max(map(len, named.values()), default=0)
        closest = [
            each for each, label in named.items() if len(label) == longest or self._stands_alone(label, named.values())
        ]
        if str(value) in closest:
            return list(named.values()).count(named[str(value)]) == 1
        return not named and self._described_objects.get(kind) == {str(value)}

    def _is_said(self, label: str) -> bool:
        """By its name, or by the number that its name ends in: `order 10383` is FH-10383."""
        number = _ENDING_NUMBER.search(label)
        return self._prompt.says(label) or (number is not None and self._prompt.numbers(number[0]))

    def strange(self, text: str) -> list[str]:
        """The words of a text that neither the user said nor a trusted list holds."""
        found = self._prompt.strange(text, self._words)
        return [] if not found else [each for each in found if not self.times.is_part_of_date(each)]

    def add(self, kind: str, value: str) -> None:
        """Takes in one value."""
        self._values.setdefault(kind, set()).add(values.canonical(kind, value))

    def mean(self, kind: str, value: Any) -> None:
        """Takes in one object by its id."""
        self._meant.add((kind, str(value)))

    def learn(self, fields: Sequence[Field], output: Any, *, own: bool, looked_for: bool) -> None:
        """Takes in the trusted fields of an output; ids of a write's output are the task's own.
        `looked_for`: the request names what was looked up, so that a single find is what it means.
        """
        for field in fields:
            *path, last = field.path.split(".")
            holders = values.at(output, path)
            if field.kind in ("secret", "none") or (field.wants and not self._prompt.mentions(field.wants)):
                continue
            if field.kind.startswith("id:"):
                self._learn_objects(field, holders, last, own=own, single=looked_for and len(holders) == 1)
            elif field.kind in ("busy", "day"):
                self.times.learn(field, holders, last)
            elif field.pointed:
                self._learn_pointed(field, holders, last)
            else:
                for value in (leaf for holder in holders for leaf in values.each(values.one(holder, last))):
                    self._learn_value(field.kind, value)

    def list_only(self, fields: Sequence[Field], output: Any) -> None:
        """Takes in what the system calls its objects, and nothing else: the look-up was not the user's, so its finds single nothing out."""
        for field in fields:
            if field.kind.startswith("id:") and field.label:
                *path, last = field.path.split(".")
                self._learn_objects(
                    msgspec.structs.replace(field, rank=""), values.at(output, path), last, own=False, single=False
                )

    def learn_unique(self, kind: str, output: Any, by: str) -> None:
        """Takes in the one value of a kind that an output holds, where it holds exactly one; `by`: among the records of those whom the request names, else in the record
        that holds most of its words.
        """
        leaves = values.each(self._of_those_meant(kind, output, by) if by and isinstance(output, list) else output)
        found = {
            values.canonical(kind, value)
            for leaf in leaves
            for each, value in values.carried(str(leaf))
            if each == kind
        }
        if len(found) == 1 and (kind != "email" or self._prompt.bears(*found)):
            self._values.setdefault("followed" if kind == "url" else kind, set()).update(found)

    def may_follow(self, link: str) -> bool:
        """Whether a link may be opened or shown: one that is known, or the only one of a source that the request names."""
        return self.has("url", link) or values.canonical("url", link) in self._values.get("followed", ())

    def made_with(self, kind: str, value: Any) -> frozenset[str]:
        """The values of the call that made an object of this task's."""
        return self._made_with.get((kind, str(value)), frozenset())

    def note_making(self, returns: Sequence[Field], output: Any, given: Iterable[str]) -> None:
        """A call of this task has made what it returned."""
        told = frozenset(given)
        for field in returns:
            *path, last = field.path.split(".")
            for holder in values.at(output, path) if field.kind.startswith("id:") else ():
                self._made_with[field.kind, str(values.one(holder, last))] = told

    def made(self, kind: str, value: Any) -> bool:
        """Whether this task made the object."""
        return (kind, str(value)) in self._own

    def label_of(self, kind: str, value: Any) -> str:
        """What an object is called, as people say it."""
        return self._objects.get(kind, {}).get(str(value), "")

    def labels_said(self, kind: str) -> set[str]:
        """The names of objects that the request says."""
        return {each for each in self._objects.get(kind, {}).values() if each and self._prompt.says(each)}

    def _of_those_meant(self, kind: str, output: Any, by: str) -> list[Any]:
        """The one record that is made of the request's words, else those of whom it names, else all of them where it speaks of a page. Of a record only links to the sender's own domain count."""
        everything: list[Any] = [each for each in cast("list[Any]", output) if isinstance(each, dict)]
        named = [each for each in everything if self._prompt.says(str(values.one(each, by)))]
        records = self._described(everything) or named or (everything if self._prompt.mentions(_PAGES) else [])
        if kind != "url":
            return records
        return [link for each in records for link in values.own_links(each, str(values.one(each, by)))]

    def _described(self, records: Sequence[Any]) -> list[Any]:
        """The one record that holds at least three words of the request, which are half of its own at least."""
        texts = [" ".join(map(str, values.each(each))) for each in records]
        close = [
            self._prompt.share(text) >= _MOSTLY and len(self._prompt.shared(text)) >= _DESCRIBING for text in texts
        ]
        return [each for each, is_close in zip(records, close, strict=True) if is_close] if sum(close) == 1 else []

    def _learn_value(self, kind: str, value: Any) -> None:
        if value is None or isinstance(value, bool) or not values.well_formed(kind, value):
            self._lists.hide(kind)
            return
        text = str(value)
        if kind == "date":
            self.times.add(text)
        elif kind.startswith("name") and values.normal(text) not in self.wrote:
            self._directory.setdefault(kind, set()).add(values.canonical(kind, text))
            self._words.update(words_of(text))
        elif not kind.startswith("name"):
            self.add(kind, text)

    def _learn_objects(self, field: Field, holders: Sequence[Any], last: str, *, own: bool, single: bool) -> None:
        for holder in holders:
            value = values.one(holder, last)
            if value is None:
                continue
            label = str(values.one(holder, field.label) or "") if field.label else ""
            if field.about and self._prompt.describes(str(values.one(holder, field.about) or "")):
                self._described_objects.setdefault(field.kind, set()).add(str(value))
            self._objects.setdefault(field.kind, {})[str(value)] = spoken(values.normal(label))
            rank = values.one(holder, field.rank) if field.rank else None
            if isinstance(rank, (int, float)):
                self._ranks.setdefault(field.kind, {})[str(value)] = float(rank)
            if own or single:
                self.mean(field.kind, value)
            if own:
                self._own.add((field.kind, str(value)))

    def _learn_pointed(self, field: Field, holders: Sequence[Any], last: str) -> None:
        """The field's value in the records to which the request points most; only where they agree."""
        hits = [(self._pointers(holder, last, field.by), values.each(values.one(holder, last))) for holder in holders]
        most = max((count for count, _ in hits), default=0)
        told = {tuple(map(str, found)) for count, found in hits if count == most}
        if most and len(told) == 1:
            if field.kind == "email" and len(next(iter(told))) > 1:
                self._groups.setdefault("email", []).append(frozenset(next(iter(told))))
            for value in told.pop():
                if field.shares:
                    self._add_shares(value)
                elif field.kind == "amount" and self._prompt.is_computed:
                    continue
                elif values.well_formed(field.kind, value):
                    self.add(field.kind, value)

    def _add_shares(self, value: str) -> None:
        """What the request's shares of an amount come to, in cents, with whatever else it says to add."""
        more = (
            sum(float(each) for each in self._said if each.replace(".", "", 1).isdigit())
            if self._prompt.is_computed
            else 0
        )
        whole = values.number(value)
        if whole is None:
            return
        for share in values.shares(self._prompt.raw):
            self.add("amount", f"{round(whole * share + more, 2)}")

    def _pointers(self, holder: Any, last: str, by: Sequence[str]) -> int:
        if not isinstance(holder, dict):
            return 0
        record = cast("dict[str, Any]", holder)
        return sum(
            self._points(value, named=bool(by)) for key, value in record.items() if (key in by if by else key != last)
        )

    def _points(self, value: Any, *, named: bool) -> bool:
        if isinstance(value, str):
            return (
                len(value) >= _POINTER and (self._prompt.writes(value) or (" " in value and self._prompt.says(value)))
            ) or (named and any(map(self._is_called, value.split())))
        return isinstance(value, float) and values.canonical("amount", str(value)) in self._said

    def _is_called(self, word: str) -> bool:
        return len(word) >= _POINTER and word.isalpha() and self._prompt.writes(word)

    def _of_directory(self, kind: str, text: str) -> bool:
        """Lists count where the request names nobody of them: who says `general` does not mean another one."""
        listed = self._directory.get(kind, ())
        if values.canonical(kind, text) not in listed:
            return False
        size, named = self._names_any.get(kind, (0, False))
        if size != len(listed):
            named = any(map(self._prompt.says, listed))
            self._names_any[kind] = len(listed), named
        return not named

    def _singled_out(self, kind: str) -> set[str]:
        """Ids of the objects of an extreme rank that the user asks for."""
        ranks = self._ranks.get(kind, {})
        if not ranks:
            return set()
        ends = {max(ranks.values()) for word in _MOST if word in self._prompt.words} | {
            min(ranks.values()) for word in _LEAST if word in self._prompt.words
        }
        return {each for each, rank in ranks.items() if rank in ends}

    def _stands_alone(self, label: str, others: Iterable[str]) -> bool:
        """No longer label that the user said holds it."""
        return not any(label != other and label in other for other in others)

    def _is_account(self, text: str) -> bool:
        """A payee by name, where the request gives no account at all."""
        if self._values.get("account") or not self._prompt.has_whole_name(text, single=True):
            return False
        return self._is_payee(values.normal(text))

    def _is_payee(self, name: str) -> bool:
        """Whether somebody of that name was paid before: as the payee, or by the words of the subject."""
        return any(name in each.split() for each in self._directory.get("name:payee", ()))
