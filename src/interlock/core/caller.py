"""Who calls, and on whose behalf: the tenant travels in here through every cache key, query and event."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Versions(Struct, frozen=True, gc=False, omit_defaults=True):
    """Content hashes (12 hex digits) of what decided a call; two values side by side tell what changed."""

    contract: str = ""
    prompt: str = ""
    policy: str = ""
    """Budgets, caching, degradation, residency, what is done about personal data and injections, and the shape of requests."""
    route: str = ""
    """Models, aliases and escalation rules."""


class Caller(Struct, frozen=True, gc=False, omit_defaults=True):
    """One caller of the gateway or of a workflow."""

    tenant: str
    user: str = ""
    key_id: str = ""
    """Name of the credential that was presented, never the credential."""
    workflow: str = ""
    task: str = ""
    """Id of the task this call is a step of; a lone gateway call is a task of one step and gets a fresh id."""
    step: int = 0
    versions: Versions = Versions()
    trace: str = ""
    """W3C `traceparent` that came in with the call or the task, and whose trace it belongs to; empty when none did."""
    labels: tuple[str, ...] = ()
    """What its texts bear (`secret`, `untrusted`, own ones), sorted: which providers may see them, and whom a kept answer may serve."""
    purpose: Literal["", "judge"] = ""
    """`judge`: it looks at the task when that is over, and is no work on it."""


class Secret:
    """A credential that shows itself nowhere: not in `repr`, not in logs, not in errors, not when encoded."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The credential itself; call it only where it is put on the wire."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret('***')" if self._value else "Secret('')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))
