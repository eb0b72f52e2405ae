"""The sandbox of a workspace: built when the first call needs it, and the tools `code.run`, `shell.run` and isolated functions on it.

Above: toolbox, compose. Below: config, the sandbox wing, `tools/define`. A workspace that runs no foreign code pays nothing for it.
"""

from __future__ import annotations

import asyncio
import inspect
import marshal
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from interlock.config.mcp import McpServer
from interlock.config.sandbox import SandboxSettings
from interlock.config.workspace import Workspace
from interlock.core.egress import EgressPolicy, EgressProxy
from interlock.core.errors import SandboxRefused, ToolError
from interlock.core.sandbox import FileIn, Job, Program, RunOutcome, Sandbox
from interlock.core.time import Clock
from interlock.core.verify import Ran
from interlock.tools.define import Tool, ToolContext, accepted, make

from .cells import Cells, shown
from .commands import job_of
from .doors import Doors

if TYPE_CHECKING:
    from interlock.sandbox.local import Options
    from interlock.sandbox.prove import Finding

_TOOL_ERROR = "ToolError"


class Examined(Sandbox, Protocol):
    """A sandbox that can be attacked for the report of `interlock doctor`."""

    @property
    def weaker(self) -> tuple[str, ...]:
        """Why each stronger level is not in force, for people."""
        ...

    @property
    def groups(self) -> frozenset[str]:
        """Controllers of control groups that are put around calls."""
        ...

    async def attacked(self) -> tuple[list[Finding], int]:
        """Every attack carried out now, and the version of landlock that the kernel speaks."""
        ...


class Sandboxed:
    """The workspace's sandbox and what runs in it."""

    def __init__(
        self, workspace: Workspace, clock: Clock, policy: EgressPolicy, proxy: Callable[[Clock], EgressProxy]
    ) -> None:
        self._settings = workspace.settings.sandbox
        self._root = workspace.root
        self._clock = clock
        self._allowed = policy
        self._policy = policy if self._settings.network else None
        self._proxy = proxy
        servers = workspace.settings.mcp.servers.values()
        self._networked = self._settings.network or any(each.network for each in servers)
        self._sandbox: Sandbox | None = None
        self._warming: asyncio.Task[None] | None = None
        self._doors = Doors(workspace.root)
        self._cells = Cells(self.open, self._settings, workspace.root, clock, self._policy)

    def open(self) -> Sandbox:
        """The sandbox; nothing is started before its first call."""
        if self._sandbox is None:
            egress = self._proxy(self._clock) if self._networked else None
            self._sandbox = sandbox_of(self._settings, self._root, self._clock, egress)
        return self._sandbox

    async def start(self, tools: Collection[str]) -> None:
        """Proves the level, and boots the images of these tools beside whatever comes next: the first call shall not wait for pandas.

        Raises:
            SandboxRefused: the host proves less than is configured.
        """
        sandbox = self.open()
        await sandbox.start()
        wanted = {"code.run": self._settings.image, "shell.run": "shell"}
        images = [image for name, image in wanted.items() if name in tools]
        self._warming = asyncio.create_task(_warm(sandbox, images))

    async def close(self) -> None:
        """Ends sessions and the sandbox, if there is one."""
        if self._warming is not None:
            await self._warming
        await self._cells.close()
        if self._sandbox is not None:
            await self._sandbox.close()
            self._sandbox = None

    @property
    def tools(self) -> dict[str, Tool]:
        """`code.run` and `shell.run`; a contract has to list them, like any tool."""
        code = make(self._cells.run, name="code.run", effect="once", description=_CODE)
        shell = make(self.shell, name="shell.run", effect="once", description=_SHELL)
        return {each.name: each for each in (code, shell)}

    def isolated(self, tools: Mapping[str, Tool], file: Path) -> dict[str, Tool]:
        """The same tools; those declared isolated run in the sandbox, from the source of their file.

        Raises:
            ConfigError: the statements of a tool's door cannot be read.
        """
        if not any(each.isolated for each in tools.values()):
            return dict(tools)
        module = Module.read(file)
        return {name: self._moved(each, module) if each.isolated else each for name, each in tools.items()}

    def _moved(self, tool: Tool, module: Module) -> Tool:
        away = self._away(tool, tool.function, module)
        known = self._away(tool, tool.reconcile, module) if tool.reconcile is not None else None
        return msgspec.structs.replace(tool, function=away, reconcile=known, takes_ctx=True)

    def starter(self, server: McpServer, root: Path) -> Callable[[], AbstractAsyncContextManager[Program]]:
        """What starts an MCP server's command in the sandbox, each time anew."""

        def start() -> AbstractAsyncContextManager[Program]:
            limits = self._settings.limits.run_limits(processes=max(2, self._settings.limits.processes))
            policy, here = self._allowed if server.network else None, self._settings.worker is None
            return self.open().program(job_of(server, root, limits, policy, here=here))

        return start

    async def shell(self, command: str, ctx: ToolContext) -> dict[str, Any]:
        """Runs a shell command in an empty private folder.

        Args:
            command: a command line for sh.
        """
        limits = self._settings.limits.run_limits(processes=max(2, self._settings.limits.processes))
        outcome = await self.open().run(Job("shell", command, image="shell", limits=limits, network=self._policy))
        stain(ctx, outcome)
        return shown(outcome)

    async def run_python(self, program: str, *, timeout_s: float) -> Ran:
        """The port `core.verify.CodeRunner`: a program nobody trusts, without network."""
        limits = msgspec.structs.replace(self._settings.limits.run_limits(), wall_s=timeout_s)
        outcome = await self.open().run(Job("code", program, limits=limits))
        said = "\n".join(each for each in (outcome.stdout, outcome.error.traceback if outcome.error else "") if each)
        return Ran(outcome.status == "ok" and not outcome.exit_code, (said or outcome.ended_by)[-4_000:])

    def _away(self, tool: Tool, function: Callable[..., Any], module: Module) -> Callable[..., Awaitable[Any]]:
        """A stand-in for a function of the tool: the same arguments, the same result, elsewhere."""
        statements = self._doors.statements(tool)
        takes_ctx = "ctx" in inspect.signature(function).parameters

        async def run_isolated(ctx: ToolContext, **arguments: Any) -> Any:
            told = {"idempotency_key": ctx.idempotency_key, "tenant": ctx.tenant, "task": ctx.task, "user": ctx.user}
            plain = accepted(function, msgspec.to_builtins(arguments, enc_hook=str))
            job = Job(
                "function",
                module.source,
                function=function.__name__,
                arguments=plain,
                context=told if takes_ctx else None,
                compiled=module.compiled,
                files=tuple(FileIn(each, self._root / each) for each in tool.reads),
                limits=self._settings.limits.run_limits(),
                network=self._policy,
            )
            if tool.door is None:
                return self._answered(tool, ctx, await self.open().run(job))
            async with self._doors.opened(tool, statements, ctx, plain) as door:
                outcome = await self.open().run(msgspec.structs.replace(job, door=door.ask))
                result = self._answered(tool, ctx, outcome)
                await door.end(keep=True)  # before anybody hears of it: what was told of is what was done
                return result

        return run_isolated

    def _answered(self, tool: Tool, ctx: ToolContext, outcome: RunOutcome) -> Any:
        stain(ctx, outcome)
        if outcome.status == "limit" and self._policy is not None and tool.effect in ("reconcile", "once"):
            message = f"{tool.name} was ended by its limit of {outcome.ended_by}; what it asked of the network may have happened"
            raise RuntimeError(message)
        return answer(tool.name, outcome)


class Module(msgspec.Struct, frozen=True):
    """The file of a workspace's tools, as a child loads it."""

    source: str
    compiled: bytes
    """Bytecode behind the number of this version of Python: compiling the file anew would take longer than most calls."""

    @classmethod
    def read(cls, file: Path) -> Module:
        source = file.read_text(encoding="utf-8")
        return cls(source, MAGIC_NUMBER + marshal.dumps(compile(source, "<cell>", "exec")))


async def _warm(sandbox: Sandbox, images: Collection[str]) -> None:
    for image in images:
        with suppress(SandboxRefused):  # a call that needs it will be told
            await sandbox.warm(image)


def sandbox_of(settings: SandboxSettings, root: Path, clock: Clock, egress: EgressProxy | None) -> Examined:
    """The one that the settings name: this machine's, or a worker's. Nothing is started or connected."""
    worker = settings.worker
    if worker is None:
        from interlock.sandbox.local import LocalSandbox

        return LocalSandbox(options_of(settings), clock, egress=egress)
    from interlock.sandbox.remote.client import RemoteSandbox, WorkerAddress

    files = (str(root / each) for each in (worker.ca, worker.certificate, worker.key))
    return RemoteSandbox(WorkerAddress(worker.url, *files), settings.min_level, egress=egress)


def options_of(settings: SandboxSettings) -> Options:
    """What the wing is built with."""
    from interlock.sandbox.local import Options

    return Options(
        min_level=settings.min_level,
        unsafe_no_isolation=settings.unsafe_no_isolation,
        cgroup=settings.cgroup,
        uid=settings.uid,
        spares=settings.spares,
        max_in_flight=settings.max_in_flight,
        max_waiting=4 * settings.max_in_flight,
        interpreter=settings.interpreter,
    )


def stain(ctx: ToolContext, outcome: RunOutcome) -> None:
    """Puts level, limit and egress decisions on the call's event."""
    for line in outcome.stains:
        ctx.note(line)


def answer(name: str, outcome: RunOutcome) -> Any:
    """An isolated function's result.

    Raises:
        ToolError: with the function's own words where it raised one; otherwise what became of it.
    """
    if outcome.status == "ok":
        return outcome.value if not outcome.shown else outcome.shown
    error = outcome.error
    if error is not None and error.type == _TOOL_ERROR:
        raise ToolError(error.code, error.message, hint=error.hint)
    if outcome.status == "limit":
        raise ToolError(f"sandbox_{outcome.ended_by}", f"{name} was ended by its limit of {outcome.ended_by}")
    if error is not None:
        raise RuntimeError(f"{error.type}: {error.message}")
    raise RuntimeError(f"{name} ended without a result (exit status {outcome.exit_code})")


_CODE = (
    "Runs Python in an isolated session. Variables, imports and files in the current folder stay for later calls of the same task. "
    "The value of a last line that is an expression comes back, with what was printed, files that were written and figures that were drawn."
)
_SHELL = (
    "Runs a shell command in an isolated, empty folder; standard output, standard error and the exit code come back."
)
