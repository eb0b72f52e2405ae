"""Runtime images: which paths of the host a zygote shows, read-only, and what it imports before its first child. Above: zygotes.

`python` is the standard library; `data` adds numpy, pandas and matplotlib (extra `sandbox-data`); `shell` the host's own programs.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from msgspec import Struct

from interlock.core.errors import SandboxRefused

_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib64", "/bin", "/sbin")
"""Links on a merged /usr; elsewhere directories."""
_SHOWN = ("/etc/ld.so.cache", "/etc/ssl/certs", "/usr/share/zoneinfo", "/usr/share/ca-certificates")
_FILES = {
    "/etc/passwd": "user:x:1000:1000::/work:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "/etc/group": "user:x:1000:\nnogroup:x:65534:\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
}
_WORK, _OTHER_WORK = "/work", "/workspace"
"""Where a call may write; the other place where the host shows something below the first."""
_TMP = "/tmp"  # noqa: S108 - the sandbox's own: a link into the workspace, where the host shows nothing below it
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108
}
_PRELOAD = ("json", "re", "math", "random", "collections", "datetime", "statistics", "itertools", "functools", "ast")
_DATA = ("numpy", "pandas", "matplotlib")
_DATA_PRELOAD = ("numpy", "pandas", "matplotlib.pyplot")
_DATA_WARM_UP = """
import io, numpy, pandas, matplotlib.pyplot as plots
frame = pandas.read_csv(io.StringIO("a,b,c\\n1,x,2026-01-01\\n2,y,2026-01-02\\n"), parse_dates=["c"])
frame.groupby("b").a.sum(), frame.a.mean(), frame.describe(), frame.sort_values("a"), frame[frame.a > 1], frame.merge(frame, on="b")
frame.to_csv(io.StringIO()), str(frame), pandas.DataFrame({"n": range(3)}).n.sum(), numpy.linalg.norm(numpy.arange(3.0))
frame.a.plot(), plots.figure(), plots.plot([1, 2]), plots.savefig(io.BytesIO(), format="png"), plots.close("all")
"""
_PACKAGES = "/image"
NAMES = ("python", "data", "shell")


class Image(Struct, frozen=True):
    """What a zygote is booted with."""

    name: str
    interpreter: str
    binds: tuple[str, ...]
    links: dict[str, str]
    files: dict[str, str]
    path: tuple[str, ...]
    """`sys.path` inside."""
    preload: tuple[str, ...]
    environment: dict[str, str]
    masks: tuple[str, ...] = ()
    """Directories inside the binds that are shown empty."""
    warm_up: str = ""
    """Python that uses the libraries once before the first child, so that what they do at first use is done for all."""
    packages: tuple[str, ...] = ()
    """Shown in one folder of their own, so that it does not matter where they are installed."""
    work: str = _WORK
    temporary: str = _TMP

    def plan(self, *, tree: bool) -> dict[str, Any]:
        """The image's part of the zygote's plan, with a tree of its own or in the host's."""
        moved = {f"{_PACKAGES}/{Path(each).name}": each for each in self.packages} if tree else {}
        site = [_PACKAGES if tree else str(Path(self.packages[0]).parent)] if self.packages else []
        return {
            "binds": [*self.binds, *([] if tree else self.packages)],
            "moved": moved,
            "links": self.links if self.temporary != _TMP else {**self.links, _TMP: f"{self.work[1:]}/.tmp"},
            "files": self.files,
            "masks": list(self.masks),
            "path": [*self.path, *site],
            "preload": list(self.preload),
            "warm_up": self.warm_up,
            "environment": {**self.environment, "HOME": self.work, "TMPDIR": self.temporary},
            "work": self.work,
        }


def image(name: str, interpreter: str = "", paths: tuple[str, ...] = ()) -> Image:
    """The image of that name, for this interpreter or the one at the path that is given; `paths` of the host are shown beside it.

    Raises:
        SandboxRefused: no such image, its libraries are not installed, or a path is not there.
    """
    if name not in NAMES:
        raise SandboxRefused(f"no sandbox image {name!r}", hint=f"There are {', '.join(NAMES)}.")
    standard = _standard_library(interpreter)
    path = [standard, f"{standard}/lib-dynload"]
    binds = [standard, *_SHOWN]
    preload, packages = _PRELOAD, list[str]()
    if name == "data":
        packages = _packages(_DATA)
        compile_missing(packages)
        preload += _DATA_PRELOAD
    if name == "shell":
        binds += ["/usr", "/etc/alternatives"]
    places, links = _library_places()
    binds += [*places, *_shown(paths)]
    work = _OTHER_WORK if any(_within(path, _WORK) for path in paths) else _WORK
    return Image(
        name=name,
        interpreter=interpreter or os.path.realpath(sys.executable),
        binds=tuple(_outermost(binds)),
        links=links,
        files=_FILES,
        path=tuple(path),
        preload=preload,
        warm_up=_DATA_WARM_UP if name == "data" else "",
        packages=tuple(packages),
        environment=_ENVIRONMENT,
        masks=tuple(
            place
            for place in (f"{standard}/site-packages",)
            if Path(place).is_dir() and place != _site() and not any(_within(path, place) for path in paths)
        ),
        work=work,
        temporary=f"{work}/.tmp" if any(_within(path, _TMP) for path in paths) else _TMP,
    )


def _shown(paths: tuple[str, ...]) -> Iterator[str]:
    """The paths, if they are there and leave a tree of our own to be built around them."""
    for path in paths:
        plain = os.path.normpath(path)
        closed = any(_within(plain, each) for each in ("/dev", "/proc", "/sys", _OTHER_WORK))
        if not path.startswith("/") or closed or plain in ("/", "/etc", _WORK, _TMP):
            raise SandboxRefused(f"{path} cannot be shown to a sandbox", hint="Name a folder inside it.")
        if not Path(plain).exists():
            raise SandboxRefused(f"{path} is to be shown to a sandbox, and is not there")
        yield plain


def _within(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")


def compile_missing(paths: list[str]) -> None:
    """Compiles sources without bytecode, where this user may write: importing pandas from source takes three times the CPU."""
    for path in paths:
        found = Path(path)
        sources = found.rglob("*.py") if found.is_dir() else iter((found,) if found.suffix == ".py" else ())
        if any(not Path(cache_from_source(str(source))).exists() for source in sources) and os.access(path, os.W_OK):
            compileall.compile_dir(path, quiet=2) if found.is_dir() else compileall.compile_file(path, quiet=2)


def _standard_library(interpreter: str) -> str:
    if not interpreter:
        return str(Path(os.__file__).resolve().parent)
    asked = [interpreter, "-I", "-S", "-c", "import os; print(os.__file__)"]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - named by the configuration
    if told.returncode != 0:
        raise SandboxRefused(f"sandbox.interpreter {interpreter} does not run: {told.stderr.strip()[:200]}")
    return str(Path(told.stdout.strip()).resolve().parent)


def _site() -> str:
    return sysconfig.get_path("purelib")


def _library_places() -> tuple[list[str], dict[str, str]]:
    """Where the dynamic linker looks: directories to bind, and links among them to make again."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu"
    binds = [f"/usr/lib/{multiarch}"]
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        binds.append(f"{sysconfig.get_config_var('LIBDIR')}/{sysconfig.get_config_var('INSTSONAME')}")
    links: dict[str, str] = {}
    for path in _LIBRARIES:
        if Path(path).is_symlink():
            links[path] = str(Path(path).readlink())
        elif "bin" not in path:
            binds.append(path)
    return binds, links


def _outermost(paths: list[str]) -> Iterator[str]:
    """Existing paths, none of them inside another."""
    kept: list[str] = []
    for path in sorted({path for path in paths if Path(path).exists()}):
        if not any(path.startswith(f"{outer}/") for outer in kept):
            kept.append(path)
            yield path


def _packages(names: tuple[str, ...]) -> list[str]:
    """Directories and modules of the distributions and of everything they need."""
    wanted, seen, found = list(names), set[str](), set[str]()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            made = distribution(name)
        except PackageNotFoundError as missing:
            if name not in names:
                continue
            raise SandboxRefused(
                f"the image `data` needs {name}", hint="Install it: pip install 'interlock[sandbox-data]'."
            ) from missing
        found.update(_top_level(made))
        wanted += [
            requirement.replace(";", " ")
            .replace("(", " ")
            .split(maxsplit=1)[0]
            .split("[")[0]
            .rstrip("<>=!~0123456789.,*")
            for requirement in made.requires or ()
            if "extra" not in requirement
        ]
    return sorted(found)


def _top_level(made: Distribution) -> Iterator[str]:
    for file in made.files or ():
        first = file.parts[0]
        if first not in ("..", "__pycache__") and not first.endswith(".pth"):
            yield str(made.locate_file(first))
