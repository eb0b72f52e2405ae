"""Embeddings as values: what is asked for and what comes back, in no vendor's words.

Above: the embeddings face, the gateway, providers that make embeddings. Below: caller, events, money, ports.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from .budget import Budget
from .caller import Caller
from .events import Settled
from .money import Usage
from .ports import Deployment
from .time import Deadline

Input = str | tuple[int, ...]
"""A text, or the tokens of one in the model's own vocabulary."""


class EmbedRequest(Struct, frozen=True, omit_defaults=True):
    """What a caller wants as vectors."""

    model: str
    inputs: tuple[Input, ...]
    dimensions: int | None = None
    """Shorten the vectors to so many numbers, where the model is made for that."""
    user: str = ""
    call: str = ""
    """As in `ChatRequest`."""
    extra: dict[str, Any] = {}
    """Fields of the caller's dialect that this vocabulary does not name."""


class EmbedResponse(Struct, frozen=True, omit_defaults=True):
    """One vector for each input, in order."""

    model: str
    vectors: tuple[bytes, ...]
    """Each as float32, little end first."""
    usage: Usage = Usage()
    simulated: bool = False


@runtime_checkable
class EmbeddingProvider(Protocol):
    """A provider that makes embeddings beside answering chats."""

    async def embed(self, deployment: Deployment, request: EmbedRequest, deadline: Deadline, key: str) -> EmbedResponse:
        """The vectors. `key` is the idempotency key, sent where the vendor takes one.

        Raises:
            UpstreamError: of the kind that says what went wrong. InvalidRequest: the request cannot be carried.
        """
        ...


class EmbedReply(Struct, frozen=True):
    """Vectors with the event that settled them."""

    response: EmbedResponse
    settled: Settled


class EmbedGateway(Protocol):
    """One governed call for embeddings; calls that come at the same time share one upstream call."""

    async def embed(
        self, caller: Caller, request: EmbedRequest, *, budget: Budget | None = None, deadline: Deadline | None = None
    ) -> EmbedReply:
        """Raises InterlockError of the kind that says what the caller can do; the call has settled by then."""
        ...
