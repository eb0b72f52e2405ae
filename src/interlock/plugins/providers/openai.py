"""OpenAI's chat completions, as OpenAI, vLLM, Ollama and many others speak it; the server is a matter of `base_url`.

Above: found by name. Below: `core`, `plugins.wire`, `plugins.profiles`, `plugins.openai_ask`, `plugins.openai_short`, `plugins.openai_wire`. A caller of the same dialect has its own bytes
forwarded with the model's name and the output cap patched in, and gets the vendor's own bytes back.
Source: the API reference for chat completions (platform.openai.com/docs/api-reference/chat), November 2026.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Literal

import msgspec

from interlock.core.chat import ChatRequest, ChatResponse, Chunk
from interlock.core.embed import EmbedRequest, EmbedResponse
from interlock.core.errors import UpstreamCut
from interlock.core.ports import Deployment, HttpRequest, HttpStream, PluginEnv, Tap
from interlock.core.short import HasLines
from interlock.core.time import Deadline
from interlock.plugins import embed_wire, openai_ask, profiles, responses_wire, rooms, wire
from interlock.plugins import openai_wire as codec
from interlock.plugins.openai_batch import OpenAIBatches
from interlock.plugins.openai_flow import Read
from interlock.plugins.openai_short import OpenAIWire
from interlock.plugins.options import Options

DIALECT = "openai"
LINE = ChatRequest(model="", messages=(), raw_dialect=DIALECT)
"""Whoever reads a batch's answers takes the vendor's own bytes."""


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`options:` of a provider of this dialect."""

    headers: dict[str, str] = {}
    """Sent with every request, e.g. `OpenAI-Organization`."""
    stream_usage: bool = True
    """Ask for a usage chunk at the end of each stream; off for servers that do not know `stream_options`."""
    output_cap: str = ""
    """`max_tokens` or `max_completion_tokens`, where the model's profile does not know better."""
    responses: bool = False
    """The server has the Responses API too: callers of it have their own bytes forwarded there, so that built-in tools work."""
    embedding_format: Literal["base64", "float"] = "base64"
    """How vectors are asked for; `float` for servers that know no other."""
    batches: bool = False
    """The server has the Batch API too: batches go through it, at its price."""
    accepts: tuple[str, ...] = ()
    """Fields beyond the dialect that the server takes: `top_k`; `prompt_cache_key`, which is then set where the caller's bytes are not forwarded."""
    idempotency_header: str = "idempotency-key"
    """Name of the header that carries the idempotency key; empty to send none."""


class Lane(msgspec.Struct, frozen=True):
    """What the calls of one deployment have in common, worked out once."""

    deployment: Deployment
    settings: Settings
    profile: profiles.ModelProfile
    cap: str
    """Name of the field for the output cap."""
    headers: tuple[tuple[str, str], ...]
    completions: str
    """Address of the chat completions."""

    def __repr__(self) -> str:
        """Without the headers, which hold the credential."""
        return f"Lane({self.deployment!r})"

    def request(self, address: str, body: bytes, key: str, traceparent: str = "") -> HttpRequest:
        name = self.settings.idempotency_header
        own = ((name, key),) if name else ()
        return HttpRequest(
            "POST", address, self.headers, body, (*own, ("traceparent", traceparent)) if traceparent else own
        )


class OpenAI:
    """The provider."""

    def __init__(self, env: PluginEnv) -> None:
        self._env = env
        self._profiles = profiles.shipped()
        self._options = Options(Settings)
        self._lanes: dict[str, Lane] = {}
        self._batches = OpenAIBatches(
            env,
            lambda deployment: self._options.of(deployment).batches,
            self._addressed,
            lambda deployment, request: self._completion(deployment, request, stream=False),
            lambda body, deployment: codec.response_of(body, LINE, deployment),
        )

    @property
    def batches(self) -> OpenAIBatches:
        """The vendor's batch API, for deployments that say `batches: true`."""
        return self._batches

    async def chat(self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str) -> ChatResponse:
        response = await self._env.http.request(self._http(deployment, request, key, stream=False), deadline)
        rooms.hear(self._env, deployment, response.headers)
        wire.check(response, deployment, self._env.clock)
        if self._natively(deployment, request):
            return responses_wire.response_of(response.body, deployment)
        return codec.response_of(response.body, request, deployment)

    def stream(
        self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str
    ) -> AsyncGenerator[Chunk, Tap | None]:
        sent = self._http(deployment, request, key, stream=True)
        reply = self._env.http.stream(sent, deadline, stall_s=deployment.stall_s, first_byte_s=deployment.timeout_s)
        return self._pieces(reply, request, Read(request, deployment))

    async def _pieces(
        self, coming: AbstractAsyncContextManager[HttpStream], request: ChatRequest, read: Read
    ) -> AsyncGenerator[Chunk, Tap | None]:
        """What is left of a stream that has been `read` so far."""
        deployment, gate = read.deployment, read.gate
        natively = self._natively(deployment, request)
        async with coming as reply:
            if not read.relayed:
                rooms.hear(self._env, deployment, reply.headers)
            if reply.status != 200:
                raise wire.refusal(deployment, reply.status, reply.headers, await reply.read(), self._env.clock)
            async for raw, data in wire.events(gate.through(reply), deployment, read.events):
                if natively:
                    chunk = responses_wire.chunk_of(raw, data, deployment, relayed=read.relayed)
                elif len(data) > 1 and b'"error"' in raw:
                    # What came together with a failure, before it, is the caller's all the same, and billed.
                    for each in codec.apart(data, request, deployment, relayed=read.relayed):
                        read.took(each, [])
                        yield each
                    read.finished = read.finished or data[-1:] == [b"[DONE]"]
                    continue
                else:
                    chunk = codec.chunk_of(raw, data, request, deployment, relayed=read.relayed)
                read.took(chunk, data)
                tap = yield chunk
                if not natively:
                    gate.learn(tap, raw, chunk)
        if not read.finished:
            raise UpstreamCut(f"{deployment.name} ended its stream before its finish.")

    def wire(self, deployment: Deployment) -> OpenAIWire | None:
        """`core.short.HasWires`. Models that take less than the whole dialect need each request looked at."""
        lane, client = self._lane(deployment), self._env.http
        if not lane.profile.sampling or not isinstance(client, HasLines):
            return None
        line = client.line(HttpRequest("POST", lane.completions, lane.headers), lane.settings.idempotency_header)
        usage = lane.settings.stream_usage
        return OpenAIWire(self._env, line, deployment, lane.profile, lane.cap, usage, self._pieces)

    async def embed(self, deployment: Deployment, request: EmbedRequest, deadline: Deadline, key: str) -> EmbedResponse:
        lane = self._lane(deployment)
        body = embed_wire.encoded(request, deployment.model, lane.settings.embedding_format)
        sent = lane.request(f"{deployment.base_url}/embeddings", body, key)
        response = await self._env.http.request(sent, deadline)
        wire.check(response, deployment, self._env.clock)
        return embed_wire.response_of(response.body, deployment)

    def _http(self, deployment: Deployment, request: ChatRequest, key: str, *, stream: bool) -> HttpRequest:
        lane = self._lane(deployment)
        if self._natively(deployment, request):
            body = responses_wire.patched(request, deployment.model, stream=stream)
            return lane.request(f"{deployment.base_url}/responses", body, key, request.traceparent)
        body = self._completion(deployment, request, stream=stream)
        return lane.request(lane.completions, body, key, request.traceparent)

    def _completion(self, deployment: Deployment, request: ChatRequest, *, stream: bool) -> bytes:
        lane = self._lane(deployment)
        usage = stream and lane.settings.stream_usage
        if openai_ask.forwardable(request, lane.profile):
            return openai_ask.patched(request, deployment.model, lane.profile, lane.cap, stream=stream, usage=usage)
        accepts = lane.settings.accepts
        return openai_ask.encoded(
            request, deployment.model, lane.profile, lane.cap, stream=stream, usage=usage, accepts=accepts
        )

    def _addressed(
        self, deployment: Deployment, method: str, path: str, body: bytes, kind: str, key: str
    ) -> HttpRequest:
        lane = self._lane(deployment)
        headers = [("content-type", kind), *(each for each in lane.headers if each[0] != "content-type")]
        if key and lane.settings.idempotency_header:
            headers.append((lane.settings.idempotency_header, key))
        return HttpRequest(method, f"{deployment.base_url}/{path}", tuple(headers), body)

    def _natively(self, deployment: Deployment, request: ChatRequest) -> bool:
        return responses_wire.takes(request) and self._lane(deployment).settings.responses

    def _lane(self, deployment: Deployment) -> Lane:
        known = self._lanes.get(deployment.name)
        if known is not None and known.deployment is deployment:
            return known
        settings = self._options.of(deployment)
        profile = self._profiles.of(deployment.provider, deployment.model)
        headers = [("content-type", "application/json")]
        if deployment.api_key:
            headers.append(("authorization", f"Bearer {deployment.api_key.reveal()}"))
        headers.extend((name.lower(), value) for name, value in settings.headers.items())
        if len(self._lanes) >= profiles.KEPT:
            self._lanes.clear()
        lane = self._lanes[deployment.name] = Lane(
            deployment,
            settings,
            profile,
            settings.output_cap or profile.output_cap,
            tuple(headers),
            f"{deployment.base_url}/chat/completions",
        )
        return lane


def build(env: PluginEnv) -> OpenAI:
    """The provider of this dialect, for every server that speaks it."""
    return OpenAI(env)
