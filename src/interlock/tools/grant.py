"""What a contract allows one tool, one call that somebody wants, and what came of it.

Above: every other file of this room, the agents. Below: define, verdict.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from interlock.core.events import Settled

from .define import Tool
from .verdict import Rule


class Grant(Struct, frozen=True):
    """What a contract allows one tool."""

    tool: Tool
    timeout_s: float = 10.0
    """Of each try."""
    retries: int = 0
    """Further tries, made only where the tool's effect is `none` or `idempotent`."""
    max_calls: int | None = None
    max_output_bytes: int = 65_536
    """Of the result as JSON; more is cut and labelled `truncated`."""
    rules: tuple[Rule, ...] = ()
    """Looked at in order, before anything is reserved."""
    max_concurrency: int | None = None
    """Calls of the tool at the same time in this process; further ones wait within their deadline."""
    cache_ttl_s: float = 0.0
    """How long an answer may be given again; for tools whose effect is `none`."""
    breaker_failures: int = 5
    """Failures in a row after which the tool is left alone; 0: never."""
    breaker_cool_s: float = 30.0
    credentials: tuple[str, ...] = ()
    """Names of those that the tool is lent."""
    fields: tuple[str, ...] = ()
    """Paths of its result that are let through; empty: all."""
    reveal: tuple[str, ...] = ()
    """Kinds of personal data whose tokens become what they stand for in its arguments; `*` for all."""
    fallback: Grant | None = None
    """Asked instead, when this tool could not answer and certainly did nothing."""
    justify_after: int | None = None
    """Calls in one task beyond so many are made only where the model says why."""


class ToolRequest(Struct, frozen=True):
    """One call that somebody wants. `arguments` is a JSON object, or the text a model wrote where it is none."""

    name: str
    arguments: Any
    key: str
    ask_first: bool = False
    """An earlier try may have happened: ask the tool's `reconcile` before doing it again."""
    refused: str = ""
    """Why it is not to be made, where that was decided before: it settles as denied, and the model reads why."""
    verdict: str = ""
    """The same with the rule and the version of the policy that decided, for the ledger."""


class ToolReply(Struct, frozen=True):
    """The settled event, and beside it `{"arguments", "result"}` or `{"arguments", "error": {code, message, hint, retryable}}`."""

    settled: Settled
    content: dict[str, Any]
