"""`LocalSandbox`: foreign code on this machine. `run` is the walk of one call. Above: app. Below: pool, prove, session.

Nothing is started before the first call; the first one finds out which level the host can prove, by attacks, and refuses what is below
`min_level`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from msgspec import Struct

from interlock.core.egress import EgressDecision, EgressPolicy, EgressProxy
from interlock.core.errors import SandboxRefused, Shed
from interlock.core.sandbox import LEVELS, FileIn, Job, Level, RunOutcome, Session, at_least
from interlock.core.time import Clock

from . import cgroups, prove
from .guest.kernel import Kernel
from .layers import LAYERS, NOT_EVERYWHERE
from .pool import Pool, Setup
from .programs import LocalProgram
from .seats import LocalSeat
from .session import CellSession
from .talk import Talk
from .watch import EVERY_S, EVERY_S_OF_A_LIFE, watch

_PROXY = "http://127.0.0.1:3128"
_AUTHORITY = ".tmp/egress.pem"


class Options(Struct, frozen=True):
    """What a configuration says about the sandbox."""

    min_level: Level = "namespaces"
    unsafe_no_isolation: bool = False
    """Must be set, beside `min_level: none`, for code to run without isolation."""
    cgroup: str = ""
    """A delegated directory of the unified hierarchy; `off` for no groups; found by itself when empty."""
    uid: int = 65_534
    """Host uid of sandboxed code where this process is root; one that nothing else on the host uses is best."""
    spares: int = 2
    """Children kept ready for each usual shape of call."""
    max_in_flight: int = 256
    max_waiting: int = 1024
    recycle_after: int = 10_000
    """Children of one zygote, which share its address layout and hash seed."""
    interpreter: str = ""
    """Path of the Python that sandboxed code runs on; this process's own when empty."""
    own_kernel: bool = False
    """This machine is there for foreign code alone: a layer that its kernel does not have (`NOT_EVERYWHERE`) is done without, and said."""


class LocalSandbox:
    """The port `Sandbox` on this machine. Use it from one event loop; `close` it."""

    def __init__(
        self,
        options: Options,
        clock: Clock,
        *,
        egress: EgressProxy | None = None,
        off: frozenset[str] = frozenset(),
        only: Level | None = None,
    ) -> None:
        """`off` and `only` are for the proof that each layer holds by itself: layers left out, and the one level to try."""
        if options.min_level == "none" and not options.unsafe_no_isolation:
            raise SandboxRefused(
                "sandbox.min_level is none",
                hint="Set sandbox.unsafe_no_isolation: true if foreign code may do anything.",
            )
        self._options = options
        self._clock = clock
        self._egress = egress
        self._off, self._only = off, only
        self._starting = asyncio.Lock()
        self._setup: Setup | None = None
        self._groups: cgroups.Cgroups | None = None
        self._pools: dict[tuple[str, tuple[str, ...]], Pool] = {}
        self._room = asyncio.Semaphore(options.max_in_flight)
        self._waiting = 0
        self.weaker: tuple[str, ...] = ()
        """Why each stronger level is not in force, for people."""
        self.missing: tuple[str, ...] = ()
        """Layers that are done without, since this kernel does not have them."""

    async def run(self, job: Job) -> RunOutcome:
        """One call, from its place in the queue to the last process gone."""
        async with self._admitted():
            pool = await self.pool(job)
            talk = await pool.take(job)
            try:
                decisions: list[EgressDecision] = []
                async with self._watched(talk, job), self.connected(talk, job.network, decisions) as connect:
                    outcome = await talk.ask(connect(job))
                return msgspec.structs.replace(outcome, egress=tuple(decisions)) if decisions else outcome
            finally:
                pool.end(talk)

    def session(self, image: str, cells: Sequence[Job] = ()) -> Session:
        return CellSession(lambda job: LocalSeat.take(self, job), image, cells)

    @asynccontextmanager
    async def program(self, job: Job) -> AsyncGenerator[LocalProgram]:
        """See `core.sandbox.Sandbox.program`; it counts as one call in flight."""
        async with self._admitted():
            pool = await self.pool(job)
            talk = await pool.take(job, piped=True)
            try:
                decisions: list[EgressDecision] = []
                async with (
                    self._watched(talk, job, EVERY_S_OF_A_LIFE),
                    self.connected(talk, job.network, decisions) as connect,
                ):
                    program = await LocalProgram.begin(talk, connect(job), decisions)
                    try:
                        yield program
                    finally:
                        program.close()
            finally:
                pool.end(talk)

    async def start(self) -> Level:
        """The level in force, found and proved on the first call of it.

        Raises:
            SandboxRefused: the host proves less than `min_level`; the message says what was refused where.
        """
        async with self._starting:
            if self._setup is None:
                self._setup = await self._prove()
            return self._setup.level

    async def warm(self, image: str) -> None:
        """Boots an image ahead of its first call, e.g. while a model is still writing the code."""
        await (await self._pool(image)).warm()

    async def attacked(self) -> tuple[list[prove.Finding], int]:
        """Every attack carried out now, and the version of landlock that the kernel speaks."""
        pool = await self._pool("python")
        zygote = await pool.warm()
        return await prove.findings(pool, zygote.layers), zygote.landlock

    @property
    def groups(self) -> frozenset[str]:
        """Controllers of control groups that are put around calls."""
        return self._groups.holds if self._groups is not None else frozenset()

    async def close(self) -> None:
        """Ends everything; returns when no process, group or descriptor is left."""
        for pool in self._pools.values():
            await pool.close()
        self._pools.clear()
        if self._groups is not None:
            self._groups.close()
            self._groups = None
        self._setup = None

    # --- Steps ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _admitted(self) -> AsyncGenerator[None]:
        if self._room.locked() and self._waiting >= self._options.max_waiting:
            raise Shed("too many sandboxed calls are waiting", retry_after_s=1.0)
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._room.release()

    async def pool(self, job: Job) -> Pool:
        """The pool of a job's image.

        Raises:
            SandboxRefused: the level in force cannot carry the job.
        """
        pool = await self._pool(job.image, job.paths)
        assert self._setup is not None
        if self._setup.level in ("landlock", "none"):
            if job.network is not None:
                raise SandboxRefused(f"level {self._setup.level} cannot bound a network", hint="It needs namespaces.")
            if job.limits.processes > 1 and self._setup.level == "landlock":
                raise SandboxRefused("level landlock runs single processes only", hint="It needs namespaces.")
        if job.network is not None and self._egress is None:
            raise SandboxRefused(
                "the call wants the network, and there is no egress proxy", hint="Leave `network` empty."
            )
        return pool

    async def _pool(self, image: str, paths: tuple[str, ...] = ()) -> Pool:
        await self.start()
        assert self._setup is not None
        pool = self._pools.get((image, paths))
        if pool is None:
            pool = self._pools[image, paths] = Pool(image, self._setup, paths)
        return pool

    @asynccontextmanager
    async def _watched(self, talk: Talk, job: Job, every_s: float = EVERY_S) -> AsyncGenerator[None]:
        """Looks after the tree where no control group does; a single process is held by its own limits."""
        held = talk.leaf is not None and talk.leaf.limits_memory
        if job.limits.processes == 1 and not held:
            yield
            return
        async with _running(watch(talk, every_s)):
            yield

    @asynccontextmanager
    async def connected(
        self, talk: Talk, policy: EgressPolicy | None, decisions: list[EgressDecision]
    ) -> AsyncGenerator[Callable[[Job], Job]]:
        """The proxy serves the listener that the child made in its own network namespace: whatever comes in there is that call.

        Yields what gives a job the means to use it.
        """
        if policy is None:
            yield _alone
            return
        assert self._egress is not None
        listener, talk.listener = socket.socket(fileno=talk.listener), -1
        with listener:
            async with self._egress.serve(listener, policy, decisions.append) as authority:
                yield lambda job: with_proxy(job, policy, authority, talk.work)

    async def _prove(self) -> Setup:
        """The strongest level that this host can prove, if that is enough."""
        reasons: list[str] = []
        self._groups = groups = cgroups.find(self._options.cgroup)
        for level in reversed(LEVELS):
            if self._only not in (None, level):
                continue
            if not at_least(level, self._options.min_level):
                break
            try:
                return await self._try(level, groups)
            except SandboxRefused as refused:
                reasons.append(f"{level}: {refused.message}")
            finally:
                self.weaker = tuple(reasons)
        groups.close()
        self._groups = None
        raise SandboxRefused(
            f"this host cannot isolate foreign code at level {self._options.min_level} or above ({'; '.join(reasons)})",
            hint="Run `interlock doctor`; docs/sandbox.md says what each level needs.",
        )

    async def _try(self, level: Level, groups: cgroups.Cgroups) -> Setup:
        if level == "vm":
            raise SandboxRefused("a virtual machine is a remote worker's, this process cannot prove one")
        if level == "namespaces+cgroup" and not groups.whole:
            held = ", ".join(sorted(groups.holds)) or "none"
            raise SandboxRefused(f"no control groups for memory and processes are ours (held: {held})")
        lacking = NOT_EVERYWHERE if self._options.own_kernel and not Kernel().landlock_abi() else frozenset[str]()
        self.missing = tuple(sorted(lacking & LAYERS[level]))
        setup = Setup(
            level=level,
            layers=LAYERS[level] - self._off - lacking,
            cgroups=cgroups.Cgroups({}, unified=False) if "cgroup" in self._off else groups,
            clock=self._clock,
            uid=self._options.uid,
            spares=self._options.spares,
            recycle_after=self._options.recycle_after,
            interpreter=self._options.interpreter,
        )
        pool = Pool("python", setup)
        try:
            if level != "none" and not self._off:
                await prove.hold(pool, level)
            else:
                await pool.warm()
        except BaseException:
            await pool.close()
            raise
        self._pools["python", ()] = pool
        return setup


def _alone(job: Job) -> Job:
    return job


def with_proxy(job: Job, policy: EgressPolicy, authority: str, work: str) -> Job:
    """The job with what its programs need to use the proxy: its address, whom to trust, what stands in for each secret."""
    environment = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _PROXY)
    environment |= {each.name.upper().replace("-", "_"): each.placeholder for each in policy.credentials}
    files = job.files
    if authority:
        files = (*files, FileIn(_AUTHORITY, authority.encode()))
        environment |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), f"{work}/{_AUTHORITY}")
    return msgspec.structs.replace(job, files=files, environment={**environment, **job.environment})


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Runs beside the block, and is over when that is."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
