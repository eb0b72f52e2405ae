"""What `from interlock import …` finds inside: enough for a `tools.py` to load, since only one of its functions is called. Above: jobs."""

from __future__ import annotations

import json
from _thread import allocate_lock
from pathlib import Path
from types import ModuleType
from typing import Any

from . import frames
from .workspace import JOB_FD


class ToolError(Exception):
    """The tool's own word for "no": its code, message and hint reach the caller as they are."""

    def __init__(self, code: str, message: str, *, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.retryable = code, message, hint, retryable


class ToolContext:
    """What the function may know about its call. The workspace is the sandbox's own empty one."""

    def __init__(self, idempotency_key: str, tenant: str = "", task: str = "", user: str = "") -> None:
        self.idempotency_key, self.tenant, self.task, self.user = idempotency_key, tenant, task, user
        self.workspace = Path.cwd()
        self._turn = allocate_lock()

    def ask(self, name: str, /, **values: Any) -> Any:
        """The rows of one of the statements that the tool declares. Raises ToolError: the answer is no."""
        with self._turn:
            frames.send(JOB_FD, frames.ASK, json.dumps({"name": name, "values": values}).encode())
            _, body = frames.receive(JOB_FD)
        told = json.loads(body)
        if "error" in told:
            raise ToolError(told["error"]["code"], told["error"]["message"], hint=told["error"]["hint"])
        return told["value"]


class Door:
    """What a tool's declaration names; it is opened outside."""

    def __init__(self, *_: Any, **__: Any) -> None: ...


def tool(function: Any = None, /, **_: Any) -> Any:
    """Leaves the function as it is, with arguments or without."""
    return _same if function is None else function


def _same(marked: Any) -> Any:
    return marked


def module() -> ModuleType:
    made = ModuleType("interlock")
    vars(made).update(tool=tool, Door=Door, ToolContext=ToolContext, ToolError=ToolError)
    return made
