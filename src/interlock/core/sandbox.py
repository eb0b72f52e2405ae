"""What may be asked of a sandbox, what comes of it, and the port. Above: tools, app, the sandbox wing. Below: egress."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct

from .egress import EgressDecision, EgressPolicy

Level = Literal["none", "landlock", "namespaces", "namespaces+cgroup", "vm"]
LEVELS: tuple[Level, ...] = ("none", "landlock", "namespaces", "namespaces+cgroup", "vm")
"""How strong the isolation is, weakest first; docs/sandbox.md says what each one defends."""

Ended = Literal[
    "",
    "wall",
    "cpu",
    "memory",
    "processes",
    "output",
    "result",
    "disk",
    "inodes",
    "open_files",
    "files_out",
    "asks",
    "cancelled",
]
"""The limit that ended a call; empty for none."""
RunStatus = Literal["ok", "error", "limit", "exited"]
"""It returned · it raised · a limit ended it · it left by itself without a result."""


def at_least(level: Level, wanted: Level) -> bool:
    """Whether `level` is as strong as `wanted`."""
    return LEVELS.index(level) >= LEVELS.index(wanted)


class RunLimits(Struct, frozen=True):
    """What one call may use, all of its processes together where not said otherwise."""

    wall_s: float = 10.0
    cpu_s: int = 10
    memory_bytes: int = 256 << 20
    """Beyond what the image itself takes."""
    processes: int = 1
    """1: no process can be started at all (threads can)."""
    output_bytes: int = 64 << 10
    """Standard output and standard error, each."""
    result_bytes: int = 256 << 10
    disk_bytes: int = 64 << 20
    """Of the private workspace, which lives in memory."""
    inodes: int = 4096
    open_files: int = 128
    """Per process."""
    files_out: int = 64
    files_out_bytes: int = 16 << 20
    asks: int = 256
    """Questions to the job's door, where it has one."""


class FileIn(Struct, frozen=True):
    """A file that the call finds in its workspace."""

    path: str
    """Relative, e.g. `data/orders.csv`."""
    source: bytes | Path
    """The content, or a file of the host that is streamed in."""


class FileOut(Struct, frozen=True):
    """A regular file that the call wrote, or a figure that it drew."""

    path: str
    data: bytes
    """Empty where the call asked for files to be written to a folder."""
    size: int
    kind: Literal["file", "figure"] = "file"


Door = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""What a function inside may ask outside: a name and values go in, plain JSON comes out. Raises ToolError: the answer is no."""


class Job(Struct, frozen=True):
    """One call: what is run, on which image, within which limits."""

    entry: Literal["code", "function", "shell"]
    code: str
    """Python source; for `shell` a command line."""
    image: str = "python"
    paths: tuple[str, ...] = ()
    """Files and folders of the host that the call sees beside its image, read-only at the same places."""
    function: str = ""
    """For `function`: the name of a function that `code` defines."""
    arguments: dict[str, Any] = {}
    context: dict[str, str] | None = None
    """For `function`: what its `ctx` parameter gets; `None` when it takes none."""
    compiled: bytes = b""
    """`code` as one version of Python compiles it, which the bytes begin by naming; used inside where that version runs."""
    door: Door | None = None
    """For `function`: what `ctx.ask` leads to, one question at a time; `None` where there is nothing to ask."""
    files: tuple[FileIn, ...] = ()
    environment: dict[str, str] = {}
    limits: RunLimits = RunLimits()
    network: EgressPolicy | None = None
    """What may be reached, through the proxy; `None` for no network at all."""
    collect: bool = False
    """Whether files and figures come back."""
    collect_to: Path | None = None
    """A folder that files are streamed to instead of being held in memory."""


class RunUsage(Struct, frozen=True):
    """What a call used."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0


class RunError(Struct, frozen=True):
    """What foreign code raised."""

    type: str
    message: str
    traceback: str = ""
    code: str = ""
    """Of a `ToolError`."""
    hint: str = ""


class RunOutcome(Struct, frozen=True):
    """What became of one call. Everything but `status`, `ended_by`, `usage` and `level` is the foreign code's own word."""

    status: RunStatus
    level: Level
    ended_by: Ended = ""
    touched: tuple[str, ...] = ()
    """Limits that the call ran into without being ended by them."""
    value: Any = None
    shown: str = ""
    """`repr` of a value that JSON cannot carry."""
    stdout: str = ""
    stderr: str = ""
    error: RunError | None = None
    exit_code: int | None = None
    files: tuple[FileOut, ...] = ()
    usage: RunUsage = RunUsage()
    egress: tuple[EgressDecision, ...] = ()
    """What was decided about each request that it sent, in order."""
    missing: tuple[str, ...] = ()
    """Layers that the kernel of a machine of its own does not have; the calls of that machine lack them among themselves."""

    @property
    def stains(self) -> tuple[str, ...]:
        """What must stand on every event of this call: its level, and the limit that ended it."""
        without = tuple(f"sandbox: inside without {layer}, which its kernel does not have" for layer in self.missing)
        return (*stains(self.level, self.egress, self.ended_by), *without)


def stains(level: Level, egress: Sequence[EgressDecision] = (), ended_by: Ended = "") -> tuple[str, ...]:
    """What must stand on the event of whatever ran at this level: the level, what ended it, each decision about the network."""
    ended = (f"sandbox: ended by {ended_by}",) if ended_by else ()
    unsafe = ("UNSAFE: ran without isolation",) if level == "none" else ()
    return (f"sandbox: level {level}", *unsafe, *ended, *(each.told for each in egress))


class Session(Protocol):
    """Code run cell by cell in one namespace."""

    @property
    def cells(self) -> Sequence[Job]:
        """Cells that succeeded, in order: the record that a later session can be made from."""
        ...

    async def run(self, job: Job) -> RunOutcome:
        """One cell. A process that was lost is rebuilt first, from the cells that succeeded."""
        ...

    async def close(self) -> None: ...


class Program(Protocol):
    """A command at work inside, for as long as its streams are held."""

    @property
    def level(self) -> Level: ...

    async def read(self) -> bytes:
        """What it wrote to standard output; empty when it has ended."""
        ...

    async def write(self, data: bytes) -> None:
        """To its standard input. Raises ConnectionError: it has ended."""
        ...

    def decided(self) -> Sequence[EgressDecision]:
        """What was decided about its requests since this was last asked."""
        ...

    @property
    def ended_by(self) -> Ended:
        """The limit that ended it, as far as is known by now."""
        ...

    def words(self) -> str:
        """The end of what it wrote to standard error."""
        ...


class Sandbox(Protocol):
    """Runs foreign code. Hundreds of calls may be in flight.

    Raises:
        SandboxRefused: the host cannot isolate as the configuration demands. Shed: too many calls at once.
    """

    async def start(self) -> Level:
        """Finds out and proves the level in force, once; every call does so where nobody has."""
        ...

    async def warm(self, image: str) -> None:
        """Boots an image ahead of its first call."""
        ...

    async def run(self, job: Job) -> RunOutcome: ...

    def session(self, image: str, cells: Sequence[Job] = ()) -> Session:
        """A session whose state is that after `cells`, which are run again when they are first needed."""
        ...

    def program(self, job: Job) -> AbstractAsyncContextManager[Program]:
        """A `shell` job whose command lives until the block is left; its limits but wall time and output hold for its whole life."""
        ...

    async def close(self) -> None: ...
