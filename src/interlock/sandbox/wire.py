"""The job socket's outer end. Every byte that comes in may be an attacker's: frames are capped, JSON is strict, paths are checked.

Above: talk. Below: paths, core. The other end is `guest/frames.py`.
"""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from interlock.core.sandbox import Ended, FileOut, Job, RunLimits

from .paths import Folder, checked

_HEAD = struct.Struct("!cI")
CHUNK = 65_536
_SMALL = 8_192
ASK = b"A"
Decoded = TypeVar("Decoded")


class WireFault(Exception):
    """The other end does not keep to the protocol, or to a limit of the call; `limit` names it."""

    def __init__(self, message: str, limit: Ended = "result") -> None:
        super().__init__(message)
        self.limit: Ended = limit


class GuestError(Struct, frozen=True):
    """As a runner writes it."""

    type: str
    message: str
    traceback: str = ""
    code: str = ""
    hint: str = ""


class Result(Struct, frozen=True):
    """The last frame of an answer."""

    status: Literal["ok", "error"]
    value: Any = None
    repr: str = ""
    error: GuestError | None = None
    limit: Literal["", "memory", "wall", "processes", "disk", "inodes", "open_files"] = ""
    exit_code: int | None = None


class Unfit(Struct, frozen=True):
    """A layer could not be put on."""

    step: str
    errno: int
    message: str


class Ask(Struct, frozen=True):
    """A question to the job's door."""

    name: str
    values: dict[str, Any] = {}


class _FileHead(Struct, frozen=True):
    path: str
    size: int
    kind: Literal["file", "figure"]


class Reader:
    """Bytes in, what they mean out. One per answer."""

    def __init__(self, limits: RunLimits, folder: Folder | None = None, *, asks: bool = False) -> None:
        self.files: list[FileOut] = []
        self.result: Result | None = None
        self.asked: Ask | None = None
        """A question that has not been answered; whoever answers it puts `None` here. There is never a second one."""
        self._asks_left = limits.asks if asks else 0
        self._limits = limits
        self._folder = folder
        self._buffer = bytearray()
        self._head: _FileHead | None = None
        self._parts = bytearray()
        self._left = 0
        self._room = limits.files_out_bytes
        self._most = {b"R": limits.result_bytes + _SMALL, b"F": _SMALL, b"D": CHUNK, ASK: CHUNK}

    def feed(self, data: bytes) -> None:
        """Takes in what came; `result` is set when the answer is whole, and what follows it is not looked at.

        Raises:
            WireFault: a frame is no frame, too long, out of order, or beyond what may come out.
        """
        if self.result is not None:
            return
        self._buffer += data
        while self.result is None and len(self._buffer) >= _HEAD.size:
            kind, size = _HEAD.unpack_from(self._buffer)
            most = self._most.get(kind)
            if most is None:
                raise WireFault("a frame of no known kind")
            if size > most:
                raise WireFault(f"a frame of {size} bytes, where at most {most} are allowed")
            if len(self._buffer) < _HEAD.size + size:
                return
            body = bytes(self._buffer[_HEAD.size : _HEAD.size + size])
            del self._buffer[: _HEAD.size + size]
            self.take(kind, body)

    def take(self, kind: bytes, body: bytes) -> None:
        """A frame that is whole. Raises WireFault."""
        if self.asked is not None:
            raise WireFault("something came before the answer to a question")
        if kind == b"D":
            self._data(body)
        elif self._left:
            raise WireFault("a file ended before its size")
        elif kind == b"F":
            self._begin(_decoded(body, _FileHead))
        elif kind == ASK:
            self._ask(_decoded(body, Ask))
        else:
            self.result = _decoded(body, Result)

    def _ask(self, ask: Ask) -> None:
        if not self._asks_left:
            raise WireFault("more questions than may be asked", "asks")
        self._asks_left -= 1
        self.asked = ask

    def _begin(self, head: _FileHead) -> None:
        if len(self.files) >= self._limits.files_out or not 0 <= head.size <= self._room:
            raise WireFault("more files, or more bytes of files, than may come out", "files_out")
        try:
            checked(head.path)
        except ValueError as wrong:
            raise WireFault(str(wrong)) from wrong
        self._room -= head.size
        self._head, self._left = head, head.size
        self._parts = bytearray()
        if self._folder is not None:
            try:
                self._folder.begin(head.path)
            except OSError as failed:
                raise WireFault(f"{head.path} cannot be written: {failed.strerror}", "files_out") from failed
        self._done()

    def _data(self, body: bytes) -> None:
        if self._head is None or not body or len(body) > self._left:
            raise WireFault("data without a file, or beyond its size")
        self._left -= len(body)
        if self._folder is None:
            self._parts += body
        else:
            self._folder.data(body)
        self._done()

    def _done(self) -> None:
        if self._head is not None and not self._left:
            self.files.append(FileOut(self._head.path, bytes(self._parts), self._head.size, self._head.kind))
            self._head = None


def _decoded(body: bytes, kind: type[Decoded]) -> Decoded:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as wrong:
        raise WireFault(f"not the JSON that was expected: {wrong}") from wrong


def unfit(body: bytes) -> Unfit:
    """What the child said before any foreign code ran."""
    return _decoded(body, Unfit)


def frames(job: Job, *, session: bool) -> Iterator[bytes]:
    """The job on its way in, in pieces of bounded size; files of the host are read as they go.

    Raises:
        ValueError: the path of a file is not plain. OSError: a file of the host cannot be read.
    """
    head = {
        "entry": job.entry,
        "code": job.code,
        "module": "tools",
        "function": job.function,
        "arguments": job.arguments,
        "context": job.context,
        "compiled": b64encode(job.compiled).decode(),
        "environment": job.environment,
        "session": session,
        "collect": job.collect,
        "result_bytes": job.limits.result_bytes,
    }
    begin = frame(b"J", json.dumps(head).encode())
    if not job.files:  # in one piece, so that the child wakes once
        yield begin + frame(b"G", b"")
        return
    yield begin
    for file in job.files:
        yield frame(b"F", json.dumps({"path": checked(file.path)}).encode())
        if isinstance(file.source, bytes):
            for at in range(0, len(file.source), CHUNK):
                yield frame(b"D", file.source[at : at + CHUNK])
        else:
            with file.source.open("rb") as source:
                while part := source.read(CHUNK):
                    yield frame(b"D", part)
    yield frame(b"G", b"")


def frame(kind: bytes, body: bytes) -> bytes:
    """One frame, as either end writes it."""
    return _HEAD.pack(kind, len(body)) + body
