"""OpenAI's chat completions, as OpenAI, vLLM, Ollama and many others speak it; the server is a matter of `base_url`.

Above: found by name. Below: `core`, `plugins.wire`, `plugins.profiles`, `plugins.openai_wire`. A caller of the same dialect has its own bytes
forwarded with the model's name and the output cap patched in, and gets the vendor's own bytes back.
Source: the API reference for chat completions (platform.openai.com/docs/api-reference/chat), November 2026.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from interlock.core.chat import ChatRequest, ChatResponse, Chunk
from interlock.core.errors import UpstreamCut
from interlock.core.ports import Deployment, HttpRequest, PluginEnv
from interlock.core.time import Deadline
from interlock.plugins import openai_wire as codec
from interlock.plugins import profiles, wire
from interlock.plugins.options import Options

DIALECT = "openai"


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`options:` of a provider of this dialect."""

    headers: dict[str, str] = {}
    """Sent with every request, e.g. `OpenAI-Organization`."""
    stream_usage: bool = True
    """Ask for a usage chunk at the end of each stream; off for servers that do not know `stream_options`."""
    output_cap: str = ""
    """`max_tokens` or `max_completion_tokens`, where the model's profile does not know better."""
    idempotency_header: str = "idempotency-key"
    """Name of the header that carries the idempotency key; empty to send none."""


class OpenAI:
    """The provider."""

    def __init__(self, env: PluginEnv) -> None:
        self._env = env
        self._profiles = profiles.shipped()
        self._options = Options(Settings)
        self._headers: dict[str, tuple[Deployment, tuple[tuple[str, str], ...]]] = {}

    async def chat(self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str) -> ChatResponse:
        response = await self._env.http.request(self._http(deployment, request, key, stream=False), deadline)
        wire.check(response, deployment, self._env.clock)
        return codec.response_of(response.body, request, deployment)

    async def stream(
        self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str
    ) -> AsyncGenerator[Chunk]:
        sent = self._http(deployment, request, key, stream=True)
        relayed = finished = False
        async with self._env.http.stream(
            sent, deadline, stall_s=deployment.stall_s, first_byte_s=deployment.timeout_s
        ) as reply:
            if reply.status != 200:
                raise wire.refusal(deployment, reply.status, reply.headers, await reply.read(), self._env.clock)
            async for raw, data in wire.events(reply.chunks(), deployment):
                chunk = codec.chunk_of(raw, data, request, deployment, relayed=relayed)
                finished = finished or chunk.finish is not None or data[-1:] == [b"[DONE]"]
                relayed = True
                yield chunk
        if not finished:
            raise UpstreamCut(f"{deployment.name} ended its stream before its finish.")

    def _http(self, deployment: Deployment, request: ChatRequest, key: str, *, stream: bool) -> HttpRequest:
        settings = self._options.of(deployment)
        profile = self._profiles.of(deployment.provider, deployment.model)
        cap = settings.output_cap or profile.output_cap
        usage = stream and settings.stream_usage
        same = request.raw and request.raw_dialect == DIALECT
        body = (codec.patched if same else codec.encoded)(
            request, deployment.model, cap, sampling=profile.sampling, tools=profile.tools, stream=stream, usage=usage
        )
        headers = self._fixed_headers(deployment, settings)
        if settings.idempotency_header:
            headers = (*headers, (settings.idempotency_header, key))
        if request.traceparent:
            headers = (*headers, ("traceparent", request.traceparent))
        return HttpRequest("POST", f"{deployment.base_url}/chat/completions", headers, body)

    def _fixed_headers(self, deployment: Deployment, settings: Settings) -> tuple[tuple[str, str], ...]:
        known = self._headers.get(deployment.name)
        if known is not None and known[0] is deployment:
            return known[1]
        headers = [("content-type", "application/json")]
        if deployment.api_key:
            headers.append(("authorization", f"Bearer {deployment.api_key.reveal()}"))
        headers.extend((name.lower(), value) for name, value in settings.headers.items())
        if len(self._headers) >= profiles.KEPT:
            self._headers.clear()
        self._headers[deployment.name] = (deployment, tuple(headers))
        return tuple(headers)


def build(env: PluginEnv) -> OpenAI:
    """The provider of this dialect, for every server that speaks it."""
    return OpenAI(env)
