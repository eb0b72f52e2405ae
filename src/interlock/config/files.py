"""Reading the files of a workspace: bounded, inside its folder, every failure a fault. Above: load, knowledge. Below: tree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.core.errors import Fault

from .names import nearest
from .tree import MAX_CHARS, Mark, Node, fault_at, parse

MAX_FILES = 5_000
"""Most files of one folder that are read."""


@dataclass(slots=True)
class Findings:
    """What is wrong so far: `faults` stop the load, `warnings` do not."""

    faults: list[Fault] = field(default_factory=list[Fault])
    warnings: list[Fault] = field(default_factory=list[Fault])
    variables: set[str] = field(default_factory=set[str])
    """Names of the environment variables that the files ask for."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files below one root, and where their faults go."""

    root: Path
    env: Mapping[str, str]
    findings: Findings

    def shown(self, path: Path) -> str:
        """The path as a person would open it from where the root was named."""
        return path.as_posix()

    def text(self, path: Path, said_by: Mark | None = None, key: str = "") -> str | None:
        """What stands in the file; `None`, and a fault at `said_by`, when it cannot be read."""
        mark = said_by or Mark(self.shown(path), 1, 1)
        try:
            data = path.read_bytes() if path.stat().st_size <= 4 * MAX_CHARS else None
        except FileNotFoundError:
            self.findings.faults.append(fault_at(mark, key, f"no file {self.shown(path)}", self._neighbour(path)))
            return None
        except OSError as error:
            self.findings.faults.append(fault_at(mark, key, f"{self.shown(path)} cannot be read: {error.strerror}"))
            return None
        if data is None:
            self.findings.faults.append(
                fault_at(mark, key, f"{self.shown(path)} is larger than {4 * MAX_CHARS:,} bytes")
            )
            return None
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            where = Mark(self.shown(path), line, error.start - data.rfind(b"\n", 0, error.start))
            self.findings.faults.append(fault_at(where, key, "not UTF-8 here", "Save the file as UTF-8."))
            return None

    def yaml(self, path: Path, said_by: Mark | None = None, key: str = "", *, env: bool = True) -> Node | None:
        """The file's tree; `None`, with the faults noted, when it cannot be read. `env`: variables are put in."""
        text = self.text(path, said_by, key)
        if text is None:
            return None
        parsed = parse(text, self.shown(path), self.env if env else None)
        self.findings.faults.extend(parsed.faults)
        self.findings.variables.update(parsed.variables)
        return parsed.node

    def json(self, path: Path, said_by: Mark | None = None, key: str = "") -> Any:
        """The file's JSON value; `None`, with the fault noted, when it cannot be read."""
        text = self.text(path, said_by, key)
        if text is None:
            return None
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            mark = Mark(self.shown(path), error.lineno, error.colno)
            self.findings.faults.append(fault_at(mark, "", f"not valid JSON: {error.msg}"))
        except RecursionError:
            self.findings.faults.append(fault_at(Mark(self.shown(path), 1, 1), "", "nested too deep"))
        return None

    def inside(self, name: str, said_by: Mark, key: str) -> Path | None:
        """The path that a file names, relative to the root; a fault when it leads out of the workspace."""
        path = self.root / name
        if not path.resolve().is_relative_to(self.root.resolve()):
            hint = "Paths are relative to the workspace and stay inside it."
            self.findings.faults.append(fault_at(said_by, key, f"{name!r} leads out of the workspace", hint))
            return None
        return path

    def listed(self, folder: Path, suffixes: Iterable[str]) -> list[Path]:
        """The folder's files with one of these endings, sorted by name; none when there is no such folder."""
        wanted = tuple(suffixes)
        try:
            found = sorted(path for path in folder.iterdir() if path.suffix in wanted and path.is_file())
        except OSError:
            return []
        if len(found) > MAX_FILES:
            self.findings.faults.append(fault_at(Mark(self.shown(folder), 1, 1), "", f"more than {MAX_FILES:,} files"))
        return found[:MAX_FILES]

    def _neighbour(self, path: Path) -> str:
        try:
            names = [each.name for each in path.parent.iterdir()]
        except OSError:
            return f"There is no folder {self.shown(path.parent)} either."
        return nearest(path.name, names)
