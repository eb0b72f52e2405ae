"""One model call as values: request, response, stream chunk. Every dialect is translated to and from these.

Above: the faces (`server`), the gateway, the agents. Below: money.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta, Struct, structs

from .money import Usage

Role = Literal["system", "developer", "user", "assistant", "tool"]
Finish = Literal["stop", "length", "tool_calls", "content_filter", "error"]
Fact = str | float | int | bool | None
MOST_TOKENS = 2**31 - 1
"""More than any model takes, and little enough that its price in nano-dollars fits 64 bits."""
Cap = Annotated[int, Meta(ge=1, le=MOST_TOKENS)]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number that stores and wires hold."""


CacheMark = Literal["", "5m", "1h"]
"""How long a vendor's prompt cache should keep the prefix that ends here; empty for no mark."""


class Part(Struct, frozen=True, omit_defaults=True):
    """One piece of a message's content."""

    type: Literal["text", "image", "audio", "file"]
    text: str = ""
    url: str = ""
    """Address of the media, `data:` addresses included."""
    data: str = ""
    """Base64 of the media where the dialect carries it apart from an address."""
    media_type: str = ""
    name: str = ""
    file_id: str = ""
    """Name of the media at the vendor it was uploaded to; no other vendor knows it."""
    detail: str = ""
    """How closely an image is looked at: `low`, `high` or `auto`; empty for the vendor's default."""
    cache: CacheMark = ""


class Thought(Struct, frozen=True, omit_defaults=True):
    """What a model thought before it answered, as far as its vendor shows it."""

    text: str = ""
    signature: str = ""
    """The vendor's seal on `text`; it wants both back unchanged."""
    data: str = ""
    """Thinking that the vendor shows in sealed form only; `text` is empty then, or a summary."""
    origin: str = ""
    """Dialect of the vendor that can read the seal; to every other one the thought is only its text."""
    id: str = ""
    """Of the item, where the dialect numbers them (OpenAI's Responses)."""


class ThoughtDelta(Struct, frozen=True, omit_defaults=True):
    """A piece of a thought inside a stream; pieces with one `index` belong together."""

    index: int
    text: str = ""
    signature: str = ""
    data: str = ""
    origin: str = ""
    id: str = ""


class ToolCall(Struct, frozen=True, omit_defaults=True):
    """A call that a model asks for. `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str = "{}"
    signature: str = ""
    """The vendor's seal on the call, where it seals calls (Gemini); it wants it back with the call."""


class Message(Struct, frozen=True, gc=False, omit_defaults=True):
    """One turn of a conversation."""

    role: Role
    content: str | tuple[Part, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    """On `tool` messages: which call this answers."""
    name: str = ""
    thoughts: tuple[Thought, ...] = ()
    """On `assistant` messages: what was thought before the answer and its tool calls."""
    refusal: str = ""
    """On `assistant` messages: what was said instead of an answer."""
    failed: bool = False
    """On `tool` messages: the tool could not do what it was asked; the content says why."""

    @property
    def text(self) -> str:
        """The textual content, parts joined by new lines."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if part.type == "text")


class Words(Protocol):
    """A message with its text; one that the short way takes holds nothing else."""

    @property
    def role(self) -> Role: ...

    @property
    def text(self) -> str:
        """All that it says."""
        ...


class ToolSpec(Struct, frozen=True, omit_defaults=True):
    """A tool as a model sees it; `parameters` is a JSON Schema object."""

    name: str
    parameters: dict[str, Any]
    description: str = ""
    strict: bool = False
    cache: CacheMark = ""


class OutputSchema(Struct, frozen=True, omit_defaults=True):
    """The JSON Schema an answer has to satisfy; validated on our side whatever the vendor promises."""

    name: str
    schema: dict[str, Any]
    strict: bool = True
    description: str = ""


class Thinking(Struct, frozen=True, omit_defaults=True):
    """How much a model should think before it answers. A wish: a model that does not think answers all the same."""

    effort: str = ""
    """`none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`; empty for the vendor's default."""
    budget: int | None = None
    """Tokens it may think, where the caller counts them; zero forbids it."""
    shown: bool = False
    """The caller wants to see the thoughts, or a summary of them."""


class ChatRequest(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a caller wants from a model, in no vendor's words."""

    model: str
    """Alias, bare model name or `provider/model`."""
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = ""
    """Empty (vendor's default), `auto`, `none`, `required`, or the name of one tool."""
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    """How many answers are wanted; each may use up to `max_output_tokens`."""
    thinking: Thinking | None = None
    output_schema: OutputSchema | None = None
    json_mode: bool = False
    logprobs: bool = False
    stream: bool = False
    include_usage: bool = False
    """The caller wants a usage chunk at the end of its stream (OpenAI's `stream_options.include_usage`)."""
    user: str = ""
    facts: dict[str, Fact] = {}
    """What routing conditions may look at: account_tier, sentiment, risk, region, …"""
    traceparent: str = ""
    """W3C Trace Context header to send along, so that a vendor's or an own model server's logs can be joined with ours."""
    extra: dict[str, Any] = {}
    """Fields of the caller's dialect that this vocabulary does not name; sent on where the dialect is the same, refused where it is
    not. A name that is a path (`tools[0].type`) stands for something inside a field, which only the raw bytes can carry."""
    call: str = ""
    """Id of the call, from a caller that may repeat it after a crash: it settles once, and its idempotency key stays the same."""
    tenant: str = ""
    """Whose call it is: providers that remember seals for later turns keep them apart by it."""
    raw: bytes = b""
    """The caller's own bytes, so that a provider of the same dialect can forward them with a minimal patch."""
    raw_dialect: str = ""
    """The caller's dialect: a vendor of the same one has its own bytes handed on, also where `raw` is empty."""
    raw_headers: tuple[tuple[str, str], ...] = ()
    """Headers that say in the caller's dialect how the request is meant (`anthropic-beta`); they go with it to a vendor of the same one."""

    def but(self, **changes: Any) -> ChatRequest:
        """This request with some fields replaced; the raw bytes are dropped, since they no longer say the same."""
        return structs.replace(self, **{"raw": b"", **changes})


class TokenLogprob(Struct, frozen=True, omit_defaults=True):
    """One token of an answer with the natural logarithm of its probability."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    """The likeliest tokens at this place, where they were asked for."""


class Choice(Struct, frozen=True, omit_defaults=True):
    """One of several answers to the same request."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish = "stop"
    refusal: str = ""
    thoughts: tuple[Thought, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


class ChatResponse(Struct, frozen=True, gc=False, omit_defaults=True):
    """A whole answer."""

    model: str
    """The model that answered, as the vendor names it."""
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish = "stop"
    usage: Usage = Usage()
    id: str = ""
    refusal: str = ""
    thoughts: tuple[Thought, ...] = ()
    stop_hit: str = ""
    """The stop sequence that ended the answer, where the vendor names it."""
    others: tuple[Choice, ...] = ()
    """The second answer and those after it, where several were asked for."""
    logprobs: tuple[TokenLogprob, ...] = ()
    mean_logprob: float | None = None
    """Mean natural-log probability of the output tokens, where the vendor gave them."""
    confidence: float | None = None
    """Calibrated probability (0–1) that the answer is right, where the provider is able to say so."""
    simulated: bool = False
    raw: bytes = b""
    """The vendor's own bytes, forwarded as they are where the caller speaks the same dialect."""
    raw_dialect: str = ""


class ToolCallDelta(Struct, frozen=True, omit_defaults=True):
    """A piece of a tool call inside a stream; pieces with one `index` belong together."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    signature: str = ""


class ChoiceDelta(Struct, frozen=True, omit_defaults=True):
    """A piece of the second answer or of one after it, where several were asked for."""

    index: int
    """Of the answer, from 1."""
    text: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish: Finish | None = None
    refusal: str = ""
    thoughts: tuple[ThoughtDelta, ...] = ()


class Chunk(Struct, frozen=True, gc=False, omit_defaults=True):
    """One piece of a streamed answer. `usage` and `finish` come on whichever piece the vendor sends them."""

    text: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish: Finish | None = None
    usage: Usage | None = None
    model: str = ""
    id: str = ""
    raw: bytes = b""
    """The vendor's own event bytes, whole events only, for a caller of the same dialect."""
    raw_dialect: str = ""
    refusal: str = ""
    thoughts: tuple[ThoughtDelta, ...] = ()
    stop_hit: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    others: tuple[ChoiceDelta, ...] = ()
    parts: int = 1
    """How many of the vendor's own pieces of text came together in it."""
    confidence: float | None = None
    """As `ChatResponse` has it, from a provider that says it with the end."""
