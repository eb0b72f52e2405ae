"""Embeddings of Google's Gemini API: batchEmbedContents.

Above: providers/gemini. Below: `core`, `plugins.embed_wire`. Source: the API reference for embeddings (ai.google.dev/api/embeddings),
November 2026.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from interlock.core.errors import BadReply
from interlock.core.money import Usage
from interlock.core.ports import Deployment
from interlock.core.unreadable import UNREADABLE
from interlock.plugins.embed_wire import packed

MOST_TEXTS = 100
"""Of one request."""


class _Embedding(Struct):
    values: list[float]


class _Usage(Struct, rename="camel"):
    prompt_token_count: int = 0


class _Reply(Struct, rename="camel"):
    embeddings: list[_Embedding] = []
    usage_metadata: _Usage | None = None


_reply = msgspec.json.Decoder(_Reply)


def body_of(texts: list[str], model: str, dimensions: int | None) -> bytes:
    """A request for at most `MOST_TEXTS` texts."""
    shape: dict[str, Any] = {} if dimensions is None else {"outputDimensionality": dimensions}
    asked = [{"model": f"models/{model}", "content": {"parts": [{"text": text}]}, **shape} for text in texts]
    return msgspec.json.encode({"requests": asked})


def vectors_of(body: bytes, deployment: Deployment) -> tuple[list[bytes], Usage]:
    """(vectors in order, what the vendor says it counted). Raises BadReply."""
    try:
        reply = _reply.decode(body)
    except UNREADABLE as error:
        raise BadReply(f"{deployment.name} sent a body that is no list of embeddings: {error}") from error
    counted = reply.usage_metadata
    return [packed(each.values) for each in reply.embeddings], Usage(input=counted.prompt_token_count if counted else 0)
