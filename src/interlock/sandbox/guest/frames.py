"""Frames on the job socket, as the child sees them: one byte of kind, four of length, the body. Above: runner. Below: the socket.

`interlock.sandbox.wire` is the other end, which trusts nothing of this.
"""

from __future__ import annotations

import os
import struct

READY, UNFIT, RESULT, FILE, DATA = b"C", b"E", b"R", b"F", b"D"
JOB, GO = b"J", b"G"
ASK, VALUE = b"A", b"V"
CHUNK = 65_536
_HEAD = struct.Struct("!cI")


def send(fd: int, kind: bytes, body: bytes = b"") -> None:
    """Writes one frame, waiting for room."""
    data = memoryview(_HEAD.pack(kind, len(body)) + body)
    while data:
        data = data[os.write(fd, data) :]


def receive(fd: int) -> tuple[bytes, bytes]:
    """The next frame; an empty kind when the other end is gone."""
    head = _exactly(fd, _HEAD.size)
    if not head:
        return b"", b""
    kind, size = _HEAD.unpack(head)
    return kind, _exactly(fd, size)


def _exactly(fd: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
