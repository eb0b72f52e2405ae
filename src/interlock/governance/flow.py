"""Information flow: may this call be made, given where each of its values came from? The model is taken to be fully compromised.

Above: agents, redteam. Below: flow_terms, flow_known. One `FlowPolicy` per task: `before` a call, `after` it, and over the `final` answer. What is asked is never
whether a text looks hostile, but whether every value with authority stands in what the user said or in a field that the tool's contract calls trusted. Sources: FIDES (arXiv
2505.23643), CaMeL (arXiv 2503.18813); the rules and what each of them is worth are in docs/policy.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from . import flow_values as values
from .flow_known import Known
from .flow_memory import Memory
from .flow_terms import Argument, Terms, ToolTerms
from .flow_words import Words, is_part, items_of

Outcome = Literal["allow", "deny", "ask"]


class Verdict(Struct, frozen=True):
    """A decision with its reason; `value` is what a person would endorse, `card` all that stands against the call."""

    outcome: Outcome
    rule: str = ""
    reason: str = ""
    value: str = ""
    card: tuple[str, ...] = ()


ALLOW = Verdict("allow")
_LEEWAY = 3
"""Words of its own that a note to the user may have."""
_ORDINARY = 10
"""Letters of such a word."""


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
    ) -> None:
        """`given`: the task's inputs, for arguments that have to be one of them. `house`: words of the operator's own (a system prompt), whose addresses and links may be used."""
        self._terms = terms
        self._prompt = Words(prompt)
        self._known = Known(self._prompt, given or {}, house)
        self._memory = Memory() if memory is None else memory
        self._items: set[str] = set()
        self._done: set[bytes] = set()
        self._taken: set[tuple[str, str]] = set()
        self._asked = b""
        self._endorsed = b""
        self._returned: list[tuple[str, Any]] = []

    def before(self, tool: str, arguments: Mapping[str, Any], *, declared: bool = False) -> Verdict:
        """Whether the call may be made: yes, no, or only if a person endorses the values that have no known origin. `declared`: the operator wrote the step itself, so that
        nobody has to ask for it and its words are the operator's; what decides something still has to be known.
        """
        terms = self._terms.tools.get(tool)
        if terms is None:
            return Verdict("deny", "no_contract", f"{tool} has no contract")
        same = _exactly(tool, arguments)
        if self._endorsed == same:
            return ALLOW
        found = list(self._faults(tool, terms, arguments, declared=declared))
        if not found:
            return ALLOW
        self._asked, self._endorsed = same, b""
        rule, reason, value = found[0]
        return Verdict("ask", rule, reason, value, tuple(reason for _, reason, _ in found))

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
            self._done.add(self._key(tool, terms, arguments))

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
        if terms.guarded:
            whose = {name for name, argument in terms.arguments.items() if argument.role == "authority"}
            if not endorsed:
                self._known.learn(terms.returns, output, own=False, looked_for=whose >= set(arguments))
            return
        leaves = [each for each in values.each(dict(arguments)) if each not in (None, "")]
        if terms.effect == "write":
            if not endorsed and terms.returns:
                self._known.learn(terms.returns, output, own=True, looked_for=False)
            return
        said = all(self._prompt.says(str(each)) for each in leaves)
        made = all(self._prompt.says(str(each)) or self._prompt.covers(str(each)) for each in leaves)
        if not made and not all(
            self._is_plain_or_known(terms.arguments.get(name), given) for name, given in arguments.items()
        ):
            self._known.list_only(terms.returns, output)
            return
        output = self._memory.without_foreign(output)
        looked_for = bool(leaves) and any(self._prompt.names(str(each)) for each in leaves)
        if looked_for and said:
            self._items.update(items_of(_text(output)))
        if terms.vouches and made:
            self._known.learn_unique(terms.vouches, output, terms.by)
        self._known.learn(terms.returns, output, own=False, looked_for=looked_for and said)

    def origin(self, value: str) -> str:
        """Where a value that a person is asked about stands, in words; empty where it has not been seen."""
        wanted = values.normal(value).strip()
        seen = [tool for tool, output in self._returned if wanted and wanted in values.normal(_text(output))]
        return (
            f"{value!r} stands in what {', '.join(dict.fromkeys(seen))} returned, which nobody vouches for"
            if seen
            else ""
        )

    def final(self, text: str) -> str:
        """The answer without links that neither the user nor a trusted field knows, and without what cannot be seen."""
        text = values.visible(text)
        for link in values.links(text):
            if not self._known.has("url", link):
                text = text.replace(link, "[link removed]")
        return text

    def _faults(
        self, tool: str, terms: ToolTerms, arguments: Mapping[str, Any], *, declared: bool
    ) -> Iterator[tuple[str, str, str]]:
        """What speaks against the call: (rule, reason, value)."""
        if terms.wants and not declared and not self._prompt.mentions(terms.wants):
            yield "not_asked_for", f"the user's request does not ask for {tool}", tool
        if terms.effect == "read" and not terms.leaves and not terms.guarded:
            return
        for name, argument in terms.arguments.items():
            if argument.needed and name not in arguments:
                yield f"{tool}.{name}", f"{name} is left out", ""
        if self._key(tool, terms, arguments) in self._done:
            yield "repeated", f"{tool} was called for the same before", tool
        people = [
            str(each)
            for name, given in arguments.items()
            if terms.arguments.get(name, Argument()).kind == "email"
            for each in values.each(given)
            if each
        ]
        if len(people) != len(set(people)):
            yield "twice", "somebody is named twice", people[0]
        for name, given in arguments.items():
            argument = terms.arguments.get(name, Argument())
            if argument.readers and arguments.get(argument.readers):
                argument = structs.replace(argument, role="text")
            if declared and argument.role in ("text", "note", "inside"):
                continue
            for value in values.each(given):
                reason = self._fault(tool, argument, value, writes=terms.effect == "write")
                if reason:
                    yield f"{tool}.{name}", f"{name}={value!r}: {reason}", str(value)
            if argument.after and not self._known.ends_well(arguments.get(argument.after), given):
                yield f"{tool}.{name}", f"{name}={given!r}: the request gives no such time", str(given)

    def _fault(self, tool: str, argument: Argument, value: Any, *, writes: bool) -> str:
        """Why a value has no authority; empty when it has, or needs none."""
        if value is None or value == "":
            return "there is nothing in it" if argument.needed else ""
        if not values.plain(value):
            return "it holds characters that a reader does not see as they are"
        if argument.wants and value is not False and not self._prompt.mentions(argument.wants):
            return "the request does not speak of it"
        if argument.choices:
            return self._choice_fault(argument, value)
        if argument.role == "plain":
            return "" if values.well_formed(argument.kind, value) else f"it has not the form of a {argument.kind}"
        if argument.role in ("text", "note", "inside"):
            return self._text_fault(argument, str(value))
        if argument.kind.startswith("id:"):
            return (
                ""
                if self._known.object_is_meant(argument.kind, value)
                else "no object of that id was named by the user"
            )
        if not self._known.has(argument.kind, value):
            return "it stands neither in the request nor in a trusted field"
        if writes and self._known.from_directory(argument.kind, value) and not self._prompt.of_all:
            others = {each for kind, each in self._taken if kind == f"{tool}:{argument.kind}"}
            return "the request speaks of one, and another was taken" if others - {str(value)} else ""
        return ""

    def _choice_fault(self, argument: Argument, value: Any) -> str:
        wants = argument.choices.get(str(value))
        if wants is None:
            return f"it is none of {', '.join(argument.choices)}"
        return "" if not wants or self._prompt.mentions(wants) else "the request does not ask for that"

    def _text_fault(self, argument: Argument, text: str) -> str:
        unknown = [each for kind, each in values.carried(text) if kind != "number" and not self._known.has(kind, each)]
        if unknown:
            return f"it carries {unknown[0]!r}, which the user does not know"
        if argument.role == "inside":
            return ""
        if argument.role == "note":
            text = "\n".join(
                each
                for line in text.splitlines()
                for each in items_of(line) or [line]
                if not is_part(each, self._items)
            )
        strange = self._known.strange(text)
        if (
            argument.role == "note"
            and len(strange) <= _LEEWAY
            and all(each.isalpha() and len(each) <= _ORDINARY for each in strange)
        ):
            return ""
        return f"it says {' '.join(strange[:8])!r}, which is not from the request" if strange else ""

    def _is_plain_or_known(self, argument: Argument | None, given: Any) -> bool:
        if argument is not None and argument.role == "plain" and argument.kind in ("date", "amount"):
            return True
        kind = argument.kind if argument else "name"
        return all(each in (None, "") or self._known.has(kind, each) for each in values.each(given))

    def _note_write(self, tool: str, terms: ToolTerms, arguments: Mapping[str, Any]) -> None:
        self._done.add(self._key(tool, terms, arguments))
        for name, given in arguments.items():
            argument = terms.arguments.get(name, Argument())
            for value in values.each(given):
                if argument.role == "authority":
                    self._taken.add((f"{tool}:{argument.kind}", str(value)))
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

    def _key(self, tool: str, terms: ToolTerms, arguments: Mapping[str, Any]) -> bytes:
        """What the call does to whom: its authority, whatever its texts say."""
        told = {
            name: given
            for name, given in arguments.items()
            if given is not None and terms.arguments.get(name, Argument()).role == "authority"
        }
        return _exactly(tool, told)


def _exactly(tool: str, arguments: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode([tool, arguments], order="sorted", enc_hook=str)


def _text(output: Any) -> str:
    return "\n".join(map(str, values.each(output)))
