"""Anthropic's Message Batches, as its client uses them: the same batches as OpenAI's face has, in other words.

Source: the reference for message batches (platform.claude.com/docs/en/api/messages/batches), 2026-11.

Above: serve. Below: asgi, auth, batch_lines, `ledger.BatchLog`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from interlock.app.auditing import Auditing
from interlock.core.batches import ENDED, BatchRow, FileRow
from interlock.core.errors import InterlockError, InvalidRequest, TooLarge
from interlock.core.ids import Ids
from interlock.core.time import NS_PER_S, Clock
from interlock.core.unreadable import UNREADABLE
from interlock.ledger import BatchLog

from . import anthropic_write
from .asgi import pairs
from .auth import Keys
from .batch_lines import MESSAGES
from .batches import WINDOW_NS
from .behalf import labelled
from .files import limit_of
from .models import either_key

LARGEST_BODY = 64 * 1024 * 1024
PREFIX = "msgbatch"
KEPT_NS = 29 * 86_400 * NS_PER_S
"""How long results are kept, as the vendor keeps them."""
Handler = Callable[[Request], Awaitable[Response]]


class _One(Struct, frozen=True):
    custom_id: str
    params: Raw


class _Body(Struct, frozen=True):
    requests: list[_One]


class _Row(Struct):
    """A line of a file of answers."""

    custom_id: str
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class MessageBatchesFace:
    """POST, GET, DELETE under /anthropic/v1/messages/batches, and the same without the prefix."""

    def __init__(
        self, log: BatchLog, keys: Keys, auditing: Auditing, ids: Ids, clock: Clock, wake: Callable[[], None]
    ) -> None:
        """`auditing`: who reads results stands there before. `wake` tells the worker that there is something to do."""
        self._log = log
        self._keys = keys
        self._auditing = auditing
        self._ids = ids
        self._clock = clock
        self._wake = wake
        self._decoder = msgspec.json.Decoder(_Body)

    def routes(self) -> list[BaseRoute]:
        found: list[BaseRoute] = []
        for prefix in ("/anthropic", ""):
            root = f"{prefix}/v1/messages/batches"
            found += [
                Route(root, self._worded(self._create), methods=["POST"]),
                Route(root, self._worded(self._list), methods=["GET"]),
                Route(root + "/{batch}", self._worded(self._get), methods=["GET"]),
                Route(root + "/{batch}", self._worded(self._delete), methods=["DELETE"]),
                Route(root + "/{batch}/cancel", self._worded(self._cancel), methods=["POST"]),
                Route(root + "/{batch}/results", self._worded(self._results), methods=["GET"]),
            ]
        return found

    def _worded(self, handler: Handler) -> Handler:
        """Errors in this dialect's words."""

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except InterlockError as error:
                call = self._ids.new("req")
                response = Response(anthropic_write.error_body(error, call), anthropic_write.status_of(error))
                lines = pairs(anthropic_write.error_headers(error, call))
                response.raw_headers = [
                    *(each for each in response.raw_headers if each[0] == b"content-length"),
                    *lines,
                ]
                return response

        return answered

    async def _create(self, request: Request) -> Response:
        caller = labelled(self._keys.caller(either_key(request)), request)
        body = await self._read(request)
        now_ns = self._clock.wall_ns()
        file = FileRow(
            self._ids.new("file"),
            caller.tenant,
            "batch",
            "message_batch.jsonl",
            0,
            now_ns,
            now_ns + KEPT_NS,
            caller.user,
        )
        file = await self._log.make_file(file, _lines(body))
        row = BatchRow(
            id=self._ids.new(PREFIX),
            tenant=caller.tenant,
            caller=caller,
            endpoint=MESSAGES,
            input_file=file.id,
            window="24h",
            created_ns=now_ns,
            expires_ns=now_ns + WINDOW_NS,
            total=len(body.requests),
            output_ttl_ns=KEPT_NS,
        )
        await self._log.create(row)
        self._wake()
        return _json(batch_of(row, request))

    async def _read(self, request: Request) -> _Body:
        pieces: list[bytes] = []
        size = 0
        async for piece in request.stream():
            size += len(piece)
            if size > LARGEST_BODY:
                raise TooLarge(f"the batch is larger than {LARGEST_BODY} bytes", hint="Split it into several.")
            pieces.append(piece)
        try:
            body = self._decoder.decode(b"".join(pieces))
        except UNREADABLE as fault:
            message, _, path = str(fault).partition(" - at `$")
            param = path.rstrip("`").removeprefix(".")
            raise InvalidRequest(f"the body is no request for a batch: {message}", param=param) from None
        names = [each.custom_id for each in body.requests]
        if not names or not all(names) or len(set(names)) != len(names):
            raise InvalidRequest("`requests` is empty, or its custom_ids are not all different", param="requests")
        return body

    async def _list(self, request: Request) -> Response:
        caller = self._keys.caller(either_key(request))
        limit = limit_of(request.query_params.get("limit"), 1000)
        rows = await self._log.batches(caller.tenant, PREFIX, request.query_params.get("after_id", ""), limit + 1)
        shown = [batch_of(row, request) for row in rows[:limit]]
        ids = [each["id"] for each in shown]
        page = {"data": shown, "has_more": len(rows) > limit}
        return _json({**page, "first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None})

    async def _get(self, request: Request) -> Response:
        return _json(batch_of(await self._batch(request), request))

    async def _cancel(self, request: Request) -> Response:
        row = await self._batch(request)
        row = await self._log.cancel(row.tenant, row.id)
        self._wake()
        return _json(batch_of(row, request))

    async def _delete(self, request: Request) -> Response:
        """Its results are removed; what it cost stays in the ledger."""
        row = await self._batch(request)
        if row.status not in ENDED:
            raise InvalidRequest(f"batch {row.id} is {row.status}", hint="Cancel it first.")
        for file in filter(None, (row.input_file, row.output_file, row.error_file)):
            await self._log.delete_file(row.tenant, file)
        return _json({"id": row.id, "type": "message_batch_deleted"})

    async def _results(self, request: Request) -> Response:
        row = await self._batch(request)
        if row.status not in ENDED:
            raise InvalidRequest(f"batch {row.id} is {row.status}: it has no results yet")
        access = self._keys.access(either_key(request), "call")
        await self._auditing.note(access.caller, access.role, "content.read", row.id, "batch")
        names = [each for each in (row.output_file, row.error_file) if each]
        files = [await self._log.file(row.tenant, name) for name in names]
        return StreamingResponse(self._told(files), media_type="application/x-jsonl")

    async def _told(self, files: list[FileRow]) -> AsyncIterator[bytes]:
        for file in files:
            lines = self._log.blobs.lines(file)
            while some := await asyncio.to_thread(_some, lines):
                yield b"".join([msgspec.json.encode(_result(raw)) + b"\n" for raw in some])

    async def _batch(self, request: Request) -> BatchRow:
        caller = self._keys.caller(either_key(request))
        return await self._log.batch(caller.tenant, request.path_params["batch"])


def batch_of(row: BatchRow, request: Request) -> dict[str, Any]:
    """A batch in Anthropic's words."""
    ended = row.status in ENDED
    left = row.total - row.completed - row.failed
    status = "ended" if ended else "canceling" if row.cancelling_ns else "in_progress"
    gone = {"canceled": 0, "expired": 0}
    if ended and row.status in ("cancelled", "expired"):
        gone["canceled" if row.status == "cancelled" else "expired"] = row.unasked
    here = request.url.replace(query="").path.partition("/v1/messages")[0]
    results = f"{request.url.scheme}://{request.url.netloc}{here}/v1/messages/batches/{row.id}/results"
    return {
        "id": row.id,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": {
            "processing": 0 if ended else left,
            "succeeded": row.completed if ended else 0,
            "errored": row.failed - row.unasked if ended else 0,
            **gone,
        },
        "created_at": _stamp(row.created_ns),
        "expires_at": _stamp(row.expires_ns),
        "ended_at": _stamp(row.ended_ns),
        "cancel_initiated_at": _stamp(row.cancelling_ns),
        "archived_at": None,
        "results_url": results if ended else None,
    }


def _result(raw: bytes) -> dict[str, Any]:
    row = msgspec.json.decode(raw, type=_Row)
    if row.response is None:
        code = (row.error or {}).get("code", "")
        return {"custom_id": row.custom_id, "result": {"type": "expired" if code == "batch_expired" else "canceled"}}
    body = row.response["body"]
    if row.response["status_code"] == 200:
        return {"custom_id": row.custom_id, "result": {"type": "succeeded", "message": body}}
    return {"custom_id": row.custom_id, "result": {"type": "errored", "error": body}}


def _lines(body: _Body) -> Iterator[bytes]:
    for each in body.requests:
        asked = {"custom_id": each.custom_id, "method": "POST", "url": MESSAGES, "body": each.params}
        yield msgspec.json.encode(asked) + b"\n"


def _some(lines: Iterator[tuple[int, bytes]]) -> list[bytes]:
    return [raw for _, (_, raw) in zip(range(200), lines, strict=False)]


def _stamp(at_ns: int) -> str | None:
    return datetime.fromtimestamp(at_ns / NS_PER_S, UTC).isoformat().replace("+00:00", "Z") if at_ns else None


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
