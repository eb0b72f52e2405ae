"""The tools of a workspace's `tools.py`.

Above: `app`. Below: `define`. The file is the user's own code and runs with this process's rights, like any module of theirs.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from interlock.core.errors import ConfigError, Fault

from .define import Tool, tool_of


def load_tools(file: Path) -> dict[str, Tool]:
    """Every `@tool` of the file, by name. The module gets a name of its own, so that two workspaces' files never meet.

    Raises:
        ConfigError: it does not import, two tools share a name, or `reversible_by` names none of them; with the line inside the file.
    """
    name = f"interlock_workspace_{sha256(str(file.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise ConfigError(
            [Fault(str(file), 1, 1, "tools", "there is no such Python file", "Create it or remove its mention.")]
        )
    module, before = importlib.util.module_from_spec(spec), sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and get_type_hints look their module up by name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as failed:  # a file that exits must not end its caller without a word
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before  # a version that still runs goes on with it
        raise ConfigError([_fault(file, failed)]) from failed
    found = _collect(vars(module).values(), file)
    faults = _missing_partners(found, file)
    if faults:
        raise ConfigError(faults)
    return found


def _collect(things: Iterable[object], file: Path) -> dict[str, Tool]:
    """Tools among `things`, by name; a name may stand for one function only."""
    found: dict[str, Tool] = {}
    for thing in things:
        made = tool_of(thing)
        if made is None:
            continue
        other = found.setdefault(made.name, made)
        if other is not made:
            hint = f"{other.function.__name__} at line {_line(other)} has it already."
            raise ConfigError([Fault(str(file), _line(made), 1, made.name, "two tools share this name", hint)])
    return found


def _missing_partners(tools: Mapping[str, Tool], file: Path) -> list[Fault]:
    """A fault for each tool that could never be undone, since what is to undo it does not exist."""
    hint = f"The tools here: {', '.join(sorted(tools))}."
    return [
        Fault(str(file), _line(made), 1, made.name, f"reversible_by names no tool: {made.reversible_by!r}", hint)
        for made in tools.values()
        if made.reversible_by and made.reversible_by not in tools
    ]


def _line(made: Tool) -> int:
    return made.function.__code__.co_firstlineno


def _fault(file: Path, failed: BaseException) -> Fault:
    kind = type(failed).__name__
    if isinstance(failed, SyntaxError):
        return Fault(str(file), failed.lineno or 1, failed.offset or 1, "tools", f"{kind}: {failed.msg}")
    here = file.resolve()
    inside = [frame for frame in traceback.extract_tb(failed.__traceback__) if Path(frame.filename).resolve() == here]
    line = (inside[-1].lineno or 1) if inside else 1
    hint = "Install the missing package into this environment." if isinstance(failed, ModuleNotFoundError) else ""
    return Fault(str(file), line, 1, "tools", f"importing it failed: {kind}: {failed}", hint)
