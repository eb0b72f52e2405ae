"""An answer as caches store it.

Above: cache, similar. Below: call.
"""

from __future__ import annotations

from collections.abc import Callable

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


class AsItCame(Struct, frozen=True, array_like=True):
    """An answer of the short way, as its vendor wrote it: most are never asked for again, so it is read when one is."""

    deployment: str
    tier: str
    cost_nano_usd: int
    body: bytes


Read = Callable[[str, bytes], ChatResponse | None]
"""(deployment, body) → what the body says; `None` where nobody can read it any more."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Shelved)
_as_it_came = msgspec.msgpack.Decoder(AsItCame)
_ARRAY = 0x90
"""High bits of the first byte of a short array in MessagePack."""


def shelved(answer: Answer, cost_nano_usd: int) -> bytes:
    """The bytes to store."""
    return _encoder.encode(
        Shelved(answer.response, answer.deployment, answer.tier, cost_nano_usd, answer.chunks, answer.confidence)
    )


def as_it_came(deployment: str, tier: str, cost_nano_usd: int, body: bytes) -> bytes:
    """The same of an answer that nobody has taken apart."""
    return _encoder.encode(AsItCame(deployment, tier, cost_nano_usd, body))


def taken_down(value: bytes, cache: CacheKind, read: Read) -> Answer | None:
    """The answer again, as one out of `cache`; `None` where it cannot be read any more."""
    if value[0] & 0xF0 == _ARRAY:
        came = _as_it_came.decode(value)
        response = read(came.deployment, came.body)
        if response is None:
            return None
        return Answer(response, came.deployment, came.tier, cache=cache, saved_nano_usd=came.cost_nano_usd)
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
