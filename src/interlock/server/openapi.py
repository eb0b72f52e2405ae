"""What the addresses of tasks take and give, as OpenAPI 3.1 has it. Above: tasks. Below: the forms, the ledger's readings.

The schemas are those of the very types that are read and written; a test asks a running server whatever the document allows.
"""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

import msgspec

from interlock import __version__
from interlock.agents.question import Question
from interlock.agents.result import TaskResult
from interlock.app.schedules import Standing
from interlock.core.events import Outcome
from interlock.core.live import Calling, Said, Writing
from interlock.core.store import TaskStatus
from interlock.ledger.read import TaskSummary, Trace

from .sessions import Changes, Held
from .task_forms import LONGEST_WAIT_S, Became, Closed, Decided, NewTask, Sent

_TYPES = (
    *(NewTask, Decided, Sent, Became, Closed, Changes, Held),
    *(TaskSummary, TaskResult, Trace, Question, Standing, Writing, Said, Calling),
)
_REFS = "#/components/schemas/"
_TASK = {"name": "task", "in": "path", "required": True, "schema": {"type": "string"}}
_STEP = {"name": "step", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}}
_SESSION = {
    "name": "session",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.:@-]{1,200}$"},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": 256},
    "description": "The same key of the same caller is the same thing.",
}
_ERRORS = {
    "400": "The request is not as it should be, or nothing of the kind is asked any more.",
    "401": "The key is missing or wrong.",
    "403": "The key may not do this.",
    "404": "There is no such task for this key.",
    "413": "The body is too large.",
    "422": "The tool would refuse the arguments.",
    "503": "The store is away; nothing was done.",
}


@cache
def document() -> dict[str, Any]:
    """The whole document; the same object each time."""
    _, components = msgspec.json.schema_components(_TYPES, ref_template=f"{_REFS}{{name}}")
    error = {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": "string"},
                },
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Interlock: tasks", "version": __version__, "description": "See docs/tasks-api.md."},
        "security": [{"key": []}],
        "paths": _looking() | _deciding(),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**components, "Error": error},
        },
    }


def _looking() -> dict[str, Any]:
    """Begin, look, end, pause, resume, signal."""
    task = "/api/tasks/{task}"
    return {
        "/api/openapi.json": {"get": _does("This document.", {"200": _json({"type": "object"})})},
        "/api/tasks": {
            "get": _does("The tenant's tasks, newest first.", {"200": _list("tasks", TaskSummary)}, _filters()),
            "post": _does(
                "Begins a task and returns at once.",
                {
                    "202": _one(TaskSummary, "It is new."),
                    "200": _one(TaskSummary, "It was begun with this key before."),
                },
                [_KEY],
                NewTask,
            ),
        },
        task: {"get": _does("How far it got.", {"200": _one(TaskSummary)}, [_TASK])},
        f"{task}/trace": {"get": _does("Everything recorded.", {"200": _one(Trace)}, [_TASK])},
        f"{task}/events": {
            "get": _does("The same as it comes; ends with the task.", {"200": _EVENTS}, [_TASK, _TEXT, _LAST])
        },
        f"{task}/result": {
            "get": _does(
                "The result; waits for it where asked to.",
                {"200": _one(TaskResult, "It is over."), "202": _one(TaskResult, "It is not over; so far it got.")},
                [_TASK, _WAIT],
            )
        },
        **{
            f"{task}/{verb}": {"post": _does(what, {"202": _one(TaskSummary)}, [_TASK])}
            for verb, what in (
                ("cancel", "Asks it to end; its reversible effects are undone."),
                ("pause", "Asks that it makes no further step."),
                ("resume", "Lets a paused task go on."),
            )
        },
        f"{task}/signals": {
            "post": _does(
                "Sends it something that it waits for, or will.",
                {"202": _one(TaskSummary, "It is new."), "200": _one(TaskSummary, "This key was sent before.")},
                [_TASK, _KEY],
                Sent,
            )
        },
    }


def _deciding() -> dict[str, Any]:
    """What people say, and what comes round by itself."""
    task = "/api/tasks/{task}"
    return {
        f"{task}/outcome": {
            "post": _does("What became of it, for whoever knows.", {"200": _one(TaskSummary)}, [_TASK], Became)
        },
        f"{task}/close": {
            "post": _does("What became of a task that was handed over.", {"200": _one(TaskSummary)}, [_TASK], Closed)
        },
        "/api/approvals": {"get": _does("What waits for a person.", {"200": _list("questions", Question)})},
        "/api/approvals/{task}": {"get": _does("What one task asks.", {"200": _list("questions", Question)}, [_TASK])},
        "/api/approvals/{task}/{step}": {
            "post": _does("A person's answer.", {"202": _one(TaskSummary)}, [_TASK, _STEP], Decided)
        },
        "/api/sessions/{session}": {
            "get": _does("What a session holds; empty where it has ended.", {"200": _one(Held)}, [_SESSION]),
            "patch": _does("Puts values in; null removes.", {"200": _one(Held)}, [_SESSION], Changes),
            "delete": _does("Ends it.", {"204": {"description": "It is over."}}, [_SESSION]),
        },
        "/api/schedules": {"get": _does("Tasks that come round.", {"200": _list("schedules", Standing)})},
    }


_LAST = {
    "name": "Last-Event-ID",
    "in": "header",
    "schema": {"type": "string"},
    "description": "The id of the last event that was received; nothing is lost or repeated.",
}
_TEXT = {
    "name": "text",
    "in": "query",
    "schema": {"enum": ["0", "1"], "default": "0"},
    "description": "1: between the records, without ids, also what models write while they write: `Writing`, `Said` and `Calling`.",
}
_WAIT = {
    "name": "wait_s",
    "in": "query",
    "schema": {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT_S, "default": 0},
    "description": "For how many seconds to wait for its end.",
}
_EVENTS = {
    "description": "Server-sent events: one for each record, its type as the event's name, and `end` with the task; with `text=1` also `writing`, `text` and `call`.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


def _filters() -> list[dict[str, Any]]:
    words: dict[str, dict[str, Any]] = {
        "workflow": {"type": "string"},
        "status": {"enum": ["", *get_args(TaskStatus)]},
        "outcome": {"enum": ["", *get_args(Outcome)]},
        "limit": {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 50},
    }
    return [{"name": name, "in": "query", "schema": schema} for name, schema in words.items()]


def _does(
    what: str, answers: dict[str, Any], parameters: list[dict[str, Any]] | None = None, form: type | None = None
) -> dict[str, Any]:
    failed = {"content": {"application/json": {"schema": {"$ref": f"{_REFS}Error"}}}}
    made: dict[str, Any] = {
        "summary": what,
        "responses": {**answers, **{code: {"description": why, **failed} for code, why in _ERRORS.items()}},
    }
    if parameters:
        made["parameters"] = parameters
    if form is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(form)}}}
    return made


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": f"{_REFS}{kind.__name__}"}


def _json(schema: dict[str, Any], why: str = "As asked.") -> dict[str, Any]:
    return {"description": why, "content": {"application/json": {"schema": schema}}}


def _one(kind: type, why: str = "As asked.") -> dict[str, Any]:
    return _json(_ref(kind), why)


def _list(name: str, kind: type) -> dict[str, Any]:
    items = {"type": "array", "items": _ref(kind)}
    return _json({"type": "object", "required": [name], "properties": {name: items}})
