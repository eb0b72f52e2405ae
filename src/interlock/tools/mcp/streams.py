"""The SDK's transport over the streams of a program in the sandbox: a JSON-RPC message per line.

Above: link. Below: the official SDK, the port `core.sandbox.Program`. Source: modelcontextprotocol.io/specification, Transports, stdio.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from interlock.core.sandbox import Program

MOST_BYTES = 16 << 20
"""Of one message; a server that writes more without an end of line is ended."""
_FLUSH_S = 0.5


@asynccontextmanager
async def streams(program: Program, over: asyncio.Event) -> AsyncGenerator[tuple[Any, Any]]:
    """The read and the write stream that a client of the SDK takes; the program itself is ended by whoever started it.

    `over` is set when the program says no more.
    """
    read_in, read_out = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write_in, write_out = anyio.create_memory_object_stream[SessionMessage](0)
    reading = asyncio.create_task(_read(program, read_in, over))
    writing = asyncio.create_task(_write(program, write_out, read_in))
    try:
        yield read_out, write_in
    finally:
        write_in.close()
        await asyncio.wait([writing], timeout=_FLUSH_S)
        for task in (reading, writing):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        read_out.close()


async def _read(program: Program, into: Any, over: asyncio.Event) -> None:
    """Lines of the program's output as messages; what is none is told to the session as what it is."""
    buffer = bytearray()
    async with into:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
            while len(buffer) <= MOST_BYTES and (data := await program.read()):
                *lines, rest = (bytes(buffer) + data).split(b"\n") if b"\n" in data else (bytes(buffer) + data,)
                buffer = bytearray(rest)
                for line in lines:
                    await into.send(_message(line))
    over.set()


def _message(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as wrong:
        return wrong


async def _write(program: Program, out: Any, reading: Any) -> None:
    """Messages to the program's input; when it has ended the session is told by the end of what it reads."""
    try:
        async with out:
            async for each in out:
                text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                await program.write(text.encode() + b"\n")
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        reading.close()
