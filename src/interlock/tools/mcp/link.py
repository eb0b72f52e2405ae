"""The connection to one MCP server: made at the first call, kept, made anew when it breaks.

Above: source, `app`. Below: the official SDK. The SDK's client has to be left by the task that entered it, so one task holds it and the calls borrow it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, cast

import httpx2
import mcp
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT
from msgspec import Struct

from interlock.core.errors import SandboxRefused, ToolError
from interlock.core.sandbox import Program, stains

from .pins import Pinned
from .streams import streams

MAX_TOOLS = 500
_ENDING_S = 10.0
_OUTSIDE = (
    "Run `interlock doctor`. `outside: true` runs the server as this user, without isolation, and every call says so."
)
Start = Callable[[], AbstractAsyncContextManager[Program]]
"""Starts a server's command in the sandbox."""


class ServerAddress(Struct, frozen=True):
    """Where a server is: a command to start, or an address."""

    name: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    """The whole environment of the command beside PATH and HOME: it inherits nothing else."""
    cwd: str = ""
    url: str = ""
    headers: Mapping[str, str] = {}
    timeout_s: float = 30.0

    def __repr__(self) -> str:
        """Without environment and headers, which hold credentials."""
        return f"ServerAddress({self.name!r}, {' '.join(self.command) or self.url})"


class Link:
    """One server. `call` and `tools` connect where that has not been done."""

    def __init__(self, address: ServerAddress, start: Start | None = None) -> None:
        """Without `start` a command runs outside of the sandbox, as the user that runs Interlock."""
        self.address = address
        self._start = start
        self._program: Program | None = None
        self._holder: asyncio.Task[None] | None = None
        self._client: asyncio.Future[mcp.Client] | None = None
        self._over = asyncio.Event()
        """Set when the connection at hand is of no more use."""
        self.generation = 0
        """How often a connection was made; what was learned over an earlier one no longer holds."""

    async def tools(self) -> dict[str, Pinned]:
        """What the server says of its tools now, by name. Raises ToolError `mcp_unreachable`."""
        client = await self._connected()
        found: dict[str, Pinned] = {}
        cursor: str | None = None
        for _ in range(MAX_TOOLS):  # pages; a server may give one after the other without end
            try:
                page = await self._asked(client.list_tools(cursor=cursor))
            except OSError as lost:  # nothing was called, so nothing is in doubt
                raise ToolError("mcp_unreachable", str(lost), hint="See that it runs.", retryable=True) from lost
            for tool in page.tools:
                found[tool.name] = Pinned(tool.name, tool.description or "", tool.input_schema)
            cursor = page.next_cursor
            if not cursor or len(found) > MAX_TOOLS:
                break
        return found

    async def call(self, name: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> Any:
        """The server's result as plain JSON values.

        Raises:
            ToolError: what the server said, or `mcp_unreachable`: nothing was sent. OSError: it was lost, or too slow, amid the call,
            and nobody knows how far that got.
        """
        client = await self._connected()
        result = await self._asked(client.call_tool(name, dict(arguments), meta=cast("Any", dict(meta))))
        texts = [block.text for block in result.content if isinstance(block, mcp.types.TextContent)]
        if result.is_error:
            raise ToolError(
                "mcp_error", "\n".join(texts)[:2_000] or f"{self.address.name} reported an error without words"
            )
        if result.structured_content is not None:
            return result.structured_content
        others = [
            block.model_dump(mode="json", exclude_none=True)
            for block in result.content
            if not isinstance(block, mcp.types.TextContent)
        ]
        return "\n".join(texts) if not others else {"text": "\n".join(texts), "parts": others}

    def stains(self) -> tuple[str, ...]:
        """What the event of a call has to say of the command: its isolation, its own requests since this was last asked, the limit that ended it."""
        if self.address.url:
            return ()
        if self._start is None:
            return stains("none")
        program = self._program
        return () if program is None else stains(program.level, program.decided(), program.ended_by)

    async def close(self) -> None:
        """Ends the connection, and the process where the server is one."""
        self._over.set()
        if self._holder is not None:
            await asyncio.wait([self._holder], timeout=_ENDING_S)
            self._holder.cancel()

    async def _asked(self, answer: Any) -> Any:
        """Raises ToolError: the server's own word. OSError: there is none."""
        where = f"{self.address.name}: {self.address.url or ' '.join(self.address.command)}"
        try:
            return await asyncio.wait_for(answer, self.address.timeout_s)
        except MCPError as said:
            if said.code == REQUEST_TIMEOUT:
                raise TimeoutError(f"{where}: no answer within {self.address.timeout_s:g} s") from said
            if said.code != CONNECTION_CLOSED:
                raise ToolError("mcp_error", f"{self.address.name}: {said}") from said
            self._over.set()
            raise ConnectionError(f"{where}: it ended before it answered{self._last_words()}") from said
        except TimeoutError:
            raise
        except (OSError, EOFError, httpx2.HTTPError) as broken:
            self._over.set()
            raise ConnectionError(f"{where}: {broken}") from broken

    async def _connected(self) -> mcp.Client:
        if self._client is None or self._holder is None or self._holder.done() or self._over.is_set():
            self._client = asyncio.get_running_loop().create_future()
            self._over = asyncio.Event()
            self.generation += 1
            self._holder = asyncio.create_task(self._hold(self._client, self._over, self._holder))
        try:
            return await asyncio.wait_for(asyncio.shield(self._client), self.address.timeout_s)
        except TimeoutError as late:
            raise ToolError("mcp_unreachable", f"{self.address.name} did not answer in time", retryable=True) from late

    async def _hold(
        self, ready: asyncio.Future[mcp.Client], over: asyncio.Event, before: asyncio.Task[None] | None
    ) -> None:
        """The task that owns the connection; the one before it ends first."""
        if before is not None:
            await asyncio.wait([before], timeout=_ENDING_S)
        try:
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(
                    mcp.Client(await self._transport(stack, over), read_timeout_seconds=self.address.timeout_s)
                )
                ready.set_result(client)
                await over.wait()
        except SandboxRefused as refused:
            if not ready.done():
                ready.set_exception(ToolError("sandbox_refused", f"{self.address.name}: {refused}", hint=_OUTSIDE))
        except Exception as failed:  # noqa: BLE001 - outermost frame: whatever the SDK raises is told to the waiting call
            if not ready.done():
                why = f"{self.address.name}: {_words(failed)}{self._last_words()}"
                ready.set_exception(ToolError("mcp_unreachable", why, retryable=True))
        finally:
            over.set()
            self._program = None

    def _last_words(self) -> str:
        said = self._program.words().strip()[-500:] if self._program is not None else ""
        return f"; it wrote: {said}" if said else ""

    async def _transport(self, stack: AsyncExitStack, over: asyncio.Event) -> Any:
        address = self.address
        if address.url:
            http = httpx2.AsyncClient(headers=dict(address.headers), timeout=address.timeout_s)
            return streamable_http_client(address.url, http_client=await stack.enter_async_context(http))
        if self._start is not None:
            self._program = await stack.enter_async_context(self._start())
            return streams(self._program, over)
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        parameters = StdioServerParameters(
            command=address.command[0],
            args=list(address.command[1:]),
            env={**inherited, **address.env},
            cwd=address.cwd or None,
        )
        quiet = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))  # noqa: ASYNC230, SIM115 - opens no file on a disk, and the stack closes it
        return stdio_client(parameters, errlog=quiet)


def _words(failed: BaseException) -> str:
    """The first real reason inside a group of them."""
    inner = failed
    while isinstance(inner, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", inner).exceptions[0]
    return str(inner) or type(inner).__name__
