"""The files face: what OpenAI's client does with files that batches are made of. Uploads go to disk as they come.

Source: the API reference for files (platform.openai.com/docs/api-reference/files), 2026-11.

Above: serve. Below: asgi, auth, `app.auditing`, `ledger.BatchLog`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive

from interlock.app.auditing import Auditing
from interlock.core.batches import FileRow
from interlock.core.caller import Caller
from interlock.core.errors import InvalidRequest, TooLarge
from interlock.core.ids import Ids
from interlock.core.time import NS_PER_S, Clock
from interlock.ledger import BatchLog

from .asgi import authorization
from .auth import Keys
from .task_forms import digits

PIECE_BYTES = 256 * 1024
FIELDS_BYTES = 64 * 1024
"""Beside the file itself an upload holds only a few short fields."""
KEPT_DAYS = 30
LONGEST_NAME = 255


class FilesFace:
    """POST, GET, DELETE under /v1/files."""

    def __init__(self, log: BatchLog, keys: Keys, auditing: Auditing, ids: Ids, clock: Clock, max_bytes: int) -> None:
        """`auditing`: who reads a file, which may be another than who wrote it, stands there before."""
        self._log = log
        self._keys = keys
        self._auditing = auditing
        self._ids = ids
        self._clock = clock
        self._max_bytes = max_bytes

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/files", self._upload, methods=["POST"]),
            Route("/v1/files", self._list, methods=["GET"]),
            Route("/v1/files/{file}", self._get, methods=["GET"]),
            Route("/v1/files/{file}", self._delete, methods=["DELETE"]),
            Route("/v1/files/{file}/content", self._content, methods=["GET"]),
        ]

    async def _upload(self, request: Request) -> Response:
        caller = self._keys.caller(authorization(request))
        capped = Request(request.scope, _capped(request.receive, self._max_bytes + FIELDS_BYTES, request))
        try:
            async with capped.form(max_files=1, max_fields=10) as form:
                row, file = self._row(caller, form)
                row = await self._log.add_file(row, _pieces(file))
        except MultiPartException as fault:
            raise InvalidRequest(f"the body is no upload: {fault.message}", hint="Send multipart/form-data.") from None
        return _json(file_of(row))

    def _row(self, caller: Caller, form: FormData) -> tuple[FileRow, UploadFile]:
        """The file as it will be noted, and its bytes. Raises InvalidRequest, TooLarge."""
        file, purpose = form.get("file"), form.get("purpose")
        if not isinstance(file, UploadFile):
            raise InvalidRequest("the upload has no `file`", param="file")
        if purpose != "batch":
            raise InvalidRequest(f"files for {purpose!r} are not kept", param="purpose", hint="Known: batch.")
        if file.size is not None and file.size > self._max_bytes:
            raise _too_large(self._max_bytes)
        now_ns = self._clock.wall_ns()
        lives_s = KEPT_DAYS * 86_400
        asked = form.get("expires_after[seconds]")
        if isinstance(asked, str):
            lives_s = digits(asked)
            if not 3600 <= lives_s <= KEPT_DAYS * 86_400:
                raise InvalidRequest(
                    "`expires_after.seconds` is not between an hour and 30 days", param="expires_after"
                )
        name = (file.filename or "file.jsonl")[-LONGEST_NAME:]
        until_ns = now_ns + lives_s * NS_PER_S
        row = FileRow(self._ids.new("file"), caller.tenant, "batch", name, 0, now_ns, until_ns, caller.user)
        return row, file

    async def _list(self, request: Request) -> Response:
        caller = self._keys.caller(authorization(request))
        asked = request.query_params
        limit = limit_of(asked.get("limit"), 10_000)
        rows = await self._log.files(caller.tenant, asked.get("purpose", ""), asked.get("after", ""), limit + 1)
        return _json(page([file_of(row) for row in rows], limit))

    async def _get(self, request: Request) -> Response:
        return _json(file_of(await self._file(request)))

    async def _content(self, request: Request) -> Response:
        access = self._keys.access(authorization(request), "call")
        row = await self._log.file(access.caller.tenant, request.path_params["file"])
        await self._auditing.note(access.caller, access.role, "content.read", row.id, "file")
        path = await asyncio.to_thread(self._log.blobs.path, row)
        if path is None:
            size = {"content-length": str(row.size)}
            return StreamingResponse(self._log.blobs.pieces(row), headers=size, media_type="application/jsonl")
        return FileResponse(path, media_type="application/jsonl")

    async def _delete(self, request: Request) -> Response:
        caller = self._keys.caller(authorization(request))
        name: str = request.path_params["file"]
        await self._log.delete_file(caller.tenant, name)
        return _json({"id": name, "object": "file", "deleted": True})

    async def _file(self, request: Request) -> FileRow:
        caller = self._keys.caller(authorization(request))
        return await self._log.file(caller.tenant, request.path_params["file"])


def file_of(row: FileRow) -> dict[str, Any]:
    """A file in OpenAI's words."""
    return {
        "id": row.id,
        "object": "file",
        "bytes": row.size,
        "created_at": row.created_ns // NS_PER_S,
        "expires_at": row.expires_ns // NS_PER_S if row.expires_ns else None,
        "filename": row.name,
        "purpose": row.purpose,
        "status": "processed",
    }


def page(rows: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """One page of a list; `rows` holds one more than the page where there is more."""
    shown = rows[:limit]
    return {
        "object": "list",
        "data": shown,
        "has_more": len(rows) > limit,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
    }


def limit_of(text: str | None, most: int, usual: int = 20) -> int:
    """The `limit` of a list. Raises InvalidRequest."""
    if text is None:
        return usual
    number = digits(text)
    if not 1 <= number <= most:
        raise InvalidRequest(f"`limit` is {text!r}", param="limit", hint=f"Give a number from 1 to {most}.")
    return number


def _capped(receive: Receive, most: int, request: Request) -> Receive:
    """The body as it comes, up to `most` bytes. Raises TooLarge, before anything was read where the client says the size."""
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > most:
        raise _too_large(most)
    size = 0

    async def taken() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise _too_large(most)
        return message

    return taken


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"the file is larger than {most} bytes", hint="Split it into several batches.")


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(PIECE_BYTES):
        yield piece


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
