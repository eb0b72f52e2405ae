"""What the values of a task bear: integrity, confidentiality and source, as the tools' contracts say it; and who of a sink's readers may see them. Above: flow, flow_checks.
Below: flow_terms, flow_words, flow_values.

A label can only be raised: what is made of several values bears the least trust and the most secrecy of them all, and every source. What the user's own request says is the
user's, whoever else says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, structs

from . import flow_values as values
from .flow_terms import Confidentiality, Integrity, ToolTerms
from .flow_words import Words, is_part

_TRUST: tuple[Integrity, ...] = ("user", "trusted", "untrusted")
_SECRECY: tuple[Confidentiality, ...] = ("public", "tenant", "secret")
_LEAST = 3
"""Characters below which a value tells nothing by itself."""
_ROOM = 20_000
"""Values of a task that are told apart; beyond them a text bears what everything read so far does."""


class Label(Struct, frozen=True):
    """What one value bears."""

    integrity: Integrity = "user"
    confidentiality: Confidentiality = "public"
    sources: frozenset[str] = frozenset()

    def with_(self, other: Label) -> Label:
        """What bears both."""
        return Label(
            _TRUST[max(_TRUST.index(self.integrity), _TRUST.index(other.integrity))],
            _SECRECY[max(_SECRECY.index(self.confidentiality), _SECRECY.index(other.confidentiality))],
            self.sources | other.sources,
        )

    def names(self) -> frozenset[str]:
        """As calls say them (`Caller.labels`): `untrusted`, `tenant`, `secret`, `source:NAME`."""
        found = {f"source:{each}" for each in self.sources}
        if self.integrity == "untrusted":
            found.add("untrusted")
        if self.confidentiality != "public":
            found.add(self.confidentiality)
        return frozenset(found)

    @property
    def told(self) -> str:
        """In words: `tenant, from crm`."""
        return ", ".join([self.confidentiality, *(f"from {each}" for each in sorted(self.sources))])


def covers(readers: Confidentiality, borne: Confidentiality) -> bool:
    """Whether these readers may see what bears that."""
    return _SECRECY.index(borne) <= _SECRECY.index(readers)


class Labels:
    """Of one task. State: what everything read so far bears together, and each value that is not public by itself."""

    def __init__(self) -> None:
        self.all = Label()
        self._values: dict[str, Label] = {}
        self._full = False

    def take(self, terms: ToolTerms, output: Any, *, own: bool) -> None:
        """Takes in what a tool returned. `own`: the call was made of the user's words alone; a house's own data is trusted only then."""
        trust: Integrity = "trusted" if terms.integrity == "trusted" and own else "untrusted"
        sources = frozenset((terms.source,)) if terms.source else frozenset[str]()
        whole = Label(trust, terms.confidentiality, sources)
        self.all = self.all.with_(whole)
        if terms.confidentiality != "public":
            self._keep(values.each(output), whole)
        for field in terms.returns:
            if field.confidentiality and field.confidentiality != terms.confidentiality:
                label = structs.replace(whole, confidentiality=field.confidentiality)
                found = [
                    each for holder in values.at(output, field.path.split(".")[:-1]) for each in _leaves(holder, field)
                ]
                self._keep(found, label)
                self.all = self.all.with_(label) if found else self.all

    def _keep(self, found: Iterable[Any], label: Label) -> None:
        for each in found:
            text = values.normal(str(each)).strip()
            if len(text) >= _LEAST and not isinstance(each, bool):
                known = self._values.get(text)
                self._values[text] = label if known is None else known.with_(label)
        self._full = self._full or len(self._values) > _ROOM

    def against(self, terms: ToolTerms, role: str, text: str, request: Words) -> str:
        """Why the readers of a tool may not see a text that it is given; empty where they may. Free words (`inside`, `note`) that are not the request's may say anything that was read."""
        if covers(terms.readers, self.all.confidentiality):
            return ""
        label = self._of(text, request, within=role == "authority")
        if role in ("inside", "note") and request.strange(text):
            label = self.all
        if label is None or covers(terms.readers, label.confidentiality):
            return ""
        return f"it bears {label.told}, and its readers may see what is {terms.readers} only"

    def _of(self, text: str, request: Words, *, within: bool) -> Label | None:
        """What a text bears by the values of tools that it holds and the request does not; `within`: or that hold it."""
        if self._full:
            return self.all
        low, found = values.normal(text).strip(), None
        within = within and not request.says(low)
        for each, label in self._values.items():
            holds = each in low and is_part(each, low) and not request.says(each)
            if holds or (within and low in each and is_part(low, each)):
                found = label if found is None else found.with_(label)
        return found

    @property
    def told_apart(self) -> bool:
        """Whether anything that is not public was read."""
        return bool(self._values)

    def of(self, value: str) -> Label | None:
        """What one value bears that a tool returned; `None` for one that is public."""
        return self._values.get(values.normal(value).strip())


def _leaves(holder: Any, field: Any) -> Sequence[Any]:
    return [leaf for leaf in values.each(values.one(holder, field.path.rpartition(".")[2])) if leaf not in (None, "")]
