"""What embeddings have in common on the wire: OpenAI's dialect, and numbers ↔ float32.

Above: providers that make embeddings. Below: `core`, msgspec. Source: the API reference for embeddings
(platform.openai.com/docs/api-reference/embeddings), November 2026.
"""

from __future__ import annotations

import base64
import binascii
import sys
from array import array
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from interlock.core.embed import EmbedRequest, EmbedResponse
from interlock.core.errors import BadReply, InvalidRequest
from interlock.core.money import Usage
from interlock.core.ports import Deployment
from interlock.core.unreadable import UNREADABLE


class _Datum(Struct):
    embedding: str | list[float]
    index: int = 0


class _Usage(Struct):
    prompt_tokens: int = 0


class _Reply(Struct):
    data: list[_Datum]
    model: str | None = None
    usage: _Usage | None = None


_reply = msgspec.json.Decoder(_Reply)


def packed(values: Iterable[float]) -> bytes:
    """Numbers as float32, little end first."""
    made = array("f", values)
    if sys.byteorder == "big":
        made.byteswap()
    return made.tobytes()


def texts_of(request: EmbedRequest, dialect: str) -> list[str]:
    """The inputs, all of which have to be texts. Raises InvalidRequest where one is tokens, or `dimensions` is no use."""
    texts = [each for each in request.inputs if isinstance(each, str)]
    if len(texts) != len(request.inputs):
        raise InvalidRequest(f"tokens cannot be carried to the {dialect} dialect.", param="input", hint="Send texts.")
    return texts


def encoded(request: EmbedRequest, model: str, form: str) -> bytes:
    """A request in OpenAI's dialect. `form`: `base64`, which is a quarter of the bytes, or `float`."""
    fields: dict[str, Any] = {"model": model, "input": list(request.inputs), "encoding_format": form, **request.extra}
    if request.dimensions is not None:
        fields["dimensions"] = request.dimensions
    if request.user:
        fields["user"] = request.user
    return msgspec.json.encode(fields)


def response_of(body: bytes, deployment: Deployment) -> EmbedResponse:
    """The vectors, by index. Raises BadReply."""
    try:
        reply = _reply.decode(body)
        data = sorted(reply.data, key=lambda each: each.index)
        vectors = tuple(_vector(each.embedding) for each in data)
    except (*UNREADABLE, binascii.Error) as error:
        raise BadReply(f"{deployment.name} sent a body that is no list of embeddings: {error}") from error
    usage = Usage(input=reply.usage.prompt_tokens) if reply.usage is not None else Usage()
    return EmbedResponse(reply.model or deployment.model, vectors, usage)


def _vector(value: str | list[float]) -> bytes:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else packed(value)
