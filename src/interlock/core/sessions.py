"""The seam to sessions: small values that belong together for a while, by tenant, wherever several processes find them.

Above: app; storage implements it twice. Below: nothing. A session ends a stated time after it was last changed; what it holds is one JSON object.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from .errors import InvalidRequest

Values = dict[str, Any]


class SessionTooLarge(InvalidRequest):
    """What a session would hold is more than it may; it stays as it was."""

    code = "session_too_large"

    def __init__(self, size: int, most: int) -> None:
        super().__init__(
            f"the session would hold {size:,} bytes, {most:,} is the most",
            param="values",
            hint="Remove values that are no longer needed, or raise sessions.max_bytes.",
        )


class SessionStore(Protocol):
    """Sessions that processes share.

    Raises:
        StoreUnavailable: from every method.
    """

    def read(self, tenant: str, session: str) -> Awaitable[Values]:
        """Everything in it; empty where it has ended or never was."""
        ...

    def change(self, tenant: str, session: str, values: Mapping[str, Any]) -> Awaitable[Values]:
        """Puts values in the place of those before, removes those that are `None`, and returns what there is then.

        Changes of several at the same time each take effect whole. Raises SessionTooLarge.
        """
        ...

    def forget(self, tenant: str, session: str) -> Awaitable[bool]:
        """Ends it at once; whether there was one."""
        ...

    def close(self) -> Awaitable[None]: ...


class SessionRows(Protocol):
    """The same as a store of rows has it: synchronous, from any thread; times are the caller's."""

    def read(self, tenant: str, session: str, now_ns: int) -> Values: ...

    def change(
        self, tenant: str, session: str, values: Mapping[str, Any], *, now_ns: int, ends_ns: int, max_bytes: int
    ) -> Values: ...

    def forget(self, tenant: str, session: str, now_ns: int) -> bool: ...

    def forget_all(self, tenant: str, prefix: str) -> int:
        """Ends the tenant's sessions whose ids begin so (empty: all of them); returns how many."""
        ...

    def sweep(self, now_ns: int) -> int:
        """Removes some of those that have ended; how many."""
        ...


def changed(before: Values, values: Mapping[str, Any]) -> Values:
    """`before` with `values` put in; `None` removes."""
    return {name: value for name, value in {**before, **values}.items() if value is not None}


def prefix_of(user: str) -> str:
    """What the ids of a user's own sessions begin with."""
    return f"{user.encode().hex()}/"


def user_of(session: str) -> str:
    """Whose a session is by its id; empty where it is nobody's: what callers may call one has no slash."""
    head, slash, _ = session.partition("/")
    try:
        return bytes.fromhex(head).decode() if slash else ""
    except ValueError:
        return ""
