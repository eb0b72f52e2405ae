"""One model call as values: request, response, stream chunk. Every dialect is translated to and from these.

Above: the faces (`server`), the gateway, the agents. Below: money.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, structs

from .money import Usage

Role = Literal["system", "developer", "user", "assistant", "tool"]
Finish = Literal["stop", "length", "tool_calls", "content_filter", "error"]
Fact = str | float | int | bool | None


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


class ToolCall(Struct, frozen=True, omit_defaults=True):
    """A call that a model asks for. `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str = "{}"


class Message(Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation."""

    role: Role
    content: str | tuple[Part, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    """On `tool` messages: which call this answers."""
    name: str = ""

    @property
    def text(self) -> str:
        """The textual content, parts joined by new lines."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if part.type == "text")


class ToolSpec(Struct, frozen=True, omit_defaults=True):
    """A tool as a model sees it; `parameters` is a JSON Schema object."""

    name: str
    parameters: dict[str, Any]
    description: str = ""
    strict: bool = False


class OutputSchema(Struct, frozen=True, omit_defaults=True):
    """The JSON Schema an answer has to satisfy; validated on our side whatever the vendor promises."""

    name: str
    schema: dict[str, Any]
    strict: bool = True


class ChatRequest(Struct, frozen=True, omit_defaults=True):
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
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
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
    """Fields of the caller's dialect that this vocabulary does not name; sent on where the dialect is the same,
    refused where it is not."""
    raw: bytes = b""
    """The caller's own bytes, so that a provider of the same dialect can forward them with a minimal patch."""
    raw_dialect: str = ""

    def but(self, **changes: Any) -> ChatRequest:
        """This request with some fields replaced; the raw bytes are dropped, since they no longer say the same."""
        return structs.replace(self, **{"raw": b"", "raw_dialect": "", **changes})


class ChatResponse(Struct, frozen=True, omit_defaults=True):
    """A whole answer."""

    model: str
    """The model that answered, as the vendor names it."""
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish = "stop"
    usage: Usage = Usage()
    id: str = ""
    refusal: str = ""
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


class Chunk(Struct, frozen=True, omit_defaults=True):
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
