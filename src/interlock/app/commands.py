"""A server's command as a job for the sandbox: which program it is, and what of the host that program needs to see.

Above: sandbox. Below: config, core. The image shows /usr, so what is installed there needs nothing; a program of a Python environment needs that
environment and the Python it was made from; any other needs its own file. What its arguments name is shown only where `reads` says so.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from interlock.config.mcp import McpServer
from interlock.core.egress import EgressPolicy
from interlock.core.sandbox import Job, RunLimits

_LIFE_CPU_S = 86_400
"""CPU of a server's whole life, all of its processes together."""
_OF_THE_IMAGE = (Path("/usr"), Path("/bin"), Path("/lib"))


def job_of(server: McpServer, root: Path, limits: RunLimits, policy: EgressPolicy | None, *, here: bool) -> Job:
    """The server's command, to be run as `Sandbox.program`: on this machine, or else by a worker, whose files are not known here.

    Raises:
        FileNotFoundError: there is no such program.
    """
    program, needed = place_of(server.command[0]) if here else (Path(server.command[0]), ())
    paths = [*needed, *(Path(root, each).resolve() if here else Path(each) for each in server.reads)]
    search = ":".join([str(program.parent), "/usr/local/bin", "/usr/bin", "/bin"])
    return Job(
        "shell",
        f"exec {shlex.join([str(program), *server.command[1:]])}",
        image="shell",
        paths=tuple(dict.fromkeys(str(each) for each in paths if not _in_image(each))),
        environment={"PATH": search, **{name: value.reveal() for name, value in server.env.items()}},
        limits=msgspec.structs.replace(limits, cpu_s=_LIFE_CPU_S),
        network=policy,
    )


def place_of(name: str) -> tuple[Path, tuple[Path, ...]]:
    """The program's file, and what it needs beside the image.

    Raises:
        FileNotFoundError: there is no such program.
    """
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"there is no program {name}")
    said = Path(found).absolute()
    for file in (said, said.resolve()):
        environment = file.parent.parent
        if (environment / "pyvenv.cfg").is_file():
            return file, (environment, *_made_from(environment / "pyvenv.cfg"))
    return said.resolve(), (said.resolve(),)


def _made_from(marks: Path) -> Iterator[Path]:
    """The installation of Python that an environment was made from. Source: PEP 405, key `home`."""
    for line in marks.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home":
            yield Path(value.strip()).resolve().parent


def _in_image(path: Path) -> bool:
    return any(path.is_relative_to(each) for each in _OF_THE_IMAGE)
