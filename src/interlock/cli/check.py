"""`interlock check`: whether a workspace can be used, with every fault at its place. Above: cli.main. Below: config."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.core.errors import ConfigError, Fault

from .options import parser, workspace_path
from .text import clean, plural


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`ok` when there are no faults; warnings are what a run will need and the files leave open."""

    ok: bool
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


def options() -> argparse.ArgumentParser:
    """What `interlock check` takes."""
    made = parser("check", "Looks for faults in a workspace's files and names all of them at once.")
    made.add_argument(
        "path", nargs="?", type=Path, metavar="PATH", help="a workspace, or one file of a contract or policy"
    )
    made.add_argument(
        "--strict", action="store_true", help="warnings count as faults, e.g. a tool that is named and not there"
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when the files are valid, 1 when there are faults, or with --strict warnings."""
    given = options().parse_args(arguments)
    result = check(workspace_path(given.path or given.workspace))
    if given.strict:
        result = CheckResult(
            ok=result.ok and not result.warnings, faults=(*result.faults, *result.warnings), warnings=()
        )
    shown = render(result, as_json=given.json)
    print(shown if given.json else clean(shown))
    return 0 if result.ok else 1


def check(path: Path, env: Mapping[str, str] | None = None) -> CheckResult:
    """Reads the workspace, contract or policy at `path`; never raises for what stands in the files."""
    from interlock.config.load import load

    try:
        workspace = load(path, env)
    except ConfigError as error:
        return CheckResult(ok=False, faults=error.faults, warnings=())
    return CheckResult(ok=True, faults=(), warnings=workspace.warnings)


def render(result: CheckResult, *, as_json: bool) -> str:
    """For people one line per finding and a sentence at the end; as JSON what docs/schemas/check.schema.json says."""
    if as_json:
        shape = {"ok": result.ok, "faults": _objects(result.faults), "warnings": _objects(result.warnings)}
        return json.dumps(shape, ensure_ascii=False)
    lines = [str(fault) for fault in result.faults]
    lines += [f"warning: {warning}" for warning in result.warnings]
    return "\n".join([*lines, _summary(result)])


def _objects(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    return [{name: getattr(fault, name) for name in Fault.__struct_fields__} for fault in faults]


def _summary(result: CheckResult) -> str:
    found = [(len(result.faults), "fault"), (len(result.warnings), "warning")]
    said = " and ".join(plural(count, what) for count, what in found if count)
    if not result.ok:
        return f"{said}: mend these, then check again."
    return f"The files are valid, with {said}." if said else "The files are valid."
