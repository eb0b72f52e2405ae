"""What a request and one tool's terms say of each other, whatever a call's values are: worked out once for all calls of a task. Above: flow_checks. Below: flow_scope, flow_words."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from .flow_scope import Scope
from .flow_terms import Argument, ToolTerms
from .flow_words import Words

ONCE = ("proper", "street", "quoted", "person", "file")
"""Kinds of which one name of the request serves one argument of a call."""


class Shape(Struct, frozen=True):
    """One tool, for one request."""

    asked: bool
    """The request asks for it."""
    needed: Sequence[str]
    """The arguments that may not be left out: never, or because the request gives them a value."""
    needed_always: Sequence[str]
    """Those of them that not even a step of the operator's own may leave out."""
    mailing: Sequence[str]
    """The arguments with addresses."""
    once: Sequence[str]
    """The arguments that a name of the request serves alone."""
    objects: Sequence[tuple[str, str]]
    """(argument, kind) of those that are ids."""


def shape_of(tool: str, terms: ToolTerms, prompt: Words, scope: Scope) -> Shape:
    """What holds for all calls of a tool."""
    arguments = terms.arguments.items()
    return Shape(
        _is_asked_for(tool, terms, prompt, scope),
        tuple(name for name, each in arguments if _is_needed(tool, each, prompt, scope)),
        tuple(name for name, each in arguments if each.needed),
        tuple(name for name, each in arguments if each.kind == "email"),
        tuple(name for name, each in arguments if each.role == "authority" and each.kind in ONCE),
        tuple((name, each.kind) for name, each in arguments if each.kind.startswith("id:")),
    )


def _is_asked_for(tool: str, terms: ToolTerms, prompt: Words, scope: Scope) -> bool:
    if terms.verbs and not scope.asks_for(tool):
        return False
    return not terms.wants or prompt.mentions(terms.wants)


def _is_needed(tool: str, argument: Argument, prompt: Words, scope: Scope) -> bool:
    if argument.needed or (argument.expected and prompt.mentions(argument.expected)):
        return True
    typed = argument.role == "authority" and argument.kind in ("account", "amount")
    return typed and not prompt.is_computed and bool(scope.named_for(tool, argument.kind, near=True))
