"""Responses that are kept so that a conversation can go on from them: the row, and the seams to it.

Above: the faces keep and find them, `ledger` and `storage` implement the seams. Below: caller, errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from .caller import Caller
from .errors import RequestRefused


class UnknownResponse(RequestRefused):
    """No response of that id is kept for this tenant and key."""

    status = 404
    code = "response_not_found"

    def __init__(self, message: str, *, param: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.param = param


def unknown(response: str, param: str) -> UnknownResponse:
    """The same words whether it is somebody else's or nobody's: an id tells nothing to who must not see it."""
    return UnknownResponse(
        f"no response {response!r} is kept for this key",
        param=param,
        hint="It was made with another key, with `store: false`, was deleted, or its time is up.",
    )


class KeptResponse(Struct, frozen=True):
    """One turn of a conversation. The turns before it stand in rows of their own, so that nothing grows quadratically."""

    id: str
    tenant: str
    key_id: str
    previous: str
    """The turn before; empty for the first."""
    items: bytes
    """The input that was new in this turn, a JSON array of items."""
    output: bytes
    """What was answered, a JSON array of items."""
    body: bytes
    """The whole response object, as it went out."""
    created_ns: int
    expires_ns: int
    user: str = ""
    """On whose behalf the turn was made. Given when it is kept; no store tells it again."""


class ResponseStore(Protocol):
    """The rows. Whoever asks sees those of its own tenant and key only."""

    def put(self, rows: Sequence[KeptResponse]) -> None:
        """Keeps turns; those before them live at least as long from here on."""
        ...

    def get(self, tenant: str, key_id: str, response: str, now_ns: int) -> KeptResponse | None: ...

    def chain(self, tenant: str, key_id: str, response: str, now_ns: int, most: int) -> list[KeptResponse]:
        """The turn and those before it, oldest first, at most `most`; empty when it is unknown or its time is up."""
        ...

    def delete(self, tenant: str, key_id: str, response: str) -> bool: ...

    def forget(self, tenant: str, key_id: str) -> int:
        """Removes every turn of a key, or with `*` of all of the tenant's; returns how many."""
        ...

    def forget_user(self, tenant: str, user: str) -> int:
        """Removes every turn that was made on a user's behalf, with whichever key; returns how many."""
        ...

    def purge(self, now_ns: int) -> int:
        """Removes conversations whose newest turn has expired; returns how many turns went."""
        ...


class Responses(Protocol):
    """Kept responses as a face uses them."""

    @property
    def keeps(self) -> bool:
        """Whether anything is kept at all."""
        ...

    async def earlier(self, caller: Caller, response: str) -> Sequence[bytes]:
        """The items of a conversation up to and with `response`, oldest first.

        Raises:
            UnknownResponse: it was never kept for this tenant and key, was deleted, or its time is up.
        """
        ...

    async def keep(
        self, caller: Caller, response: str, previous: str, items: Sequence[bytes], output: bytes, body: bytes
    ) -> None:
        """Raises StoreUnavailable."""
        ...

    async def find(self, caller: Caller, response: str) -> KeptResponse:
        """Raises UnknownResponse."""
        ...

    async def delete(self, caller: Caller, response: str) -> None:
        """Raises UnknownResponse, StoreUnavailable."""
        ...
