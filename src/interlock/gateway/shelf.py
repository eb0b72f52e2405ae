"""An answer as caches store it.

Above: cache, similar. Below: call.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from interlock.core.chat import ChatResponse, Chunk
from interlock.core.events import CacheKind

from .call import Answer


class Shelved(Struct, frozen=True, omit_defaults=True):
    """An answer with what a later caller is told about it."""

    response: ChatResponse
    deployment: str
    tier: str
    cost_nano_usd: int
    chunks: tuple[Chunk, ...] = ()
    confidence: float | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Shelved)


def shelved(answer: Answer, cost_nano_usd: int) -> bytes:
    """The bytes to store."""
    return _encoder.encode(
        Shelved(answer.response, answer.deployment, answer.tier, cost_nano_usd, answer.chunks, answer.confidence)
    )


def taken_down(value: bytes, cache: CacheKind) -> Answer:
    """The answer again, as one out of `cache`."""
    found = _decoder.decode(value)
    return Answer(
        response=found.response,
        deployment=found.deployment,
        tier=found.tier,
        chunks=found.chunks,
        cache=cache,
        saved_nano_usd=found.cost_nano_usd,
        confidence=found.confidence,
    )
