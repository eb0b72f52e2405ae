"""Google's Gemini API: generateContent and streamGenerateContent.

Above: found by name. Below: `core`, `plugins.wire`, `plugins.profiles`, `plugins.gemini_ask`, `plugins.gemini_wire`.
Source: the API reference and the pages on function calling and thought signatures (ai.google.dev), November 2026.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from interlock.core.chat import ChatRequest, ChatResponse, Chunk
from interlock.core.embed import EmbedRequest, EmbedResponse
from interlock.core.errors import UpstreamCut
from interlock.core.money import Usage
from interlock.core.ports import Deployment, HttpRequest, PluginEnv
from interlock.core.time import Deadline
from interlock.plugins import embed_wire, gemini_ask, gemini_embed, profiles, rooms, wire
from interlock.plugins import gemini_wire as codec
from interlock.plugins.options import Options


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`options:` of a provider of this dialect."""

    headers: dict[str, str] = {}
    """Sent with every request."""


class Gemini:
    """The provider. Remembers, bounded, the thought signatures that the vendor wants back with earlier tool calls."""

    def __init__(self, env: PluginEnv) -> None:
        self._env = env
        self._options = Options(Settings)
        self._profiles = profiles.shipped()
        self._signatures = gemini_ask.Signatures()

    async def chat(self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str) -> ChatResponse:
        sent = self._http(deployment, request, "generateContent")
        response = await self._env.http.request(sent, deadline)
        if response.status != 200:
            raise self._refusal(deployment, response.status, response.headers, response.body)
        return codec.response_of(response.body, request, deployment, self._signatures)

    async def stream(
        self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str
    ) -> AsyncGenerator[Chunk]:
        sent = self._http(deployment, request, "streamGenerateContent?alt=sse")
        reading = codec.Reading(deployment, request, self._signatures)
        async with self._env.http.stream(
            sent, deadline, stall_s=deployment.stall_s, first_byte_s=deployment.timeout_s
        ) as reply:
            if reply.status != 200:
                raise self._refusal(deployment, reply.status, reply.headers, await reply.read())
            async for _, data in wire.events(reply.chunks(), deployment):
                yield reading.chunk(data)
        if not reading.finished:
            raise UpstreamCut(f"{deployment.name} ended its stream without a finishReason.")

    async def count(self, deployment: Deployment, request: ChatRequest, deadline: Deadline) -> int:
        """Input tokens by the vendor's own count, which it does not bill. Raises as `chat`."""
        profile = self._profiles.of(deployment.provider, deployment.model)
        body = gemini_ask.counted(request, deployment.model, profile, self._signatures)
        response = await self._env.http.request(
            self._sent(deployment, request.traceparent, "countTokens", body), deadline
        )
        if response.status != 200:
            raise self._refusal(deployment, response.status, response.headers, response.body)
        return codec.tokens_of(response.body, deployment)

    async def embed(self, deployment: Deployment, request: EmbedRequest, deadline: Deadline, key: str) -> EmbedResponse:
        texts = embed_wire.texts_of(request, "gemini")
        vectors: list[bytes] = []
        usage = Usage()
        for start in range(0, len(texts), gemini_embed.MOST_TEXTS):
            some = texts[start : start + gemini_embed.MOST_TEXTS]
            body = gemini_embed.body_of(some, deployment.model, request.dimensions)
            sent = self._sent(deployment, "", "batchEmbedContents", body)
            response = await self._env.http.request(sent, deadline)
            if response.status != 200:
                raise self._refusal(deployment, response.status, response.headers, response.body)
            made, used = gemini_embed.vectors_of(response.body, deployment)
            vectors += made
            usage += used
        return EmbedResponse(deployment.model, tuple(vectors), usage)

    def _http(self, deployment: Deployment, request: ChatRequest, method: str) -> HttpRequest:
        profile = self._profiles.of(deployment.provider, deployment.model)
        return self._sent(
            deployment, request.traceparent, method, gemini_ask.encoded(request, profile, self._signatures)
        )

    def _sent(self, deployment: Deployment, traceparent: str, method: str, body: bytes) -> HttpRequest:
        headers = [("content-type", "application/json")]
        if deployment.api_key:
            headers.append(("x-goog-api-key", deployment.api_key.reveal()))
        headers.extend((name.lower(), value) for name, value in self._options.of(deployment).headers.items())
        if traceparent:
            headers.append(("traceparent", traceparent))
        return HttpRequest("POST", f"{deployment.base_url}/models/{deployment.model}:{method}", tuple(headers), body)

    def _refusal(self, deployment: Deployment, status: int, headers: dict[str, str], body: bytes) -> Exception:
        """A wrong key is answered with status 400 here, told apart by its reason."""
        known = 401 if status == 400 and b"API_KEY_INVALID" in body else status
        rooms.hear(self._env, deployment, headers, status, body)
        return wire.refusal(deployment, known, headers, body, self._env.clock)


def build(env: PluginEnv) -> Gemini:
    """The provider of this dialect."""
    return Gemini(env)
