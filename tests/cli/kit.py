"""The command line as a test uses it: verbs called in this process, or as a process of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from interlock.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
INTERLOCK = str(Path(sys.executable).with_name("interlock"))


class Said(NamedTuple):
    """What a verb did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Cli:
    """Verbs over one workspace."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys

    def __call__(self, verb: str, *arguments: object) -> Said:
        self._capsys.readouterr()
        code = main([verb, "--workspace", str(self.folder), *map(str, arguments)])
        said = self._capsys.readouterr()
        return Said(code, said.out, said.err)

    def file(self, name: str, *lines: Any) -> Path:
        """An input file; what is no text is written as JSON."""
        path = self.folder / name
        path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        """Changes one of the workspace's files."""
        path = self.folder / name
        text = path.read_text()
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new))


def process(*arguments: object, cwd: Path | None = None, **options: Any) -> subprocess.Popen[str]:
    """`interlock …` as a process of its own, both streams piped."""
    command = [INTERLOCK, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", **options
    )


def faults(value: Any, schema: str) -> list[str]:
    """What `docs/schemas/NAME.schema.json` finds wrong with a value."""
    from interlock.config.jsonschema import Validator

    return Validator(json.loads((SCHEMAS / f"{schema}.schema.json").read_text())).faults(value)
