"""Tasks and approvals over HTTP: /api/tasks and /api/approvals.

Above: workspace. Below: app's `taskdesk`, auth. A key sees its own tenant's tasks. Whoever decides needs a key that may manage (the server's own, or
one made with `--admin`), or signs the message with a webhook's secret.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from interlock.agents.verdicts import Source
from interlock.app.taskdesk import Decision, TaskDesk
from interlock.core import webhook
from interlock.core.caller import Caller, Secret
from interlock.core.errors import InvalidRequest, TooLarge
from interlock.core.ids import read_traceparent
from interlock.core.store import TaskStatus
from interlock.core.time import NS_PER_S, Clock
from interlock.ledger.read import TaskSummary, TracedStep

from .asgi import authorization
from .auth import Keys

T = TypeVar("T")
MOST_BYTES = 1_000_000
STATUSES: tuple[str, ...] = get_args(TaskStatus)


class NewTask(Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /api/tasks takes."""

    workflow: str
    input: dict[str, Any]
    user: str = ""


class Decided(Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /api/approvals/{task}/{step} takes."""

    decision: Decision
    who: str = ""
    note: str = ""
    arguments: dict[str, Any] | None = None


class Became(Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /api/tasks/{task}/outcome takes."""

    success: bool
    source: Source = "user"
    who: str = ""
    note: str = ""


class TasksFace:
    """The routes."""

    def __init__(self, desk: TaskDesk, keys: Keys, clock: Clock, caller: Caller, secrets: Sequence[Secret]) -> None:
        """`caller` and `secrets`: on whose behalf, and how, a signed message decides."""
        self._desk, self._keys, self._clock = desk, keys, clock
        self._signer, self._secrets = caller, secrets

    def routes(self) -> list[BaseRoute]:
        """See `serve.Face`."""
        return [
            Route("/api/tasks", self._list, methods=["GET"]),
            Route("/api/tasks", self._create, methods=["POST"]),
            Route("/api/tasks/{task}", self._one, methods=["GET"]),
            Route("/api/tasks/{task}/trace", self._trace, methods=["GET"]),
            Route("/api/tasks/{task}/events", self._events, methods=["GET"]),
            Route("/api/tasks/{task}/cancel", self._cancel, methods=["POST"]),
            Route("/api/tasks/{task}/outcome", self._outcome, methods=["POST"]),
            Route("/api/approvals", self._waiting, methods=["GET"]),
            Route("/api/approvals/{task}", self._questions, methods=["GET"]),
            Route("/api/approvals/{task}/{step:int}", self._decide, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        asked = request.query_params
        limit = asked.get("limit", "50")
        if not limit.isdigit() or not 1 <= int(limit) <= 1_000:
            raise InvalidRequest("limit is 1 to 1000", param="limit")
        if (status := asked.get("status", "")) not in ("", *STATUSES):
            raise InvalidRequest(f"no status {status!r}", param="status", hint=f"Known: {', '.join(STATUSES)}.")
        caller = self._keys.caller(authorization(request))
        found = await self._desk.list(caller, workflow=asked.get("workflow", ""), status=status, limit=int(limit))
        return _json({"tasks": found})

    async def _create(self, request: Request) -> Response:
        caller = self._keys.caller(authorization(request))
        wanted = await _body(request, NewTask)
        if wanted.user and not caller.user:
            caller = msgspec.structs.replace(caller, user=wanted.user)
        if trace := read_traceparent(request.headers.get("traceparent", "")):
            caller = msgspec.structs.replace(caller, trace=trace)
        key = request.headers.get("idempotency-key", "")
        task, new = await self._desk.create(caller, wanted.workflow, wanted.input, key[:256])
        return _json(task, 202 if new else 200, location=f"/api/tasks/{task.task}")

    async def _one(self, request: Request) -> Response:
        return _json(await self._desk.one(self._keys.caller(authorization(request)), request.path_params["task"]))

    async def _trace(self, request: Request) -> Response:
        return _json(await self._desk.trace(self._keys.caller(authorization(request)), request.path_params["task"]))

    async def _events(self, request: Request) -> Response:
        """Server-sent events; `Last-Event-ID` says what the client has already."""
        caller, task = self._keys.caller(authorization(request)), request.path_params["task"]
        await self._desk.one(caller, task)
        last = request.headers.get("last-event-id", "")
        after = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else -1
        return StreamingResponse(
            self._stream(caller, task, after), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def _stream(self, caller: Caller, task: str, after: int) -> AsyncIterator[bytes]:
        quiet = 0
        async for step in self._desk.events(caller, task, after):
            quiet = quiet + 1 if step is None else 0
            if step is not None:
                yield _event(step)
            elif quiet % 50 == 0:
                yield b": still here\n\n"
        yield b"event: end\ndata: " + msgspec.json.encode(await self._desk.one(caller, task)) + b"\n\n"

    async def _cancel(self, request: Request) -> Response:
        caller = self._keys.caller(authorization(request))
        await self._desk.cancel(caller, request.path_params["task"], caller.user or caller.key_id)
        return _json(await self._desk.one(caller, request.path_params["task"]), 202)

    async def _outcome(self, request: Request) -> Response:
        """What became of it: users' feedback from any key of the tenant, what people and programs know from one that may manage."""
        caller = self._keys.caller(authorization(request))
        said = await _body(request, Became)
        if said.source != "user":
            caller = self._keys.admin(authorization(request))
        who = said.who or caller.user or caller.key_id
        task = request.path_params["task"]
        return _json(
            await self._desk.outcome(caller, task, success=said.success, source=said.source, who=who, note=said.note)
        )

    async def _waiting(self, request: Request) -> Response:
        return _json({"questions": await self._desk.waiting(self._keys.admin(authorization(request)))})

    async def _questions(self, request: Request) -> Response:
        caller = self._keys.admin(authorization(request))
        return _json({"questions": await self._desk.questions(caller, request.path_params["task"])})

    async def _decide(self, request: Request) -> Response:
        """By a key that may manage, or by a message that a webhook's secret has signed."""
        body = await _bytes(request)
        if request.headers.get("webhook-signature"):
            webhook.verify(self._secrets, request.headers, body, self._clock.wall_ns() // NS_PER_S)
            caller, by = self._signer, "webhook"
        else:
            caller = self._keys.admin(authorization(request))
            by = caller.user or caller.key_id
        decided = _read(body, Decided)
        task, step = request.path_params["task"], request.path_params["step"]
        who = f"{decided.who} (by {by})" if decided.who else by
        await self._desk.decide(
            caller, task, step, decided.decision, who=who, note=decided.note, arguments=decided.arguments
        )
        return _json(await self._desk.one(caller, task), 202)


def _event(step: TracedStep) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (step.step, step.type.encode(), msgspec.json.encode(step))


async def _body(request: Request, kind: type[T]) -> T:
    return _read(await _bytes(request), kind)


async def _bytes(request: Request) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise TooLarge(f"the request's body is larger than {MOST_BYTES} bytes", hint="Send less at once.")
    return b"".join(pieces)


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as wrong:
        raise InvalidRequest(
            f"the body is not as it should be: {wrong}", param="body", hint="See docs/tasks-api.md."
        ) from wrong


def _json(value: TaskSummary | Any, status: int = 200, *, location: str = "") -> Response:
    headers = {"location": location} if location else None
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")
