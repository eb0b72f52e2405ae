"""Anthropic's Messages API.

Above: found by name. Below: `core`, `plugins.wire`, `plugins.profiles`, `plugins.anthropic_ask`,
`plugins.anthropic_turns`, `plugins.anthropic_wire`.
Source: the API reference and the pages on streaming, errors and prompt caching (platform.claude.com/docs), November 2026.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal

import msgspec

from interlock.core.chat import ChatRequest, ChatResponse, Chunk
from interlock.core.errors import UpstreamCut
from interlock.core.ports import Deployment, HttpRequest, PluginEnv
from interlock.core.time import Deadline
from interlock.plugins import anthropic_ask, anthropic_turns, anthropic_wire, profiles, rooms, wire
from interlock.plugins.anthropic_batch import AnthropicBatches
from interlock.plugins.options import Options


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`options:` of a provider of this dialect."""

    version: str = "2023-06-01"
    """Value of the header `anthropic-version`."""
    headers: dict[str, str] = {}
    """Sent with every request, e.g. `anthropic-beta`."""
    cache: Literal["", "5m", "1h"] = ""
    """Marks what comes again (tools, system prompt, earlier turns) for the vendor's prompt cache with this lifetime, where the caller marks
    nothing itself."""
    batches: bool = False
    """The server has Message Batches too: batches go through it, at its price."""
    schema: Literal["", "prompt", "native"] = ""
    """Output schemas go into the system prompt, or natively as `output_config.format`, which takes a subset of JSON Schema and newer
    models only; empty for whatever model and schema allow. The answer is validated on our side either way."""


LINE = ChatRequest(model="", messages=(), raw_dialect=anthropic_turns.DIALECT)
"""Whoever reads a batch's answers takes the vendor's own bytes."""


class Anthropic:
    """The provider. Remembers, bounded, the thinking that the vendor wants back with earlier tool calls."""

    def __init__(self, env: PluginEnv) -> None:
        self._env = env
        self._profiles = profiles.shipped()
        self._options = Options(Settings)
        self._thoughts = anthropic_turns.Thoughts()
        self._batches = AnthropicBatches(
            env,
            lambda deployment: self._options.of(deployment).batches,
            self._addressed,
            self._params,
            lambda body, deployment: anthropic_wire.response_of(body, LINE, deployment, self._thoughts),
            anthropic_wire.STATUSES,
        )

    @property
    def batches(self) -> AnthropicBatches:
        """The vendor's batch API, for deployments that say `batches: true`."""
        return self._batches

    async def chat(self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str) -> ChatResponse:
        response = await self._env.http.request(self._http(deployment, request, stream=False), deadline)
        rooms.hear(self._env, deployment, response.headers)
        wire.check(response, deployment, self._env.clock)
        return anthropic_wire.response_of(response.body, request, deployment, self._thoughts)

    async def stream(
        self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str
    ) -> AsyncGenerator[Chunk]:
        sent = self._http(deployment, request, stream=True)
        reading = anthropic_wire.Reading(deployment, request, self._thoughts)
        async with self._env.http.stream(
            sent, deadline, stall_s=deployment.stall_s, first_byte_s=deployment.timeout_s
        ) as reply:
            rooms.hear(self._env, deployment, reply.headers)
            if reply.status != 200:
                raise wire.refusal(deployment, reply.status, reply.headers, await reply.read(), self._env.clock)
            async for raw, data in wire.events(reply.chunks(), deployment):
                if len(data) > 1 and b'"error"' in raw:
                    # What came together with a failure, before it, is the caller's all the same, and billed.
                    for event in wire.apart(raw):
                        yield reading.chunk(event, wire.data_of(event))
                else:
                    yield reading.chunk(raw, data)
        if not reading.stopped:
            raise UpstreamCut(f"{deployment.name} ended its stream before message_stop.")

    async def count(self, deployment: Deployment, request: ChatRequest, deadline: Deadline) -> int:
        """Input tokens by the vendor's own count, which it does not bill. Raises as `chat`."""
        profile = self._profiles.of(deployment.provider, deployment.model)
        body = anthropic_ask.counted(request, deployment.model, profile, self._thoughts)
        url = f"{deployment.base_url}/messages/count_tokens"
        response = await self._env.http.request(
            HttpRequest("POST", url, self._headers(deployment, request), body), deadline
        )
        wire.check(response, deployment, self._env.clock)
        return anthropic_wire.tokens_of(response.body, deployment)

    def _http(self, deployment: Deployment, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = self._params(deployment, request, stream=stream)
        return HttpRequest("POST", f"{deployment.base_url}/messages", self._headers(deployment, request), body)

    def _params(self, deployment: Deployment, request: ChatRequest, *, stream: bool = False) -> bytes:
        if anthropic_ask.forwardable(request):
            return anthropic_ask.patched(request, deployment.model, stream=stream)
        settings = self._options.of(deployment)
        return anthropic_ask.encoded(
            request,
            deployment.model,
            self._profiles.of(deployment.provider, deployment.model),
            self._thoughts,
            cache=settings.cache,
            schema=settings.schema,
            stream=stream,
        )

    def _addressed(self, deployment: Deployment, method: str, path: str, body: bytes) -> HttpRequest:
        return HttpRequest(method, f"{deployment.base_url}/{path}", self._headers(deployment, LINE), body)

    def _headers(self, deployment: Deployment, request: ChatRequest) -> tuple[tuple[str, str], ...]:
        """Ours, and those of a caller of the same dialect that say how its request is meant."""
        settings = self._options.of(deployment)
        headers = {"content-type": "application/json", "anthropic-version": settings.version}
        if request.raw_dialect == anthropic_turns.DIALECT:
            headers.update(request.raw_headers)
        for name, value in settings.headers.items():
            known = headers.get(name.lower())
            headers[name.lower()] = f"{known},{value}" if known and name.lower() == "anthropic-beta" else value
        if deployment.api_key:
            headers["x-api-key"] = deployment.api_key.reveal()
        if request.traceparent:
            headers["traceparent"] = request.traceparent
        return tuple(headers.items())


def build(env: PluginEnv) -> Anthropic:
    """The provider of this dialect."""
    return Anthropic(env)
