"""The on-device tier as a provider: `local/<workflow>` answers with what the workflow's own engine understands and finds.

`local/minilm` makes embeddings. Above: found by name. Below: `core`. The answer is one JSON object: `{intent, confidence, accepted, threshold, runner_up, reason, passage}`, where
`passage` is `{article, title, text, score, good, also}` or null. It costs the milliseconds it computes, and nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from interlock.core.chat import ChatRequest, ChatResponse, Chunk
from interlock.core.embed import EmbedRequest, EmbedResponse
from interlock.core.errors import InvalidRequest
from interlock.core.money import Usage
from interlock.core.ports import Deployment, PluginEnv, TierZero
from interlock.core.time import Clock, Deadline
from interlock.plugins import embed_wire
from interlock.plugins.options import Options

EMBEDDER = "minilm"
"""all-MiniLM-L6-v2, which the on-device tier works with."""
DIMENSIONS = 384
THREADS = 2
"""The engine's own work is CPU; more threads than this would only take turns."""


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`options:` of the local provider."""

    passages: bool = True
    """Look for the passage that answers, beside the intent."""


class Local:
    """The provider."""

    def __init__(self, env: PluginEnv) -> None:
        self._env = env
        self._options = Options(Settings)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="interlock-tier0")

    async def chat(self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str) -> ChatResponse:
        if request.n > 1:
            raise InvalidRequest("n: the on-device tier gives one answer.", param="n", hint="Leave it out.")
        engine = self._env.tier0.get(deployment.model)
        if engine is None:
            known = ", ".join(sorted(self._env.tier0)) or "none"
            raise InvalidRequest(f"{deployment.model!r} has no on-device tier.", hint=f"Workflows with one: {known}.")
        text = next((each.text for each in reversed(request.messages) if each.role == "user"), "")
        passages = self._options.of(deployment).passages
        loop = asyncio.get_running_loop()
        answer, confidence, spent_s = await loop.run_in_executor(
            self._threads, _answer, engine, text, passages, self._env.clock
        )
        return ChatResponse(
            model=deployment.model,
            text=answer.decode(),
            usage=Usage(compute_ms=max(1, round(spent_s * 1000))),
            confidence=confidence,
        )

    async def embed(self, deployment: Deployment, request: EmbedRequest, deadline: Deadline, key: str) -> EmbedResponse:
        make = self._env.embed_texts
        if make is None or deployment.model != EMBEDDER:
            raise InvalidRequest(f"{deployment.name} makes no embeddings.", hint=f"The model here is local/{EMBEDDER}.")
        if request.dimensions not in (None, DIMENSIONS):
            raise InvalidRequest(f"{deployment.name} has {DIMENSIONS} dimensions.", param="dimensions")
        texts = embed_wire.texts_of(request, "local")
        loop = asyncio.get_running_loop()
        vectors, spent_s = await loop.run_in_executor(self._threads, _embedded, make, texts, self._env.clock)
        return EmbedResponse(deployment.model, tuple(vectors), Usage(compute_ms=max(1, round(spent_s * 1000))))

    async def stream(
        self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str
    ) -> AsyncGenerator[Chunk]:
        whole = await self.chat(deployment, request, deadline, key)
        yield Chunk(text=whole.text, finish="stop", usage=whole.usage, model=whole.model)


def build(env: PluginEnv) -> Local:
    """The provider over the engines of `env.tier0`."""
    return Local(env)


def _embedded(
    make: Callable[[Sequence[str]], Sequence[bytes]], texts: Sequence[str], clock: Clock
) -> tuple[Sequence[bytes], float]:
    """(vectors, seconds they took)."""
    begun_s = clock.monotonic_s()
    return make(texts), clock.monotonic_s() - begun_s


def _answer(engine: TierZero, text: str, passages: bool, clock: Clock) -> tuple[bytes, float, float]:
    """(answer, confidence, seconds it took)."""
    begun_s = clock.monotonic_s()
    seen = engine.understand(text)
    found = engine.find(text, seen.intent if seen.accepted else "") if passages else None
    answer = {
        **msgspec.structs.asdict(seen),
        "passage": None if found is None else msgspec.structs.asdict(found),
    }
    return msgspec.json.encode(answer), seen.confidence, clock.monotonic_s() - begun_s
