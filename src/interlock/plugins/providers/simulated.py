"""A model that is not one: declared latency, failures and token counts, for demos, drills, load tests and estimates.

Above: found by name. Below: `core`, `plugins.options`. Its answers are labelled on every face: `simulated` is set on responses and
events, free text begins with `[simulated]`, and the P&L keeps them on lines of their own. What it says depends on the seed and the
request alone; whether a try fails, and how long it takes, also on how many times that request has come before.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import AsyncGenerator
from hashlib import blake2b
from typing import Any

import msgspec

from interlock.core.chat import ChatRequest, ChatResponse, Chunk, ToolCall, ToolCallDelta, ToolSpec
from interlock.core.embed import EmbedRequest, EmbedResponse
from interlock.core.errors import BadReply, InvalidRequest, RateLimited, UpstreamCut, UpstreamRefused, UpstreamStalled
from interlock.core.money import Usage
from interlock.core.ports import Deployment, PluginEnv
from interlock.core.time import Deadline
from interlock.plugins.embed_wire import packed
from interlock.plugins.instance import instance
from interlock.plugins.options import Options

LABEL = "[simulated] "
REQUESTS_KEPT = 10_000
CHARS_PER_TOKEN = 4
EMBEDDING_NUMBERS = 256


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`options:` of a simulated provider. Shares are between 0 and 1."""

    seed: int = 0
    latency_ms: float = 0.0
    """Median time to the first token."""
    latency_spread: float = 0.0
    """Sigma of the log-normal around the median; 0.5 puts the p95 at 2.3 times the median."""
    tokens_per_second: float = 0.0
    """Pace of the output; zero for no wait."""
    error_share: float = 0.0
    """Answers with HTTP status 500."""
    rate_limit_share: float = 0.0
    retry_after_s: float = 1.0
    stall_share: float = 0.0
    """Answers that begin and never go on."""
    cut_share: float = 0.0
    """Answers that end in the middle."""
    garbage_share: float = 0.0
    """Answers that are not what the dialect says."""
    schema_violation_share: float = 0.0
    """Answers that break the requested output schema."""
    confidence: tuple[float, float] | None = None
    """Alpha and beta of the distribution that confidences are drawn from; none for an unknown confidence."""
    answer: str = "This text stands in for a model's answer."
    output_tokens: int = 0
    """Tokens billed for an answer; zero to count the text."""
    tool_call_share: float = 0.0
    """Requests with tools whose last message is the user's that are answered with a call of a tool."""
    tool_calls: int = 1
    """Calls in such an answer, one for each of the first tools."""


class Draw(msgspec.Struct, frozen=True):
    """What one try does."""

    fate: str
    """`ok`, `error`, `rate_limit`, `stall`, `cut` or `garbage`."""
    first_token_s: float
    response: ChatResponse


class Simulated:
    """The provider. Keeps how often each request came, bounded."""

    def __init__(self) -> None:
        self._options = Options(Settings)
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    async def chat(self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str) -> ChatResponse:
        settings = self._options.of(deployment)
        draw = self._draw(settings, deployment, request)
        if draw.first_token_s:
            await asyncio.sleep(draw.first_token_s + _writing_s(settings, draw.response))
        _fail(settings, deployment, draw)
        if draw.fate == "stall":
            await asyncio.sleep(deployment.stall_s)
            raise UpstreamStalled(f"{deployment.name} (simulated) fell silent for {deployment.stall_s:g} s.")
        if draw.fate == "cut":
            raise UpstreamCut(f"{deployment.name} (simulated) broke off.")
        return draw.response

    async def embed(self, deployment: Deployment, request: EmbedRequest, deadline: Deadline, key: str) -> EmbedResponse:
        """Vectors drawn from the text alone: the same text has the same vector, and nothing else is to be read out of it."""
        count = request.dimensions or EMBEDDING_NUMBERS
        texts = [str(each) for each in request.inputs]
        draws = [random.Random(blake2b(text.encode(), digest_size=16).digest()) for text in texts]
        vectors = tuple(packed([draw.gauss() / count**0.5 for _ in range(count)]) for draw in draws)
        usage = Usage(input=sum(len(text) // CHARS_PER_TOKEN + 1 for text in texts))
        return EmbedResponse(deployment.model, vectors, usage, simulated=True)

    async def stream(
        self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str
    ) -> AsyncGenerator[Chunk]:
        settings = self._options.of(deployment)
        draw = self._draw(settings, deployment, request)
        if draw.first_token_s:
            await asyncio.sleep(draw.first_token_s)
        _fail(settings, deployment, draw)
        response = draw.response
        words = response.text.split(" ") if response.text else []
        for place, word in enumerate(words):
            if place == (len(words) + 1) // 2 and draw.fate != "ok":
                if draw.fate == "stall":
                    await asyncio.sleep(deployment.stall_s)
                    raise UpstreamStalled(f"{deployment.name} (simulated) fell silent for {deployment.stall_s:g} s.")
                raise UpstreamCut(f"{deployment.name} (simulated) broke off.")
            if settings.tokens_per_second:
                await asyncio.sleep(1 / settings.tokens_per_second)
            yield Chunk(text=word if place == 0 else " " + word, model=response.model, id=response.id)
        for place, call in enumerate(response.tool_calls):
            yield Chunk(tool_calls=(ToolCallDelta(place, call.id, call.name, call.arguments),), model=response.model)
        ends, sure = response.finish, response.confidence
        yield Chunk(finish=ends, usage=response.usage, model=response.model, id=response.id, confidence=sure)

    def _draw(self, settings: Settings, deployment: Deployment, request: ChatRequest) -> Draw:
        if request.n > 1:
            raise InvalidRequest("n: simulated models give one answer.", param="n", hint="Ask as often as needed.")
        asked = (settings.seed, deployment.name, request.messages, request.tools, request.output_schema)
        digest = blake2b(msgspec.msgpack.encode(asked), digest_size=16).digest()
        times = self._seen.pop(digest, 0)
        self._seen[digest] = times + 1
        if len(self._seen) > REQUESTS_KEPT:
            self._seen.popitem(last=False)
        said = random.Random(digest)
        luck = random.Random(digest + times.to_bytes(4, "big"))
        fate = _fate(settings, luck.random())
        wait_s = (
            settings.latency_ms / 1000 * luck.lognormvariate(0.0, settings.latency_spread) if settings.latency_ms else 0
        )
        return Draw(fate, wait_s, _response(settings, deployment, request, said, digest))


def build(env: PluginEnv) -> Simulated:  # noqa: ARG001 — every plug-in is built the same way
    """The simulated provider; it needs nothing of `env`."""
    return Simulated()


def _fate(settings: Settings, drawn: float) -> str:
    for name, share in (
        ("error", settings.error_share),
        ("rate_limit", settings.rate_limit_share),
        ("stall", settings.stall_share),
        ("cut", settings.cut_share),
        ("garbage", settings.garbage_share),
    ):
        if drawn < share:
            return name
        drawn -= share
    return "ok"


def _fail(settings: Settings, deployment: Deployment, draw: Draw) -> None:
    if draw.fate == "error":
        raise UpstreamRefused(f"{deployment.name} (simulated) answered with status 500.", upstream_status=500)
    if draw.fate == "rate_limit":
        raise RateLimited(
            f"{deployment.name} (simulated) is rate limited.", upstream_status=429, retry_after_s=settings.retry_after_s
        )
    if draw.fate == "garbage":
        raise BadReply(f"{deployment.name} (simulated) sent something that is not its dialect.")


def _response(
    settings: Settings, deployment: Deployment, request: ChatRequest, said: random.Random, digest: bytes
) -> ChatResponse:
    confidence = None if settings.confidence is None else round(said.betavariate(*settings.confidence), 4)
    text, calls = "", _calls(settings, request, said)
    if not calls:
        text = _text(settings, request, said, confidence)
    written = text or "".join(call.arguments for call in calls)
    output = settings.output_tokens or len(written) // CHARS_PER_TOKEN + 1
    cap = request.max_output_tokens
    finish = "tool_calls" if calls else "stop"
    if cap is not None and output > cap:
        text, output, finish = text[: cap * CHARS_PER_TOKEN], cap, "length"
    return ChatResponse(
        model=deployment.model,
        text=text,
        tool_calls=calls,
        finish=finish,
        usage=Usage(input=_input_tokens(request), output=output),
        id=f"sim-{digest.hex()[:16]}",
        confidence=confidence,
        simulated=True,
    )


def _text(settings: Settings, request: ChatRequest, said: random.Random, confidence: float | None) -> str:
    if request.output_schema is None and not request.json_mode:
        return LABEL + settings.answer
    if said.random() < settings.schema_violation_share:
        return LABEL + "not the JSON that was asked for"
    schema: dict[str, Any] = request.output_schema.schema if request.output_schema else {"type": "object"}
    value = instance(schema, LABEL + settings.answer)
    if isinstance(value, dict) and "confidence" in value and confidence is not None:
        value["confidence"] = confidence
    return msgspec.json.encode(value).decode()


def _calls(settings: Settings, request: ChatRequest, said: random.Random) -> tuple[ToolCall, ...]:
    if not request.tools or request.messages[-1].role != "user" or request.tool_choice == "none":
        return ()
    if said.random() >= settings.tool_call_share and request.tool_choice in ("", "auto"):
        return ()
    most = 1 if request.parallel_tool_calls is False else settings.tool_calls
    return tuple(
        ToolCall(
            id=f"call_sim_{place}",
            name=tool.name,
            arguments=msgspec.json.encode(instance(tool.parameters, "simulated")).decode(),
        )
        for place, tool in enumerate(_callable(request)[:most])
    )


def _callable(request: ChatRequest) -> tuple[ToolSpec, ...]:
    """The tools, or the one that the caller wants called."""
    return tuple(tool for tool in request.tools if tool.name == request.tool_choice) or request.tools


def _input_tokens(request: ChatRequest) -> int:
    total = 0
    for message in request.messages:
        total += len(message.text) // CHARS_PER_TOKEN + CHARS_PER_TOKEN
    return total


def _writing_s(settings: Settings, response: ChatResponse) -> float:
    return response.usage.output / settings.tokens_per_second if settings.tokens_per_second else 0.0
