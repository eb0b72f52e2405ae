"""Doors of isolated tools: one transaction per call, opened by its first question, in which only declared statements run.

Above: sandbox. Below: storage, `tools/door`. Statements are read once, when the tools are; nobody inside sees a path or a line of SQL.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from interlock.core.errors import ConfigError, Fault
from interlock.tools.define import Tool, ToolContext
from interlock.tools.door import Door

if TYPE_CHECKING:
    from interlock.storage.door_sqlite import SqliteDoor

Result = TypeVar("Result")


class Doors:
    """The doors of one workspace's tools."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._writers: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._filled: set[str] = set()

    def statements(self, tool: Tool) -> dict[str, str]:
        """The SQL that is open to the tool, by name.

        Raises:
            ConfigError: the file cannot be read, or lacks a statement that the tool names.
        """
        if tool.door is None:
            return {}
        file = self._root / tool.door.statements
        try:
            found = read(file.read_text(encoding="utf-8"))
        except OSError as failed:
            raise _fault(file, tool, f"it cannot be read: {failed.strerror}") from failed
        missing = [name for name in tool.asks if name not in found]
        if missing:
            raise _fault(file, tool, f"no statement is called {', '.join(missing)}")
        return {name: found[name] for name in tool.asks}

    @asynccontextmanager
    async def opened(
        self, tool: Tool, statements: Mapping[str, str], ctx: ToolContext, arguments: Mapping[str, Any]
    ) -> AsyncGenerator[Opened]:
        """What answers the tool's questions during the block; without `keep` everything is taken back at its end."""
        assert tool.door is not None
        opened = Opened(self, tool.door, statements, bound(tool, ctx, arguments), writes=tool.effect != "none")
        try:
            yield opened
        finally:
            await asyncio.shield(opened.end(keep=False))

    def writer(self, door: Door) -> asyncio.Lock:
        """Held by the one call of this process that may write, so that the others wait here and not in threads."""
        return self._writers[door.file]

    def fill(self, door: Door) -> Path:
        """The database's file, filled where it was new. Blocks."""
        from interlock.storage.door_sqlite import prepared

        file = self._root / door.file
        if door.file not in self._filled or not file.exists():
            prepared(file, door.prepare, self._root)
            self._filled.add(door.file)
        return file


class Opened:
    """One call's door. `ask` is the port `core.sandbox.Door`."""

    def __init__(
        self, doors: Doors, door: Door, statements: Mapping[str, str], bound: Mapping[str, Any], *, writes: bool
    ) -> None:
        self._doors = doors
        self._door = door
        self._statements = statements
        self._bound = bound
        self._writes = writes
        self._lock: asyncio.Lock | None = None
        self._sqlite: SqliteDoor | None = None
        self._turn = asyncio.Lock()

    async def ask(self, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        """The statement's rows. Raises ToolError."""
        async with self._turn:
            if self._sqlite is None and self._writes and self._lock is None:
                lock = self._doors.writer(self._door)
                await lock.acquire()
                self._lock = lock
            return await self._work(lambda: self._answer(name, values))

    async def end(self, *, keep: bool) -> None:
        """Ends the transaction, once; `keep` commits. Raises ToolError: it could not be committed."""
        async with self._turn:
            sqlite, self._sqlite = self._sqlite, None
            try:
                if sqlite is not None:
                    await self._work(lambda: sqlite.end(keep=keep))
            finally:
                lock, self._lock = self._lock, None
                if lock is not None:
                    lock.release()

    def _answer(self, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        from interlock.storage.door_sqlite import SqliteDoor

        if self._sqlite is None:
            file = self._doors.fill(self._door)
            self._sqlite = SqliteDoor(file, self._statements, self._bound, writes=self._writes)
        return self._sqlite.ask(name, values)

    async def _work(self, work: Callable[[], Result]) -> Result:
        """In a thread; returns when that is over even where nobody waits for it any more, since the transaction is in its hands."""
        running = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if self._sqlite is not None:
                self._sqlite.interrupt()
            await asyncio.wait([running])
            raise


def read(text: str) -> dict[str, str]:
    """Blocks of SQL by the name in the line above each."""
    found: dict[str, str] = {}
    for block in text.split("-- name: ")[1:]:
        name, _, body = block.partition("\n")
        found[name.strip()] = body.strip().rstrip(";")
    return found


def bound(tool: Tool, ctx: ToolContext, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What the host binds in every statement: who calls, and the call's own checked arguments, `null` where one was not given."""
    told = {"key": ctx.idempotency_key, "tool": tool.name, "tenant": ctx.tenant, "user": ctx.user, "task": ctx.task}
    given = {each.name: arguments.get(each.name, each.default) for each in tool.parameters}
    scalars = {name: value for name, value in given.items() if isinstance(value, str | int | float | None)}
    return {f"ctx_{name}": value for name, value in told.items()} | {
        f"call_{name}": value for name, value in scalars.items()
    }


def _fault(file: Path, tool: Tool, message: str) -> ConfigError:
    return ConfigError([Fault(str(file), 1, 1, tool.name, message, "See `door` and `asks` of the tool.")])
