"""The door of isolated tools to a database: statements that are written down beforehand, and nothing else. Above: define, `app/doors`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from interlock.core.errors import ToolError


class Door(Struct, frozen=True):
    """A SQLite file of the workspace, and what isolated tools may ask of it. Each tool lists the statements that are open to it.

    The statements of one call are one transaction: kept when the tool returns, taken back when it raises, is ended or the process dies.
    Beside the values that the tool gives, a statement may name what only the host binds: `:ctx_key` (the call's idempotency key),
    `:ctx_tool`, `:ctx_tenant`, `:ctx_user`, `:ctx_task`, and `:call_NAME` for each argument of the call, as it was checked.
    """

    file: str
    statements: str
    """SQL file of the workspace: blocks that begin with a line `-- name: x`."""
    prepare: Callable[[Any, Path], None] | None = None
    """Fills a file that has no table yet: gets the open `sqlite3.Connection`, amid a transaction, and the workspace. Not isolated."""


def no_door(name: str, /, **_: Any) -> Any:
    """Stands for `ctx.ask` where a tool has no door."""
    raise ToolError("no_door", f"nothing can be asked for {name!r} here", hint="Declare isolated=True, door and asks.")
