"""What `from interlock import …` finds inside: enough for a `tools.py` to load, since only one of its functions is called. Above: jobs."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any


class ToolError(Exception):
    """The tool's own word for "no": its code, message and hint reach the caller as they are."""

    def __init__(self, code: str, message: str, *, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.retryable = code, message, hint, retryable


class ToolContext:
    """What the function may know about its call. The workspace is the sandbox's own empty one."""

    def __init__(self, idempotency_key: str, tenant: str = "", task: str = "") -> None:
        self.idempotency_key, self.tenant, self.task = idempotency_key, tenant, task
        self.workspace = Path.cwd()


def tool(function: Any = None, /, **_: Any) -> Any:
    """Leaves the function as it is, with arguments or without."""
    return _same if function is None else function


def _same(marked: Any) -> Any:
    return marked


def module() -> ModuleType:
    made = ModuleType("interlock")
    vars(made).update(tool=tool, ToolContext=ToolContext, ToolError=ToolError)
    return made
