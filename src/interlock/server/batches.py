"""The batches face: what OpenAI's client does with batches.

Source: the API reference for batches (platform.openai.com/docs/api-reference/batch), 2026-11.

Above: serve. Below: asgi, auth, files, batch_lines, `ledger.BatchLog`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.core.batches import BatchRow
from interlock.core.errors import InvalidRequest
from interlock.core.ids import Ids
from interlock.core.time import NS_PER_S, Clock
from interlock.core.unreadable import UNREADABLE
from interlock.ledger import BatchLog

from .asgi import authorization
from .auth import Keys
from .batch_lines import ENDPOINTS
from .behalf import labelled
from .files import limit_of, page

WINDOW_NS = 24 * 3600 * NS_PER_S
LARGEST_BODY = 64 * 1024
PREFIX = "batch"
Short = Annotated[str, Meta(max_length=64)]
Longer = Annotated[str, Meta(max_length=512)]


class _Expiry(Struct, frozen=True):
    seconds: Annotated[int, Meta(ge=3600, le=2_592_000)]
    anchor: str = "created_at"


class _Body(Struct, frozen=True):
    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: Annotated[dict[Short, Longer], Meta(max_length=16)] | None = None
    output_expires_after: _Expiry | None = None


class BatchesFace:
    """POST and GET under /v1/batches."""

    def __init__(self, log: BatchLog, keys: Keys, ids: Ids, clock: Clock, wake: Callable[[], None]) -> None:
        """`wake` tells the worker that there is something to do."""
        self._log = log
        self._keys = keys
        self._ids = ids
        self._clock = clock
        self._wake = wake
        self._decoder = msgspec.json.Decoder(_Body)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/batches", self._create, methods=["POST"]),
            Route("/v1/batches", self._list, methods=["GET"]),
            Route("/v1/batches/{batch}", self._get, methods=["GET"]),
            Route("/v1/batches/{batch}/cancel", self._cancel, methods=["POST"]),
        ]

    async def _create(self, request: Request) -> Response:
        caller = labelled(self._keys.caller(authorization(request)), request)
        body = self._read(await _body(request))
        if body.endpoint not in ENDPOINTS:
            known = ", ".join(ENDPOINTS)
            raise InvalidRequest(f"`endpoint` is {body.endpoint!r}", param="endpoint", hint=f"Known: {known}.")
        file = await self._log.file(caller.tenant, body.input_file_id)
        if file.purpose != "batch":
            raise InvalidRequest(f"file {file.id} is no input of a batch", param="input_file_id")
        now_ns = self._clock.wall_ns()
        row = BatchRow(
            id=self._ids.new(PREFIX),
            tenant=caller.tenant,
            caller=caller,
            endpoint=body.endpoint,
            input_file=file.id,
            window=body.completion_window,
            metadata=body.metadata or {},
            created_ns=now_ns,
            expires_ns=now_ns + WINDOW_NS,
            output_ttl_ns=0 if body.output_expires_after is None else body.output_expires_after.seconds * NS_PER_S,
        )
        await self._log.create(row)
        self._wake()
        return _json(row)

    def _read(self, raw: bytes) -> _Body:
        try:
            return self._decoder.decode(raw)
        except UNREADABLE as fault:
            message, _, path = str(fault).partition(" - at `$")
            param = path.rstrip("`").removeprefix(".")
            raise InvalidRequest(f"the body is no request for a batch: {message}", param=param) from None

    async def _list(self, request: Request) -> Response:
        caller = self._keys.caller(authorization(request))
        limit = limit_of(request.query_params.get("limit"), 100)
        rows = await self._log.batches(caller.tenant, PREFIX, request.query_params.get("after", ""), limit + 1)
        made = page([batch_of(row) for row in rows], limit)
        return Response(msgspec.json.encode(made), media_type="application/json")

    async def _get(self, request: Request) -> Response:
        caller = self._keys.caller(authorization(request))
        return _json(await self._log.batch(caller.tenant, request.path_params["batch"]))

    async def _cancel(self, request: Request) -> Response:
        caller = self._keys.caller(authorization(request))
        row = await self._log.cancel(caller.tenant, request.path_params["batch"])
        self._wake()
        return _json(row)


def batch_of(row: BatchRow) -> dict[str, Any]:
    """A batch in OpenAI's words."""
    faults = [
        {"code": each.code, "message": each.message, "line": each.line or None, "param": each.param or None}
        for each in row.faults
    ]
    return {
        "id": row.id,
        "object": "batch",
        "endpoint": row.endpoint,
        "errors": {"object": "list", "data": faults} if faults else None,
        "input_file_id": row.input_file,
        "completion_window": row.window,
        "status": row.status,
        "output_file_id": row.output_file or None,
        "error_file_id": row.error_file or None,
        "created_at": row.created_ns // NS_PER_S,
        "in_progress_at": _seconds(row.begun_ns),
        "expires_at": _seconds(row.expires_ns),
        "finalizing_at": _seconds(row.finalizing_ns),
        "cancelling_at": _seconds(row.cancelling_ns),
        **{f"{how}_at": _seconds(row.ended_ns) if row.status == how else None for how in _ENDS},
        "request_counts": {"total": row.total, "completed": row.completed, "failed": row.failed},
        "metadata": row.metadata or None,
    }


_ENDS = ("completed", "failed", "expired", "cancelled")


def _seconds(at_ns: int) -> int | None:
    return at_ns // NS_PER_S if at_ns else None


async def _body(request: Request) -> bytes:
    """The whole of a small body. Raises InvalidRequest."""
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > LARGEST_BODY:
            raise InvalidRequest(f"the body is larger than {LARGEST_BODY} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _json(row: BatchRow) -> Response:
    return Response(msgspec.json.encode(batch_of(row)), media_type="application/json")
