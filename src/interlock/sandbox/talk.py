"""One child and what is said with it: the job in, the answer, output and exit out, every limit watched. Above: pool, local, session.

Nothing here blocks; the event loop calls. `ask` is a straight line; the callbacks below it only collect.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from msgspec import Struct

from interlock.core.errors import SandboxRefused
from interlock.core.sandbox import Ended, Job, Level, RunLimits, RunOutcome
from interlock.core.time import Clock

from . import wire
from .asks import Answering
from .cgroups import Counted, Leaf
from .ending import Left, limit_of, outcome
from .paths import Folder
from .zygotes import Child, Exit

_READ = 65_536
_GRACE_S = 0.5
"""How long an interrupted cell has to stop before it is killed."""


class Shape(Struct, frozen=True):
    """What is decided before a child is born; calls of one shape can use each other's spares."""

    limits: RunLimits
    network: bool
    piped: bool = False
    """Its standard streams are handed out, for a program that lives on."""


class Asked(Struct):
    """One answer in the making."""

    job: Job
    reader: wire.Reader
    frames: Iterator[bytes]
    answered: asyncio.Future[None]
    over: asyncio.Future[None]
    """There is nothing more to wait for: a session's answer, or the child's end."""
    session: bool
    began_s: float
    answering: Answering | None = None
    waiting: bytes = b""
    stopped: Ended = ""
    failed: Exception | None = None
    """What was wrong with the job itself: a bad path, a file of the host that cannot be read."""


class Talk:
    """The supervisor's end of one child."""

    def __init__(self, level: Level, clock: Clock, limits: RunLimits, *, piped: bool = False) -> None:
        self.child: Child | None = None
        self.leaf: Leaf | None = None
        self.scratch = ""
        self.shape: Shape | None = None
        self.listener = -1
        self.work = ""
        """Its workspace, as it sees it."""
        self.limits = limits
        self.level: Level = level
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._early = b""
        self._asked: Asked | None = None
        self._output = {"out": bytearray(), "err": bytearray()}
        self._job, self.theirs = socket.socketpair()
        self._job.setblocking(False)
        self._piped = False
        self._pipes: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        for name in self._output:
            self._pipes[name], self.ends[name] = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._pipes[name], False)
        if piped:
            self.ends["in"], self._pipes["in"] = os.pipe2(os.O_CLOEXEC)

    # --- Before the job -------------------------------------------------------------------------------------------

    @property
    def fds(self) -> tuple[int, ...]:
        """The child's ends: job socket, standard output, error, and input where there is one; and the doors of its control groups."""
        doors = self.leaf.doors if self.leaf is not None else ()
        return self.theirs.fileno(), *self.ends.values(), *doors

    def born(self, child: Child) -> None:
        """From here on only the child holds its ends."""
        self.child = child
        self.theirs.close()
        for end in self.ends.values():
            os.close(end)
        self.ends = {}
        self._loop.add_reader(self._job.fileno(), self._job_readable)
        child.exit.add_done_callback(self._died)

    async def ready(self) -> None:
        """Returns when every layer is on.

        Raises:
            SandboxRefused: one could not be put on; no foreign code was run.
        """
        await self._ready

    @property
    def usable(self) -> bool:
        return self.child is not None and not self.child.exit.done()

    # --- The job --------------------------------------------------------------------------------------------------

    async def ask(self, job: Job, *, session: bool = False) -> RunOutcome:
        """Sends the job and collects what comes of it, until the answer (of a session) or the child's end.

        Raises:
            ValueError: the path of a file is not plain. OSError: a file of the host cannot be read.
        """
        assert self.child is not None
        folder = Folder(job.collect_to) if job.collect_to is not None else None
        asked = self._begin(job, folder, session=session)
        stop = self._interrupt if session else self._stop
        timer = self._loop.call_later(job.limits.wall_s, stop, "wall")
        try:
            self._write()
            await asked.over
        finally:
            timer.cancel()
            if asked.answering is not None:
                await asked.answering.close()
            if folder is not None:
                folder.close()
            if not session and not self.child.exit.done():
                self.child.kill()
        self._drain()
        if asked.failed is not None:
            raise asked.failed
        return self._outcome(asked)

    def _outcome(self, asked: Asked) -> RunOutcome:
        assert self.child is not None
        return outcome(
            Left(
                self.level,
                asked.job.limits,
                asked.stopped,
                self.child.exit.result() if self.child.exit.done() else None,
                self.leaf.counted() if self.leaf is not None else Counted(),
                self._clock.monotonic_s() - asked.began_s,
            ),
            asked.reader,
            *(held.decode(errors="replace") for held in self._output.values()),
        )

    def lend(self, job: Job) -> tuple[int, int]:
        """Sends a program's job, and gives away its standard input and output; of what it says beside, the end is kept."""
        given = self._pipes.pop("in"), self._pipes.pop("out")
        self._piped = True
        self._begin(job, None, session=False)
        self._write()
        return given

    @property
    def words(self) -> str:
        """What was written to standard error, as far as it is kept."""
        return self._output["err"].decode(errors="replace")

    @property
    def ended_by(self) -> Ended:
        """The limit that ended the child, as far as is known by now."""
        if self._asked is None or self.child is None or not self.child.exit.done():
            return self._asked.stopped if self._asked is not None else ""
        counted = self.leaf.counted() if self.leaf is not None else Counted()
        return self._asked.stopped or limit_of(self.child.exit.result(), counted, self.limits)

    def _begin(self, job: Job, folder: Folder | None, *, session: bool) -> Asked:
        frames = wire.frames(job, session=session)
        reader = wire.Reader(job.limits, folder, asks=job.door is not None)
        made = self._loop.create_future
        asked = self._asked = Asked(job, reader, frames, made(), made(), session, self._clock.monotonic_s())
        if job.door is not None:
            asked.answering = Answering(job.door, job.limits.wall_s, self._answer)
        if not self.usable:
            asked.over.set_result(None)
        for buffer in self._output.values():
            buffer.clear()
        for name, pipe in self._pipes.items():
            self._loop.add_reader(pipe, self._output_readable, name, pipe)
        return asked

    def _interrupt(self, why: Ended) -> None:
        """Asks a session's cell to stop, so that its state survives; what does not stop is killed."""
        assert self.child is not None
        self.child.signal(signal.SIGINT)
        asked = self._asked
        self._loop.call_later(_GRACE_S, lambda: self._asked is asked and self._stop(why))

    def stop(self, why: Ended) -> None:
        """Ends the child because a limit was reached."""
        self._stop(why)

    def _stop(self, why: Ended) -> None:
        if self._asked is not None and not self._asked.answered.done():
            self._asked.stopped = self._asked.stopped or why
        if self.child is not None:
            self.child.kill()

    # --- What the loop calls --------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Sends as much of the job as the socket takes."""
        asked = self._asked
        if asked is None:
            return
        fd = self._job.fileno()
        try:
            while piece := asked.waiting or self._next(asked):
                asked.waiting = piece
                sent = self._job.send(piece)
                asked.waiting = piece[sent:]
        except BlockingIOError:
            self._loop.add_writer(fd, self._write)
            return
        except OSError:  # the child is gone: its end tells the rest
            pass
        self._loop.remove_writer(fd)

    def _next(self, asked: Asked) -> bytes:
        try:
            return next(asked.frames, b"")
        except (OSError, ValueError) as failed:
            asked.failed = failed
            self._stop("cancelled")
            return b""

    def _answer(self, frame: bytes) -> None:
        """Sends the answer to a question, behind whatever is still on its way."""
        if self._asked is not None and self._job.fileno() >= 0:
            self._asked.frames = chain(self._asked.frames, (frame,))
            self._write()

    def _job_readable(self) -> None:
        if not self._ready.done():
            self._greeted()
            return
        try:
            data = self._job.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._job.fileno())
            return
        self._fed(data)

    def _fed(self, data: bytes) -> None:
        asked = self._asked
        if asked is None or asked.answered.done():
            self._stop("")  # nobody asked: whatever it is, it is not an answer
            return
        try:
            asked.reader.feed(data)
        except wire.WireFault as fault:
            self._stop(fault.limit)
            return
        if asked.answering is not None:
            asked.answering.take(asked.reader)
        if asked.reader.result is not None:
            asked.answered.set_result(None)
            if asked.session and not asked.over.done():
                asked.over.set_result(None)

    def _greeted(self) -> None:
        """The first frame: ready, with the listener where one was asked for, or unfit. Sent before any foreign code ran."""
        try:
            data, fds, _, _ = socket.recv_fds(self._job, 4096, 1)
        except BlockingIOError:
            return
        except OSError:
            return
        if fds:
            self.listener = fds[0]
        self._early += data
        if self._early[:1] == b"C" and len(self._early) >= 5:
            self._ready.set_result(None)
        elif not data or (self._early[:1] == b"E" and len(self._early) >= 5 + int.from_bytes(self._early[1:5], "big")):
            self._loop.remove_reader(self._job.fileno())
            self._refuse()

    def _refuse(self) -> None:
        if self._ready.done():
            return
        message = "a sandboxed process ended before it was confined"
        if self._early[:1] == b"E":
            told = wire.unfit(self._early[5:])
            message = f"the sandbox could not put on a layer ({told.step}): {told.message}"
        self._ready.set_exception(SandboxRefused(message))

    def _output_readable(self, name: str, pipe: int) -> None:
        try:
            data = os.read(pipe, _READ)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(pipe)
            return
        held = self._output[name]
        held += data
        if self._piped:
            del held[: -self.limits.output_bytes]
        elif len(held) > self.limits.output_bytes:
            del held[self.limits.output_bytes :]
            self._loop.remove_reader(pipe)
            self._stop("output")

    def _died(self, _: asyncio.Future[Exit]) -> None:
        if self._asked is not None and not self._asked.over.done():
            self._asked.over.set_result(None)
        if not self._ready.done():
            self._drain()
            self._refuse()

    def _drain(self) -> None:
        """Takes what the dead child left in its pipes; nobody holds the other ends any more, or a session is merely between cells."""
        for name, pipe in self._pipes.items():
            with suppress(OSError):
                while len(self._output[name]) <= self.limits.output_bytes and (data := os.read(pipe, _READ)):
                    self._output[name] += data
            self._loop.remove_reader(pipe)
            del self._output[name][self.limits.output_bytes :]
        if self.child is None or not self.child.exit.done():
            return
        while self._job.fileno() >= 0:
            try:
                if not self._ready.done():
                    self._early += self._job.recv(_READ)
                    break
                data = self._job.recv(_READ)
            except ConnectionResetError:
                continue
            except OSError:
                break
            if not data:
                break
            if self._asked is not None and not self._asked.answered.done():
                self._fed(data)

    def close(self) -> None:
        """Kills what still lives and closes every descriptor; may be called again."""
        if self.child is not None:
            self.child.kill()
        if self._job.fileno() >= 0:
            self._loop.remove_reader(self._job.fileno())
            self._loop.remove_writer(self._job.fileno())
        self._job.close()
        self.theirs.close()
        for pipe in self._pipes.values():
            self._loop.remove_reader(pipe)
            os.close(pipe)
        for end in self.ends.values():
            os.close(end)
        if self.listener >= 0:
            os.close(self.listener)
        self._pipes, self.ends, self.listener = {}, {}, -1
        if self._ready.done() and not self._ready.cancelled():
            self._ready.exception()
        if self.child is not None and self.child.exit.done():
            self.child.release()
