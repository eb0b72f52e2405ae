"""What may be asked of a sandbox, and what comes of it. Above: tools, app, the sandbox wing. Below: nothing of Interlock."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

Level = Literal["none", "landlock", "namespaces", "namespaces+cgroup", "vm"]
LEVELS: tuple[Level, ...] = ("none", "landlock", "namespaces", "namespaces+cgroup", "vm")
"""How strong the isolation is, weakest first; docs/sandbox.md says what each one defends."""

Ended = Literal[
    "", "wall", "cpu", "memory", "processes", "output", "result", "disk", "inodes", "open_files", "files_out", "cancelled"
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


class Job(Struct, frozen=True):
    """One call: what is run, on which image, within which limits."""

    entry: Literal["code", "function", "shell"]
    code: str
    """Python source; for `shell` a command line."""
    image: str = "python"
    function: str = ""
    """For `function`: the name of a function that `code` defines."""
    arguments: dict[str, Any] = {}
    context: dict[str, str] | None = None
    """For `function`: what its `ctx` parameter gets; `None` when it takes none."""
    files: tuple[FileIn, ...] = ()
    environment: dict[str, str] = {}
    limits: RunLimits = RunLimits()
    network: str = ""
    """Name of an egress policy; empty for no network at all."""
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

    @property
    def stains(self) -> tuple[str, ...]:
        """What must stand on every event of this call: its level, and the limit that ended it."""
        ended = (f"sandbox: ended by {self.ended_by}",) if self.ended_by else ()
        unsafe = ("UNSAFE: ran without isolation",) if self.level == "none" else ()
        return (f"sandbox: level {self.level}", *unsafe, *ended)
