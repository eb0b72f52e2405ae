"""What may leave for the network, as values: an allowlist, a decision with its reason, and a fetched page.

Above: `net`, which enforces it; `sandbox` and `tools`, which ask. Below: core's values.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from .caller import Secret
from .time import Deadline

if TYPE_CHECKING:
    import socket


class Allow(Struct, frozen=True):
    """One destination. Everything that no entry names is refused."""

    host: str
    """A name in lower case, an address literal, or `*.example.org` for the names below it (not itself)."""
    ports: tuple[int, ...] = (443, 80)
    methods: tuple[str, ...] = ()
    """Upper case; empty: any."""
    paths: tuple[str, ...] = ()
    """Prefixes that end at a `/` or are the whole path; empty: any."""
    private: bool = False
    """Addresses of private networks are permitted, for a service of one's own. Loopback and metadata services never are."""

    @property
    def looks_inside(self) -> bool:
        """Whether judging a request takes more than its host and port."""
        return bool(self.methods or self.paths)


class Credential(Struct, frozen=True):
    """A secret that is put in outside, where its placeholder stands in a header, and only towards its hosts."""

    name: str
    placeholder: str
    secret: Callable[[], Awaitable[Secret]]
    """Asked for every request, so that one that was rotated, or has run out, is not used. Raises ToolError: it cannot be had."""
    hosts: tuple[str, ...]
    headers: tuple[str, ...] = ("authorization",)


class EgressPolicy(Struct, frozen=True):
    """What one sandbox or tool may reach."""

    allow: tuple[Allow, ...] = ()
    credentials: tuple[Credential, ...] = ()
    max_request_bytes: int = 1_000_000
    max_response_bytes: int = 20_000_000
    max_requests: int = 200
    timeout_s: float = 30.0
    """Of one request, its redirects apart."""


class EgressDecision(Struct, frozen=True):
    """What was decided about one request; each goes to the ledger."""

    allowed: bool
    method: str
    host: str
    port: int
    path: str
    reason: str
    """The entry that allowed it, or what refused it."""
    address: str = ""
    """The checked address that was dialled."""
    status: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0

    @property
    def told(self) -> str:
        """As the event of the call says it."""
        verb = "allowed" if self.allowed else "denied"
        return f"egress {verb}: {self.method} {self.host}:{self.port}{self.path} ({self.reason})"


class Fetched(Struct, frozen=True):
    """A reply after its redirects."""

    url: str
    status: int
    content_type: str
    charset: str
    body: bytes
    truncated: bool


class Fetcher(Protocol):
    """Gets pages through the same walls as the proxy."""

    async def get(
        self,
        url: str,
        policy: EgressPolicy,
        deadline: Deadline,
        *,
        max_bytes: int,
        decided: Callable[[EgressDecision], None],
    ) -> Fetched:
        """`decided` hears of each request, redirects among them, also where it was refused.

        Raises:
            ToolError: `egress_denied` with the reason, `fetch_failed` with what the network said.
        """
        ...


class EgressProxy(Protocol):
    """An HTTP proxy that knows its client by the listener it came through."""

    def serve(
        self, listener: socket.socket, policy: EgressPolicy, decided: Callable[[EgressDecision], None]
    ) -> AbstractAsyncContextManager[str]:
        """Serves `listener` inside the block; the value is the authority (PEM) to trust for inspected TLS, empty without one."""
        ...
