"""Questions that a call asks of its job's door, and their answers. Above: talk, the remote line. Below: wire, core.

What is asked is foreign code's word: the door decides what it does. One question at a time, each answered before the next is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from interlock.core.errors import ToolError
from interlock.core.sandbox import Door

from . import wire

VALUE = b"V"
MOST_ANSWER_BYTES = 1 << 20
_log = logging.getLogger(__name__)


async def answered(door: Door, ask: wire.Ask, timeout_s: float) -> bytes:
    """The body of the answer: `{"value": …}`, or `{"error": {code, message, hint}}`; never anything of the host but the door's own word."""
    try:
        async with asyncio.timeout(timeout_s):
            value = await door(ask.name, ask.values)
        body = msgspec.json.encode({"value": value})
        if len(body) <= MOST_ANSWER_BYTES:
            return body
        said = ToolError("answer_too_large", f"{ask.name} answers with more than {MOST_ANSWER_BYTES} bytes")
    except ToolError as refused:
        said = refused
    except TimeoutError:
        said = ToolError("door_late", f"{ask.name} was not answered in time")
    except Exception:  # noqa: BLE001 - the door's fault, not the asking code's business
        _log.exception("the door of a sandboxed call failed")
        said = ToolError("door_failed", "the question could not be answered")
    return msgspec.json.encode({"error": {"code": said.code, "message": said.message, "hint": said.hint}})


class Answering:
    """Answers what one call asks."""

    def __init__(self, door: Door, timeout_s: float, send: Callable[[bytes], None]) -> None:
        self._door = door
        self._timeout_s = timeout_s
        self._send = send
        self._task: asyncio.Task[None] | None = None

    def take(self, reader: wire.Reader) -> None:
        """Begins to answer the question that the reader has read, if there is one."""
        if reader.asked is not None and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer(reader, reader.asked))

    async def close(self) -> None:
        """Stops; returns when the door is not in use any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _answer(self, reader: wire.Reader, ask: wire.Ask) -> None:
        body = await answered(self._door, ask, self._timeout_s)
        reader.asked, self._task = None, None
        self._send(wire.frame(VALUE, body))
