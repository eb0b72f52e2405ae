"""The list of models, in OpenAI's shape and in Anthropic's: aliases first, then every model the files name.

Sources: the API references for models (platform.openai.com/docs/api-reference/models, docs.claude.com/en/api/models-list), 2026-11.

Above: serve. Below: asgi, auth, `core.cards`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.core.cards import ModelCard
from interlock.core.errors import InvalidRequest

from .asgi import NoSuchAddress, authorization
from .auth import Keys
from .task_forms import digits

Cards = Callable[[], Sequence[ModelCard]]
JSON = "application/json"
ANTHROPIC = "anthropic-version"
"""The header that every client of that vendor sends; by it both lists share one address, as both vendors have it."""
MOST = 1000
"""Models on one page of the Anthropic list."""
EPOCH = "1970-01-01T00:00:00Z"
"""Nobody knows when an alias was made; clients want some date."""


class ModelsFace:
    """GET /v1/models and /v1/models/{name}; the same under /anthropic."""

    def __init__(self, keys: Keys, cards: Cards) -> None:
        self._keys = keys
        self._cards = cards

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/models", self._list, methods=["GET"]),
            Route("/v1/models/{name:path}", self._one, methods=["GET"]),
            Route("/anthropic/v1/models", self._anthropic_list, methods=["GET"]),
            Route("/anthropic/v1/models/{name:path}", self._anthropic_one, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        if ANTHROPIC in request.headers:
            return await self._anthropic_list(request)
        self._keys.caller(authorization(request))
        return _json({"object": "list", "data": [openai_model(card) for card in self._cards()]})

    async def _one(self, request: Request) -> Response:
        if ANTHROPIC in request.headers:
            return await self._anthropic_one(request)
        self._keys.caller(authorization(request))
        return _json(openai_model(self._named(request)))

    async def _anthropic_list(self, request: Request) -> Response:
        self._keys.caller(either_key(request))
        asked = request.query_params
        return _json(
            anthropic_page(self._cards(), asked.get("limit", ""), asked.get("after_id"), asked.get("before_id"))
        )

    async def _anthropic_one(self, request: Request) -> Response:
        self._keys.caller(either_key(request))
        return _json(anthropic_model(self._named(request)))

    def _named(self, request: Request) -> ModelCard:
        name = request.path_params["name"]
        for card in self._cards():
            if card.id == name:
                return card
        raise NoSuchAddress(f"no model is called {name!r}", hint="GET /v1/models lists them.")


def openai_model(card: ModelCard) -> dict[str, Any]:
    """One model in OpenAI's shape, with what Interlock knows of it under `interlock`."""
    known = {name: value for name, value in msgspec.to_builtins(card).items() if name not in ("id", "owned_by")}
    return {"id": card.id, "object": "model", "created": 0, "owned_by": card.owned_by, "interlock": known}


def anthropic_model(card: ModelCard) -> dict[str, Any]:
    """One model in Anthropic's shape."""
    return {
        "type": "model",
        "id": card.id,
        "display_name": card.id,
        "created_at": EPOCH,
        "lifecycle": "active",
        "max_input_tokens": card.context_window or None,
        "max_tokens": card.max_output or None,
        "capabilities": None,
    }


def anthropic_page(cards: Sequence[ModelCard], limit: str, after: str | None, before: str | None) -> dict[str, Any]:
    """One page of the list in Anthropic's shape.

    Raises:
        InvalidRequest: `limit` is no number from 1 to 1000.
    """
    most = digits(limit) if limit else 20
    if not 1 <= most <= MOST:
        raise InvalidRequest(f"`limit` is {limit!r}", param="limit", hint=f"Give a number from 1 to {MOST}.")
    ids = [card.id for card in cards]
    start = ids.index(after) + 1 if after in ids else 0
    end = ids.index(before) if before in ids else len(ids)
    if before in ids:
        start = max(start, end - most)
    shown = cards[start : min(end, start + most)]
    return {
        "data": [anthropic_model(card) for card in shown],
        "has_more": start > 0 if before in ids else start + most < end,
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
    }


def either_key(request: Request) -> bytes:
    """Anthropic's clients send the key as `x-api-key`, or as a bearer token."""
    key = request.headers.get("x-api-key", "")
    return f"Bearer {key}".encode("latin-1") if key else authorization(request)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type=JSON)
