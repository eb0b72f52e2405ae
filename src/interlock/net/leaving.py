"""Cancelling a request: our side is half-closed, and what the vendor had already sent is read for a moment more, since it is billed.

Above: client, line. Below: connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus

from interlock.core.errors import BadReply
from interlock.core.turns import TURNS

from .connection import HANG_UP_S, Connection, Want

LAST_LOOKS = 3
"""At a stream whose time is up: where the event loop stood still, the vendor's last pieces and its end lie there one after the other."""


async def was_coming(
    loop: asyncio.AbstractEventLoop, connection: Connection, want: Want, gone: asyncio.CancelledError
) -> bool:
    """Hangs up for a caller that was cancelled. True where what it wanted was on its way already: billed, it is handed out all the same.

    A stream goes on to what was sent of it, and then raises `gone`.
    """
    if connection.done or not connection.hang_up(gone, HANG_UP_S):
        return connection.done and connection.error is None and connection.status == HTTPStatus.OK
    await still_heard(loop, connection, want)
    # A refusal is billed to nobody, and must not set off another try for a caller that is gone.
    return connection.error is None and connection.ready(want) and connection.status == HTTPStatus.OK


async def still_heard(loop: asyncio.AbstractEventLoop, connection: Connection, want: Want) -> None:
    """Returns when what is wanted has come, or when the time is up and what lay in the socket by then has been taken in.

    Nothing ends it sooner: a reader may be told more than once that it is to leave.
    """
    while not connection.ready(want) and (left_s := connection.gone_until - loop.time()) > 0:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((connection.coming(),), timeout=left_s)
    for _ in range(TURNS):
        if not connection.ready(want):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)


def check_encoding(headers: dict[str, str], url: str) -> None:
    """Raises BadReply for a body that is compressed."""
    encoding = headers.get("content-encoding", "identity")
    if encoding not in ("", "identity"):
        raise BadReply(f"{url} answered compressed ({encoding}) though that was not asked for")
