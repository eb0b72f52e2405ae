"""Tasks and approvals over HTTP: /api/tasks, /api/approvals, /api/schedules, and what they are as an OpenAPI document.

Above: workspace. Below: app's `taskdesk`, auth. A key sees its own tenant's tasks. Whoever decides needs a key that may manage (the server's own, or
one made with `--admin`), or signs the message with a webhook's secret.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from interlock.app.following import Came, place_of
from interlock.app.schedules import Schedules
from interlock.app.taskdesk import TaskDesk
from interlock.core import webhook
from interlock.core.caller import Caller, Secret
from interlock.core.errors import InvalidRequest
from interlock.core.events import Outcome
from interlock.core.ids import read_traceparent
from interlock.core.live import Live, name_of
from interlock.core.store import TaskStatus
from interlock.core.time import NS_PER_S, Clock
from interlock.ledger.read import TaskSummary

from .admit import Admission
from .asgi import authorization
from .auth import Keys
from .behalf import labelled
from .openapi import document
from .task_forms import Became, Closed, Decided, NewTask, Sent, body_of, bytes_of, flag, read, seconds, whole

STATUSES: tuple[str, ...] = get_args(TaskStatus)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
Verb = Callable[[Caller, str, str], Coroutine[Any, Any, None]]


class TasksFace:
    """The routes."""

    def __init__(
        self,
        desk: TaskDesk,
        keys: Keys,
        admission: Admission,
        clock: Clock,
        caller: Caller,
        secrets: Sequence[Secret],
        schedules: Schedules,
    ) -> None:
        """`caller` and `secrets`: on whose behalf, and how, a signed message decides."""
        self._desk, self._keys, self._clock, self._schedules = desk, keys, clock, schedules
        self._admission = admission
        self._signer, self._secrets = caller, secrets

    def routes(self) -> list[BaseRoute]:
        """See `serve.Face`."""
        desk, task = self._desk, "/api/tasks/{task}"
        return [
            Route("/api/openapi.json", self._openapi, methods=["GET"]),
            Route("/api/tasks", self._list, methods=["GET"]),
            Route("/api/tasks", self._create, methods=["POST"]),
            Route(task, self._one, methods=["GET"]),
            Route(f"{task}/trace", self._trace, methods=["GET"]),
            Route(f"{task}/events", self._events, methods=["GET"]),
            Route(f"{task}/result", self._result, methods=["GET"]),
            Route(f"{task}/cancel", self._doing("cancel", desk.cancel), methods=["POST"]),
            Route(f"{task}/pause", self._doing("pause", desk.pause), methods=["POST"]),
            Route(f"{task}/resume", self._doing("resume", desk.unpause), methods=["POST"]),
            Route(f"{task}/signals", self._signal, methods=["POST"]),
            Route(f"{task}/close", self._close, methods=["POST"]),
            Route(f"{task}/outcome", self._outcome, methods=["POST"]),
            Route("/api/approvals", self._waiting, methods=["GET"]),
            Route("/api/approvals/{task}", self._questions, methods=["GET"]),
            Route("/api/approvals/{task}/{step:int}", self._decide, methods=["POST"]),
            Route("/api/schedules", self._scheduled, methods=["GET"]),
        ]

    async def _openapi(self, request: Request) -> Response:
        self._keys.caller(authorization(request))
        return _json(document())

    async def _list(self, request: Request) -> Response:
        caller, asked = self._keys.may(authorization(request), "figures"), request.query_params
        status, outcome = asked.get("status", ""), asked.get("outcome", "")
        _known(status, "status", STATUSES)
        _known(outcome, "outcome", OUTCOMES)
        found = await self._desk.list(
            caller,
            workflow=asked.get("workflow", ""),
            status=status,
            outcome=outcome,
            limit=whole(asked.get("limit", ""), "limit", 50, 1_000),
        )
        return _json({"tasks": found})

    async def _create(self, request: Request) -> Response:
        caller = self._keys.caller(authorization(request))
        wanted = await body_of(request, NewTask)
        if wanted.user and not caller.user:
            caller = msgspec.structs.replace(caller, user=wanted.user)
        if trace := read_traceparent(request.headers.get("traceparent", "")):
            caller = msgspec.structs.replace(caller, trace=trace)
        caller = labelled(caller, request)
        key = request.headers.get("idempotency-key", "")
        if len(key) > 256:
            raise InvalidRequest("an Idempotency-Key has 256 characters at most", param="idempotency-key")
        task, new = await self._desk.create(
            caller,
            wanted.workflow,
            wanted.input,
            key,
            text=wanted.text,
            priority=wanted.priority,
            lock=wanted.lock,
        )
        return _json(task, 202 if new else 200, location=f"/api/tasks/{task.task}")

    async def _one(self, request: Request) -> Response:
        return _json(await self._desk.one(self._keys.may(authorization(request), "figures"), _task(request)))

    async def _trace(self, request: Request) -> Response:
        return _json(
            await self._desk.trace(
                await self._admission.caller(request, "content", "content.read", _task(request)), _task(request)
            )
        )

    async def _result(self, request: Request) -> Response:
        """At once, or when the task is over; 202 while it is not."""
        caller = await self._admission.caller(request, "content", "content.read", _task(request))
        wait_s = seconds(request.query_params.get("wait_s", ""))
        result, over = await self._desk.result(caller, _task(request), wait_s)
        return _json(result, 200 if over else 202)

    async def _events(self, request: Request) -> Response:
        """Server-sent events; `Last-Event-ID` says what the client has already."""
        caller, task = await self._admission.caller(request, "content", "content.read", _task(request)), _task(request)
        await self._desk.one(caller, task)
        last, text = request.headers.get("last-event-id", ""), flag(request.query_params.get("text", ""), "text")
        return StreamingResponse(
            self._stream(caller, task, last, text=text),
            media_type="text/event-stream",
            headers={"cache-control": "no-store"},
        )

    async def _stream(self, caller: Caller, task: str, last: str, *, text: bool) -> AsyncIterator[bytes]:
        quiet = 0
        async with aclosing(self._desk.events(caller, task, place_of(last), text=text)) as events:
            async for came in events:
                quiet = quiet + 1 if came is None else 0
                if came is not None:
                    yield _event(came)
                elif quiet % 50 == 0:
                    yield b": still here\n\n"
        yield b"event: end\ndata: " + msgspec.json.encode(await self._desk.one(caller, task)) + b"\n\n"

    def _doing(self, name: str, verb: Verb) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """An address that asks something of a task and answers with how it stands."""

        async def answered(request: Request) -> Response:
            task = _task(request)
            caller = await self._admission.caller(request, "operate", "task.operated", task, name)
            await verb(caller, task, caller.user or caller.key_id)
            return _json(await self._desk.one(caller, task), 202)

        return answered

    async def _signal(self, request: Request) -> Response:
        """202 for a new one, 200 for one whose Idempotency-Key was sent before."""
        caller, task = (
            await self._admission.caller(request, "operate", "task.operated", _task(request), "signal"),
            _task(request),
        )
        sent, key = await body_of(request, Sent), request.headers.get("idempotency-key", "")[:256]
        who = caller.user or caller.key_id
        new = await self._desk.signal(caller, task, sent.name, sent.payload, who=who, key=key)
        return _json(await self._desk.one(caller, task), 202 if new else 200)

    async def _close(self, request: Request) -> Response:
        caller, task = (
            await self._admission.caller(request, "decide", "task.operated", _task(request), "close"),
            _task(request),
        )
        closed = await body_of(request, Closed)
        who = caller.user or caller.key_id
        await self._desk.close(caller, task, success=closed.success, who=who, note=closed.note)
        return _json(await self._desk.one(caller, task))

    async def _outcome(self, request: Request) -> Response:
        """What became of it: users' feedback from any key of the tenant, what people and programs know from one that may manage."""
        caller = self._keys.caller(authorization(request))
        said = await body_of(request, Became)
        if said.source != "user":
            caller = self._keys.may(authorization(request), "decide")
        who = said.who or caller.user or caller.key_id
        task = _task(request)
        await self._admission.auditing.note(caller, "", "outcome.said", task, said.source)
        return _json(
            await self._desk.outcome(caller, task, success=said.success, source=said.source, who=who, note=said.note)
        )

    async def _waiting(self, request: Request) -> Response:
        caller = await self._admission.caller(request, "decide", "content.read", "approvals")
        return _json({"questions": await self._desk.waiting(caller)})

    async def _questions(self, request: Request) -> Response:
        caller = await self._admission.caller(request, "decide", "content.read", _task(request))
        return _json({"questions": await self._desk.questions(caller, _task(request))})

    async def _decide(self, request: Request) -> Response:
        """By a key that may decide, or by a message that a webhook's secret has signed."""
        body = await bytes_of(request)
        if request.headers.get("webhook-signature"):
            webhook.verify(self._secrets, request.headers, body, self._clock.wall_ns() // NS_PER_S)
            caller, by, role = self._signer, "webhook", "approver"
        else:
            access = self._keys.access(authorization(request), "decide")
            caller, role = access.caller, access.role
            by = caller.user or caller.key_id
        decided, step = read(body, Decided), request.path_params["step"]
        target, named = f"{_task(request)}/{step}", f"{decided.decision} by {by}"
        await self._admission.auditing.note(caller, role, "approval.decided", target, named)
        await self._desk.decide(
            caller,
            _task(request),
            step,
            decided.decision,
            who=f"{decided.who} (by {by})" if decided.who else by,
            note=decided.note,
            arguments=decided.arguments,
            result=decided.result,
        )
        return _json(await self._desk.one(caller, _task(request)), 202)

    async def _scheduled(self, request: Request) -> Response:
        """Schedules are the workspace's, and so its tenant's."""
        caller = self._keys.may(authorization(request), "figures")
        own = caller.tenant == self._signer.tenant
        return _json({"schedules": await self._schedules.standings() if own else []})


def _task(request: Request) -> str:
    return str(request.path_params["task"])


def _known(given: str, name: str, words: Sequence[str]) -> None:
    if given and given not in words:
        raise InvalidRequest(f"no {name} {given!r}", param=name, hint=f"Known: {', '.join(words)}.")


def _event(came: Came | Live) -> bytes:
    """Words that are being written have no id: the place of a reader is that of the last record."""
    if not isinstance(came, Came):
        return b"event: %b\ndata: %b\n\n" % (name_of(came).encode(), msgspec.json.encode(came))
    data = msgspec.json.encode(came.step)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (str(came.place).encode(), came.step.type.encode(), data)


def _json(value: TaskSummary | Any, status: int = 200, *, location: str = "") -> Response:
    headers = {"location": location} if location else None
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")
