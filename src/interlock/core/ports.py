"""The seams: what a room needs from another one, as protocols. `app` puts the concrete parts in.

Above: everybody. Below: the values of `core`.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol, runtime_checkable

from msgspec import Struct

from .budget import Budget
from .caller import Caller, Secret
from .chat import ChatRequest, ChatResponse, Chunk
from .events import Record, Settled
from .money import Price
from .time import Clock, Deadline

# --- HTTP, upstream ---------------------------------------------------------------------------------------------


class HttpRequest(Struct, frozen=True, gc=False):
    """One request to a vendor. Header names in lower case; `host` and `content-length` are the client's business."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    """Those that are the same from call to call: they are checked and written once, and then looked up."""
    body: bytes = b""
    own: tuple[tuple[str, str], ...] = ()
    """Headers of this one request, sent after the others."""

    def __repr__(self) -> str:
        """Without the values of headers, which hold credentials, and without the body, which holds what people wrote."""
        names = ", ".join(name for name, _ in (*self.headers, *self.own))
        return f"HttpRequest({self.method} {self.url}, headers: {names or 'none'}, {len(self.body)} bytes)"


class HttpResponse(Struct, frozen=True, gc=False):
    """A whole reply; header names in lower case, the last of several equal ones wins."""

    status: int
    headers: dict[str, str]
    body: bytes


class HttpStream(Protocol):
    """A reply whose body is still coming."""

    status: int
    headers: dict[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; pieces that arrived together are joined. Raises UpstreamStalled, UpstreamCut."""
        ...

    async def pour(self, sink: Callable[[bytes], bool]) -> bool:
        """Hands each piece to `sink` as it comes, in the callback that read it, until it answers False. True: `chunks` has more (the
        refused piece, which `sink` has kept, is not among it); False: that was the end. Raises as `chunks`.
        """
        ...

    async def read(self) -> bytes:
        """The rest of the body at once, up to the client's size cap; for error bodies."""
        ...


NOTHING_SENT = "nothing was sent"
"""Among the arguments of a cancellation that came before the request went out."""


class HttpClient(Protocol):
    """A pooled HTTP/1.1 client. Cancelling a call hangs up at once; what was on its way is still handed out, for 50 ms.

    Raises:
        ConnectFailed, UpstreamTimeout, UpstreamStalled, UpstreamCut, BadReply: as named. Statuses are not errors.
    """

    async def request(self, request: HttpRequest, deadline: Deadline) -> HttpResponse: ...

    def stream(
        self, request: HttpRequest, deadline: Deadline, *, stall_s: float, first_byte_s: float | None = None
    ) -> AbstractAsyncContextManager[HttpStream]:
        """`stall_s`: the longest silence between two pieces of the body. `first_byte_s`: the wait for its beginning."""
        ...

    async def close(self) -> None: ...


class Tap(Protocol):
    """Takes the plain pieces of a stream as they are read, so that no task need be woken for each of them.

    Whoever reads a stream (the gateway's, a provider's) may send one into the generator (`asend`) in place of asking for the next chunk.
    The generator may use it or not; what it does not put into the tap it yields as ever.
    """

    def put(self, raw: bytes, texts: Sequence[bytes]) -> bool:
        """Whole events of the caller's own dialect that hold nothing but text; `texts` is the inside of each one's JSON string.

        False: taken, but no more until `ready`.
        """
        ...

    async def ready(self) -> bool:
        """Waits until more is taken; False: no more at all, from now on everything has to be yielded."""
        ...


# --- Providers --------------------------------------------------------------------------------------------------


class Deployment(Struct, frozen=True, gc=False):
    """Something that can be called: a model at a provider with a credential."""

    provider: str
    """Name in the configuration."""
    model: str
    """As the vendor names it."""
    dialect: str
    """Name of the provider plug-in that speaks to it."""
    base_url: str = ""
    api_key: Secret = Secret("")
    region: str = ""
    tier: str = ""
    timeout_s: float = 60.0
    """Until the first byte of an answer."""
    stall_s: float = 30.0
    """The longest silence inside a stream."""
    simulated: bool = False
    requests_per_minute: int = 0
    """What the vendor allows for it, where that is known beforehand; zero where only its replies say so."""
    tokens_per_minute: int = 0
    max_concurrent: int = 0
    """Calls at once that it is given at most; zero for no fixed number."""
    options: Mapping[str, Any] = {}
    """The provider's own `options:` from the file, already checked against the plug-in's `Settings`."""

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    def __repr__(self) -> str:
        """Without its options: headers that a team adds there may hold credentials."""
        return f"Deployment({self.name!r}, dialect={self.dialect!r}, base_url={self.base_url!r})"


class Provider(Protocol):
    """One wire dialect. Stateless but for what it was built with; safe for concurrent calls."""

    async def chat(self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str) -> ChatResponse:
        """The whole answer. `key` is the idempotency key, sent where the vendor takes one.

        Raises:
            UpstreamError: of the kind that says what went wrong. InvalidRequest: the request cannot be carried.
        """
        ...

    def stream(
        self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str
    ) -> AsyncIterator[Chunk]:
        """The answer in pieces; the last pieces carry `finish` and `usage`. An async generator: close it to cancel."""
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """A provider whose vendor counts the tokens of a request without answering it."""

    async def count(self, deployment: Deployment, request: ChatRequest, deadline: Deadline) -> int:
        """Input tokens that the request would have. Raises as `Provider.chat`."""
        ...


class Room(Struct, frozen=True):
    """What a vendor says it has room for: one of its limits on a model behind a credential."""

    kind: Literal["requests", "tokens", "input_tokens", "output_tokens"]
    limit: float
    left: float
    full_in_s: float
    """Seconds until it is whole again."""


Heard = Callable[[str, tuple[Room, ...]], None]
"""(name of the deployment, what its reply's headers say of its limits)."""


class PluginEnv(Struct, frozen=True):
    """What a plug-in is built with: `def build(env: PluginEnv) -> Provider` stands in each provider's file."""

    http: HttpClient
    clock: Clock
    rng: random.Random
    tier0: Mapping[str, TierZero]
    """The on-device engines by workflow, for the `local` provider."""
    embed_texts: Callable[[Sequence[str]], Sequence[bytes]] | None = None
    """Texts → vectors (float32, little end first) by the model on this machine; takes milliseconds of CPU, so call it off the event
    loop. `None` where there is none."""
    heard: Heard = lambda _name, _rooms: None
    """To be told what replies say of the vendor's limits, so that they are kept before they are hit; `plugins.rooms.hear` does it."""


# --- On-device tier ---------------------------------------------------------------------------------------------

ON_DEVICE = "local"
"""The provider that answers on the device: its model `local/<workflow>` is the engine of a workflow."""
ON_DEVICE_TIER = "tier0"
"""The tier of a task that was resolved without a model of any other provider."""


class Understanding(Struct, frozen=True):
    """What the on-device tier makes of one text."""

    intent: str
    """Best intent, also when it is not accepted; empty when there is none."""
    confidence: float
    """Calibrated probability (0–1) that acting on `intent` is right, out-of-scope texts included."""
    accepted: bool
    """The confidence is above the threshold that keeps the contract's promise."""
    threshold: float
    runner_up: str = ""
    reason: str = ""


class Passage(Struct, frozen=True):
    """Whole sentences, verbatim but for line breaks, of one article or where it takes two of two."""

    article: str
    title: str
    text: str
    score: float
    """Chance (0–1) that the text answers the question, learned from the articles."""
    good: bool
    """The score is above the floor that keeps the promise."""
    also: str = ""
    """The second article, where the text's second part comes from another one."""


class TierZero(Protocol):
    """The on-device engine of one workflow. Calls take milliseconds of CPU: run them off the event loop."""

    def understand(self, text: str) -> Understanding: ...

    def find(self, question: str, intent: str = "") -> Passage | None:
        """The passage that answers best; among the articles about `intent`, where there are any."""
        ...


# --- Ledger and store -------------------------------------------------------------------------------------------


class Ledger(Protocol):
    """Where calls settle. `open` and `settle` never block; `append` returns when the records are committed."""

    async def ready(self, deadline: Deadline) -> None:
        """Returns when `open` has room, at once in the usual case; await it right before `open`.

        While the store can be written but is behind, the caller waits, within `deadline` and the ledger's own bound. When that
        time is up, or the store cannot be written at all, it returns too, and `open` says what is the matter.
        """
        ...

    def has_room(self) -> bool:
        """Whether `open` has room right now, so that `ready` need not be awaited."""
        ...

    def open(self, if_crashed: Settled) -> int:
        """Notes a call that begins, as the event that would be true if the process died now; returns its slot.

        Raises:
            LedgerFull: no further call can be accounted for: the store has failed for so long, or room did not come in time.
        """
        ...

    def settle(self, slot: int, settled: Settled, content: dict[str, Any] | None = None, *, fence: int = 0) -> None:
        """The call's one event, at (caller.task, caller.step). Queued; survives a kill -9 from here on."""
        ...

    async def append(self, records: Sequence[Record]) -> None:
        """Commits records, in order, after everything settled before.

        Raises:
            Fenced: another worker owns the task. StoreUnavailable: it could not be written within the stated bound.
        """
        ...


class ChatReply(Struct, frozen=True):
    """An answer with the event that settled it."""

    response: ChatResponse
    settled: Settled


class ChatGateway(Protocol):
    """One governed model call."""

    async def chat(
        self,
        caller: Caller,
        request: ChatRequest,
        *,
        budget: Budget | None = None,
        deadline: Deadline | None = None,
        fence: int = 0,
    ) -> ChatReply:
        """Raises InterlockError of the kind that says what the caller can do; the call has settled by then."""
        ...

    def stream(
        self,
        caller: Caller,
        request: ChatRequest,
        *,
        budget: Budget | None = None,
        deadline: Deadline | None = None,
        fence: int = 0,
    ) -> AsyncIterator[Chunk | ChatReply]:
        """The pieces, then one `ChatReply` holding the whole answer. An async generator: close it when the client is gone."""
        ...


class TokenCount(Struct, frozen=True):
    """How many input tokens a request would have."""

    input_tokens: int
    deployment: str
    """Whose tokenizer it is about: the first candidate's."""
    estimated: bool
    """By the text's length, because the vendor does not count or did not answer."""


class CountingGateway(ChatGateway, Protocol):
    """A gateway that counts tokens beforehand, too."""

    async def count_tokens(
        self, caller: Caller, request: ChatRequest, *, deadline: Deadline | None = None
    ) -> TokenCount:
        """Nothing is billed, so nothing settles. Raises UnknownModel, UpstreamRejected, UpstreamAuth."""
        ...


PriceOf = Callable[[Deployment, int], Price]
"""(deployment, whole input tokens) → the price that applies. Resolved once per model and tier, then a look-up."""
