"""Information flow: may this call be made, given where each of its values came from? The model is taken to be fully compromised.

Above: decisions. Below: flow_terms, flow_known, flow_labels. One `FlowPolicy` per task: `before` a call, `after` it, and over the `final` answer. What is asked is never
whether a text looks hostile, but whether every value with authority stands in what the user said or in a field that the tool's contract calls trusted. Sources: FIDES (arXiv
2505.23643), CaMeL (arXiv 2503.18813); the rules and what each of them is worth are in docs/policy.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from interlock.core.verdicts import ALLOW, Verdict

from . import flow_values as values
from .flow_answer import Finds, held
from .flow_checks import Checks, Past, authority_of, key_of
from .flow_known import Known
from .flow_labels import Labels
from .flow_memory import Memory
from .flow_terms import Argument, Terms, ToolTerms, nouns_of
from .flow_words import Words, lists_of


class FlowPolicy:
    """Decides the calls of one task. State: what is trusted so far, what was done, and the one call that a person was asked about."""

    def __init__(
        self,
        terms: Terms,
        prompt: str,
        memory: Memory | None = None,
        *,
        given: Mapping[str, Any] | None = None,
        house: str = "",
        version: str = "",
        finds: Finds | None = None,
    ) -> None:
        """`given`: the task's inputs, for arguments that have to be one of them. `house`: words of the operator's own (a system prompt), whose addresses and links may be used.
        `version`: of the terms, for its verdicts. `finds`: personal data that is withheld from answers.
        """
        self._terms, self._version, self._finds = terms, version, finds
        self._prompt = Words(prompt)
        self._known = Known(self._prompt, given or {}, house)
        self._memory = Memory() if memory is None else memory
        self._past = Past(set(), set(), set())
        self._labels = Labels()
        self._checks = Checks(terms, self._prompt, self._known, self._past, self._labels)
        self._nouns = nouns_of(terms)
        self._asked = b""
        self._endorsed = b""
        self._returned: list[tuple[str, Any]] = []

    def before(self, tool: str, arguments: Mapping[str, Any], *, declared: bool = False) -> Verdict:
        """Whether the call may be made: yes, no, or only if a person endorses the values that have no known origin. `declared`: the operator wrote the step itself, so that
        nobody has to ask for it and its words are the operator's; what decides something still has to be known.
        """
        terms = self._terms.tools.get(tool)
        if terms is None:
            return Verdict("deny", "no_contract", f"{tool} has no contract", tool, version=self._version)
        if self._endorsed and self._endorsed == _exactly(tool, arguments):
            return ALLOW
        key = key_of(tool, terms, arguments, _exactly)
        found = list(self._checks.doubts(tool, terms, arguments, key, declared=declared))
        if not found:
            return ALLOW
        self._asked, self._endorsed = _exactly(tool, arguments), b""
        first = found[0]
        card = tuple(each.reason for each in found)
        return Verdict("ask", first.rule, first.reason, first.value, card, self._version)

    def explain(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, str]:
        """What stands against a call, by argument (`""`: against the whole of it), without deciding it."""
        terms = self._terms.tools.get(tool)
        if terms is None:
            return {"": f"{tool} has no contract"}
        told: dict[str, str] = {}
        for each in self._checks.doubts(
            tool, terms, arguments, key_of(tool, terms, arguments, _exactly), declared=False
        ):
            told.setdefault(each.argument, each.reason)
        return told

    def endorse(self) -> None:
        """A person has said yes to the call that was asked about last. It serves once, and makes no value known."""
        self._endorsed, self._asked = self._asked, b""

    def made(self, tool: str, arguments: Mapping[str, Any]) -> None:
        """The call is on its way: it counts as done from here on, whatever comes of it."""
        terms = self._terms.tools.get(tool)
        if terms is None:
            return
        if terms.effect == "write":
            self._note_write(tool, terms, arguments)
        elif terms.leaves:
            self._past.done.add(key_of(tool, terms, arguments, _exactly))

    def after(self, tool: str, arguments: Mapping[str, Any], output: Any, *, endorsed: bool | None = None) -> None:
        """Takes in what the tool returned (plain data): only fields that its contract calls trusted become known, and only if the call itself was the user's.
        `endorsed`: a person said yes to it; left out, that is known from `endorse`.
        """
        terms = self._terms.tools.get(tool)
        if terms is None:
            return
        if endorsed is None:
            endorsed = _exactly(tool, arguments) in (self._asked, self._endorsed)
        self._asked = self._endorsed = b""
        self.made(tool, arguments)
        self._returned.append((tool, output))
        self._labels.take(terms, output, own=terms.integrity == "trusted" and self._is_of_user(terms, arguments))
        self._known.learn_secrets(terms, output)
        if endorsed:
            self._settle(terms, arguments)
        if terms.guarded:
            whose = authority_of(terms)
            if not endorsed:
                self._known.learn(terms.returns, output, own=False, looked_for=set(whose) >= set(arguments))
            return
        leaves = [each for each in values.each(dict(arguments)) if each not in (None, "")]
        if terms.effect == "write":
            if not endorsed and terms.returns:
                self._known.learn(terms.returns, output, own=True, looked_for=False)
                self._known.note_making(terms.returns, output, map(str, leaves))
            return
        said = all(self._prompt.says(str(each)) for each in leaves)
        made = all(self._prompt.says(str(each)) or self._prompt.covers(str(each)) for each in leaves)
        if not made and not all(
            self._is_plain_or_known(terms.arguments.get(name), given) for name, given in arguments.items()
        ):
            self._known.list_only(terms.returns, output)
            return
        output = self._memory.without_foreign(output)
        self._size(tool, terms, arguments, output)
        looked_for = bool(leaves) and any(self._prompt.names(str(each)) for each in leaves)
        if looked_for and said:
            self._past.lists.update(self._lists(output))
        if terms.vouches and made:
            self._known.learn_unique(terms.vouches, output, terms.by)
        self._known.learn(terms.returns, output, own=False, looked_for=looked_for and said)

    def distrusted(self, tool: str, arguments: Mapping[str, Any], output: Any) -> None:
        """Takes in what a tool returned that is trusted in nothing (it shows signs of an injection, or is an error): the call counts as done, and what it bears is borne."""
        terms = self._terms.tools.get(tool)
        if terms is None:
            return
        self.made(tool, arguments)
        self._returned.append((tool, output))
        self._labels.take(terms, output, own=False)
        self._known.learn_secrets(terms, output)

    def origin(self, value: str) -> str:
        """Where a value that a person is asked about stands, in words; empty where it has not been seen."""
        wanted = values.normal(value).strip()
        seen = [tool for tool, output in self._returned if wanted and wanted in values.normal(_text(output))]
        if not seen:
            return ""
        label = self._labels.of(value)
        bears = f" ({label.told})" if label is not None else ""
        return f"{value!r} stands in what {', '.join(dict.fromkeys(seen))} returned{bears}, which nobody vouches for"

    def labels(self) -> frozenset[str]:
        """What the texts of the session bear by now: `untrusted` once a tool has returned something that is not the house's own, `tenant` or `secret` once it brought what its
        contract calls so, `source:NAME` where its contract names one.
        """
        return self._labels.all.names() | ({"secret"} if self._known.secrets() else set[str]())

    def leaving(self, text: str) -> Verdict:
        """The answer without links, secrets, names of no list and advice that nobody trusted stands for, and without what cannot be seen; as `value`."""
        outputs = [output for _, output in self._returned]
        left, found = held(text, self._prompt, self._known, outputs, self._nouns, self._finds)
        if left == text:
            return Verdict("allow", value=text, version=self._version)
        told = tuple(dict.fromkeys(found.values()))
        return Verdict("change", next(iter(found), "answer"), "; ".join(told), left, told, self._version)

    def final(self, text: str) -> str:
        """The answer as it may leave."""
        return self.leaving(text).value

    def _lists(self, output: Any) -> Iterator[tuple[str, ...]]:
        """The lists in what was looked up whose heading is made of the request's words."""
        for leaf in values.each(output):
            for heading, items in lists_of(str(leaf)):
                if self._prompt.count(heading) and not self._prompt.strange(heading):
                    yield items

    def _settle(self, terms: ToolTerms, arguments: Mapping[str, Any]) -> None:
        """A person said yes to the call: which value of a list the request meant is settled with it."""
        for name, given in arguments.items():
            argument = terms.arguments.get(name, Argument())
            if argument.role == "authority" and argument.kind.startswith("name:") and isinstance(given, str):
                self._known.settle(argument.kind, given)

    def _size(self, tool: str, terms: ToolTerms, arguments: Mapping[str, Any], output: Any) -> None:
        """How large the thing is that was read."""
        told = [
            given for name, given in arguments.items() if terms.arguments.get(name, Argument()).kind == terms.tallies
        ]
        if terms.tallies and told:
            self._known.saw(tool, terms.tallies, str(told[0]), output, terms.by)

    def _is_of_user(self, terms: ToolTerms, arguments: Mapping[str, Any]) -> bool:
        """Whether every value of a call is the request's, or known as what it is."""
        return all(
            self._is_plain_or_known(terms.arguments.get(name), given)
            or all(self._prompt.covers(str(each)) for each in values.each(given))
            for name, given in arguments.items()
        )

    def _is_plain_or_known(self, argument: Argument | None, given: Any) -> bool:
        if argument is not None and argument.role == "plain" and argument.kind in ("date", "amount"):
            return True
        kind = argument.kind if argument else "name"
        return all(each in (None, "") or self._known.has(kind, each) for each in values.each(given))

    def _note_write(self, tool: str, terms: ToolTerms, arguments: Mapping[str, Any]) -> None:
        self._past.done.add(key_of(tool, terms, arguments, _exactly))
        for name, given in arguments.items():
            argument = terms.arguments.get(name, Argument())
            for value in values.each(given):
                if argument.role in ("text", "note"):
                    self._known.wrote.add(values.normal(str(value)))
                if argument.role == "authority":
                    self._past.taken.add((f"{tool}:{argument.kind}", str(value)))
                if self._is_foreign(argument, value):
                    self._memory.write(str(value))

    def _is_foreign(self, argument: Argument, value: Any) -> bool:
        if not isinstance(value, str) or argument.role == "plain" or argument.kind.startswith("id:"):
            return False
        return (
            bool(self._known.strange(value))
            if argument.role in ("text", "note", "inside")
            else not self._known.has(argument.kind, value)
        )


def _exactly(tool: str, arguments: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode([tool, arguments], order="sorted", enc_hook=str)


def _text(output: Any) -> str:
    return "\n".join(map(str, values.each(output)))
