"""The children of one image: made on demand, a few of the usual shapes kept ready. Above: local, session. Below: zygotes, talk, cgroups."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import Counter, OrderedDict, deque
from contextlib import suppress
from typing import Any

from msgspec import Struct

from interlock.core.errors import SandboxRefused
from interlock.core.sandbox import Job, Level, RunLimits
from interlock.core.time import Clock

from .cgroups import Cgroups
from .filter import Profile
from .images import Image, image
from .talk import Shape, Talk
from .zygotes import Zygote, host_root, key

_THREADS = 16
"""Threads that a call without processes may have, its own included."""
_SHAPES = 8
"""Shapes of calls for which children are kept ready; the one asked for longest ago goes first."""


class Setup(Struct, frozen=True):
    """What every zygote of one sandbox shares."""

    level: Level
    layers: frozenset[str]
    cgroups: Cgroups
    clock: Clock
    uid: int
    """Host uid that is taken instead of root's."""
    spares: int
    recycle_after: int
    interpreter: str = ""


class Pool:
    """One image's zygote and its spares."""

    def __init__(self, name: str, setup: Setup, paths: tuple[str, ...] = ()) -> None:
        self.name = name
        self._paths = paths
        self._setup = setup
        self._work = ""
        self._zygote: Zygote | None = None
        self._old: list[Zygote] = []
        self._booting = asyncio.Lock()
        self._spares: OrderedDict[Shape, deque[Talk]] = OrderedDict()
        self._coming: Counter[Shape] = Counter()
        self._asked: dict[Shape, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def take(self, job: Job, *, piped: bool = False) -> Talk:
        """A confined child that waits for this job: a spare, or one that is made now; `piped` with a standard input.

        Raises:
            SandboxRefused: it could not be made or confined.
        """
        shape = Shape(_shaping(job.limits), job.network is not None, piped)
        ready = self._spares.get(shape)
        talk = None
        while ready and talk is None:
            spare = ready.popleft()
            talk = spare if spare.usable else None
            if talk is None:
                self.end(spare)
        if talk is None:
            talk = await self._make(shape)
        talk.shape = shape
        talk.limits = job.limits
        return talk

    def end(self, talk: Talk) -> None:
        """Gives up a child: it is killed where it still lives, and what was lent to it comes back when it is gone.

        Only now is a spare made in its place, so that the call itself does not wait for a fork.
        """
        talk.close()
        if talk.shape is not None:
            self._refill(talk.shape)
            talk.shape = None
        if talk.child is not None and not talk.child.exit.done():
            self._background(self._wait_and_return(talk))
        else:
            self._return(talk)

    async def warm(self) -> Zygote:
        """Boots the zygote, if that has not been done; one that served its number of children is replaced."""
        async with self._booting:
            zygote = self._zygote
            if zygote is not None and not zygote.lost and zygote.born < self._setup.recycle_after:
                return zygote
            if self._closed:
                raise SandboxRefused("the sandbox is closed")
            made = await self._boot()
            if zygote is not None:
                self._old.append(zygote)
                self._drop_spares()
            for old in [each for each in self._old if not each.living]:
                self._old.remove(old)
                self._background(old.close())
            self._zygote = made
            return made

    async def close(self) -> None:
        """Ends every child and zygote; returns when they are gone."""
        self._closed = True
        self._drop_spares()
        for zygote in [*self._old, *([self._zygote] if self._zygote else [])]:
            await zygote.close()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- Steps ----------------------------------------------------------------------------------------------------

    async def _boot(self) -> Zygote:
        found: Image = await asyncio.to_thread(image, self.name, self._setup.interpreter, self._paths)
        self._work = found.work
        return await Zygote.boot(found, self._setup.layers, self._setup.uid)

    async def _make(self, shape: Shape) -> Talk:
        setup = self._setup
        zygote = await self.warm()
        talk = Talk(setup.level, setup.clock, shape.limits, piped=shape.piped)
        try:
            tasks = _tasks(shape.limits)
            talk.leaf = setup.cgroups.lend(shape.limits, tasks)
            if "tree" not in setup.layers:
                talk.scratch = _scratch(setup.uid if "uid" in setup.layers else 0)
            talk.work = talk.scratch or self._work
            talk.born(await zygote.spawn(_request(shape, tasks, talk.work), talk.fds))
            await talk.ready()
        except BaseException:
            self.end(talk)
            raise
        return talk

    def _refill(self, shape: Shape) -> None:
        """Keeps children ready for a shape that was asked for more than once."""
        if shape.piped:
            return
        self._asked[shape] = self._asked.get(shape, 0) + 1
        if self._asked[shape] < 2 or not self._setup.spares or self._closed:
            return
        ready = self._spares.setdefault(shape, deque())
        self._spares.move_to_end(shape)
        while len(self._spares) > _SHAPES:
            oldest, unused = self._spares.popitem(last=False)
            self._asked.pop(oldest, None)
            for talk in unused:
                self.end(talk)
        for _ in range(self._setup.spares - len(ready) - self._coming[shape]):
            self._coming[shape] += 1
            self._background(self._prepare(shape, ready))

    async def _prepare(self, shape: Shape, ready: deque[Talk]) -> None:
        try:
            with suppress(SandboxRefused):  # a call that needs one will be told
                talk = await self._make(shape)
                if self._closed or self._spares.get(shape) is not ready:
                    self.end(talk)
                else:
                    ready.append(talk)
        finally:
            self._coming[shape] -= 1
            if not self._coming[shape]:
                del self._coming[shape]

    def _drop_spares(self) -> None:
        for ready in self._spares.values():
            while ready:
                self.end(ready.pop())
        self._spares.clear()

    async def _wait_and_return(self, talk: Talk) -> None:
        assert talk.child is not None
        await talk.child.exit
        self._return(talk)

    def _return(self, talk: Talk) -> None:
        if talk.child is not None:
            talk.child.release()
        if talk.leaf is not None:
            self._setup.cgroups.give_back(talk.leaf)
            talk.leaf = None
        if talk.scratch:
            shutil.rmtree(talk.scratch, ignore_errors=True)
            talk.scratch = ""

    def _background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _shaping(limits: RunLimits) -> RunLimits:
    """The limits without those that are watched from outside and so do not shape a child."""
    return RunLimits(
        cpu_s=limits.cpu_s,
        memory_bytes=limits.memory_bytes,
        processes=limits.processes,
        disk_bytes=limits.disk_bytes,
        inodes=limits.inodes,
        open_files=limits.open_files,
    )


def _tasks(limits: RunLimits) -> int:
    """Processes and threads: the runner is one, and beside it either threads or what may be started."""
    return _THREADS if limits.processes == 1 else limits.processes + 1


def _request(shape: Shape, tasks: int, work: str) -> dict[str, Any]:
    limits = shape.limits
    return {
        "filter": key(Profile(processes=limits.processes > 1, egress=shape.network)),
        "disk": limits.disk_bytes,
        "inodes": limits.inodes,
        "memory": limits.memory_bytes,
        "cpu_s": limits.cpu_s,
        "open_files": limits.open_files,
        "tasks": tasks,
        "network": shape.network,
        "work": work,
        "piped": shape.piped,
    }


def _scratch(uid: int) -> str:
    """A folder of the host for one call, where a level has no tree of its own."""
    path = tempfile.mkdtemp(prefix=f"interlock-sandbox-{os.getpid()}-")
    if uid and host_root():
        os.chown(path, uid, uid)
    return path
