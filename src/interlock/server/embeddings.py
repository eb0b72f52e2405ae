"""The embeddings face: POST /v1/embeddings in OpenAI's words, as numbers or as base64.

Source: the API reference for embeddings (platform.openai.com/docs/api-reference/embeddings), 2026-11.

Above: serve, which puts it at its address. Below: auth, behalf, openai_write, and the port `core.embed.EmbedGateway`.
"""

from __future__ import annotations

import base64
import logging
import sys
from array import array
from typing import Any, Literal

import msgspec
from msgspec import Struct

from interlock.core.chat import Cap
from interlock.core.embed import EmbedGateway, EmbedReply, EmbedRequest, Input
from interlock.core.errors import InterlockError, InvalidRequest
from interlock.core.ids import Ids
from interlock.core.unreadable import UNREADABLE

from .auth import Keys
from .behalf import on_behalf
from .exchange import Exchange
from .openai_write import error_body, error_headers, error_status, reply_headers

logger = logging.getLogger("interlock.server")
MOST_INPUTS = 2048


class _Body(Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Cap | None = None
    user: str = ""


class EmbeddingsReader:
    """A decoder, made once."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Body)

    def read(self, raw: bytes) -> tuple[EmbedRequest, bool]:
        """(request, whether its vectors are wanted in base64).

        Raises:
            InvalidRequest: not JSON, or a field of the wrong type; `.param` names it.
        """
        try:
            body = self._decoder.decode(raw)
        except UNREADABLE as fault:
            message, _, path = str(fault).partition(" - at `$")
            param = path.rstrip("`").removeprefix(".")
            raise InvalidRequest(f"the body is not a request for embeddings: {message}", param=param) from None
        request = EmbedRequest(body.model, inputs_of(body.input), body.dimensions, body.user)
        return request, body.encoding_format == "base64"


class EmbeddingsFace:
    """Reads requests, has them answered by the gateway, and answers in OpenAI's words."""

    def __init__(self, gateway: EmbedGateway, keys: Keys, ids: Ids) -> None:
        self._gateway = gateway
        self._keys = keys
        self._ids = ids
        self._reader = EmbeddingsReader()

    async def create(self, exchange: Exchange) -> None:
        """One call, straight through. Whatever goes wrong becomes an error in OpenAI's shape."""
        try:
            caller = self._keys.caller(exchange.header(b"authorization"))
            if exchange.refusal is not None:
                raise exchange.refusal
            request, base64_wanted = self._reader.read(exchange.body)
            reply = await self._gateway.embed(on_behalf(caller, exchange, request.user), request)
            exchange.reply(200, reply_headers(reply.settled), whole(reply, base64_wanted=base64_wanted))
        except InterlockError as error:
            self._refuse(exchange, error)
        except Exception:  # the outermost frame of a call: recorded here, and the client gets an answer all the same
            logger.exception("a defect kept embeddings from being made")
            self._refuse(exchange, InterlockError("the server failed on this request", hint="See its log."))

    def _refuse(self, exchange: Exchange, error: InterlockError) -> None:
        if not exchange.response_started:
            exchange.reply(error_status(error), error_headers(error, self._ids.new("req")), error_body(error))


def inputs_of(given: str | list[str | int | list[int]]) -> tuple[Input, ...]:
    """The inputs: a text, tokens of one text, or a list of either.

    Raises:
        InvalidRequest: there is none, one is empty, they are of different kinds, or there are too many.
    """
    if isinstance(given, str):
        inputs: tuple[Input, ...] = (given,)
    elif given and all(isinstance(each, int) for each in given):
        inputs = (tuple([each for each in given if isinstance(each, int)]),)
    else:
        inputs = tuple([_one(each, at) for at, each in enumerate(given)])
    if not inputs or not all(inputs):
        raise InvalidRequest("`input` is empty, or one of its texts is", param="input", hint="Leave empty texts out.")
    if len(inputs) > MOST_INPUTS:
        raise InvalidRequest(f"`input` has {len(inputs)} texts", param="input", hint=f"Send at most {MOST_INPUTS}.")
    return inputs


def _one(each: str | int | list[int], at: int) -> Input:
    if isinstance(each, int):
        raise InvalidRequest(f"`input[{at}]` is a number among texts", param=f"input[{at}]")
    return each if isinstance(each, str) else tuple(each)


def whole(reply: EmbedReply, *, base64_wanted: bool) -> bytes:
    """The body of a reply."""
    response = reply.response
    data: list[dict[str, Any]] = [
        {
            "object": "embedding",
            "index": at,
            "embedding": base64.b64encode(vector).decode() if base64_wanted else numbers(vector),
        }
        for at, vector in enumerate(response.vectors)
    ]
    tokens = response.usage.input_total
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": response.model, "usage": usage})


def numbers(vector: bytes) -> list[float]:
    """The numbers of a vector of float32, little end first."""
    values = array("f", vector)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
