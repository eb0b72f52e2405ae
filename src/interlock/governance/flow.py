"""Information flow: may this call be made, given where each of its values came from? The model is taken to be fully compromised.

Above: agents, redteam. Below: flow_terms, flow_values. One `FlowPolicy` per task: `before` a call, `after` it, and over the `final` answer. What is asked is never
whether a text looks hostile, but whether every value with authority stands in what the user said or in a field that the tool's contract calls trusted. Sources: FIDES (arXiv
2505.23643), CaMeL (arXiv 2503.18813); the rules and what each of them is worth are in docs/policy.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from . import flow_values as values
from .flow_terms import Argument, Terms, ToolTerms

Outcome = Literal["allow", "deny", "ask"]


class Verdict(Struct, frozen=True):
    """A decision with its reason; `value` is what a person would endorse."""

    outcome: Outcome
    rule: str = ""
    reason: str = ""
    value: str = ""


ALLOW = Verdict("allow")
_LINKS = ("link", "url", "website", "webpage", "www", "http")
"""A request that speaks of addresses wants to see some."""


class FlowPolicy:
    """Decides the calls of one task. State: what is trusted so far, what a person has endorsed, what was done."""

    def __init__(self, terms: Terms, prompt: str) -> None:
        self._terms = terms
        self._prompt = values.Words(prompt)
        self._known = values.Known(prompt)
        self._endorsed: set[tuple[str, str]] = set()
        self._done: set[bytes] = set()
        self._asked: list[tuple[str, str]] = []

    def before(self, tool: str, arguments: Mapping[str, Any]) -> Verdict:
        """Whether the call may be made: yes, no, or only if a person endorses the value that has no known origin."""
        terms = self._terms.tools.get(tool)
        if terms is None:
            return Verdict("deny", "no_contract", f"{tool} has no contract")
        missing = self._missing(tool, terms, arguments)
        if not missing:
            return ALLOW
        self._asked = [(rule, value) for rule, _, value in missing]
        rule, reason, value = missing[0]
        return Verdict("ask", rule, reason, value)

    def endorse(self) -> None:
        """A person has said yes to what was asked last; it holds for this task."""
        self._endorsed.update(self._asked)
        self._asked = []

    def after(self, tool: str, arguments: Mapping[str, Any], output: Any) -> None:
        """Takes in what the tool returned (plain data): only fields that its contract calls trusted become known."""
        terms = self._terms.tools.get(tool)
        if terms is None:
            return
        if terms.effect == "write":
            self._done.add(_same(tool, arguments))
        if terms.vouches and all(self._prompt.says(str(each)) for each in values.each(dict(arguments))):
            self._known.learn_unique(terms.vouches, output)
        self._known.learn(terms.returns, output, own=terms.effect == "write")

    def final(self, text: str) -> str:
        """The answer without links that the user and trusted fields do not know."""
        for link in values.links(text):
            if not (self._known.has("url", link) or self._prompt.mentions(_LINKS)):
                text = text.replace(link, "[link removed]")
        return values.visible(text)

    def _missing(self, tool: str, terms: ToolTerms, arguments: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """What speaks against the call and has not been endorsed: (rule, reason, value)."""
        found: list[tuple[str, str, str]] = []
        if terms.wants and not self._prompt.mentions(terms.wants):
            found.append(("not_asked_for", f"the user's request does not ask for {tool}", tool))
        if terms.effect == "write" and _same(tool, arguments) in self._done:
            found.append(("repeated", f"{tool} was called like this before", msgspec.json.encode(arguments, enc_hook=str).decode()))
        for name, given in arguments.items():
            argument = terms.arguments.get(name, Argument())
            for value in values.each(given):
                reason = self._fault(argument, value)
                if reason:
                    found.append((f"{tool}.{name}", f"{name}={value!r}: {reason}", str(value)))
        return [each for each in found if (each[0], each[2]) not in self._endorsed]

    def _fault(self, argument: Argument, value: Any) -> str:
        """Why a value has no authority; empty when it has, or needs none."""
        if value is None or value == "" or argument.role == "plain":
            return ""
        if argument.role == "text":
            strange = [each for kind, each in values.carried(str(value)) if not self._known.has(kind, each)]
            return f"it carries {strange[0]!r}, which the user does not know" if strange else ""
        if argument.kind.startswith("id:"):
            return "" if self._known.object_is_meant(argument.kind, value, self._prompt) else "no object of that id was named by the user"
        return "" if self._known.has(argument.kind, value) else "it stands neither in the request nor in a trusted field"


def _same(tool: str, arguments: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode([tool, {k: v for k, v in arguments.items() if v is not None}], order="sorted", enc_hook=str)
