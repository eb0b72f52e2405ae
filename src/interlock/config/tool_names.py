"""The tools that a `tools.py` defines, read without running it: for findings before a task is run. Above: checks. Below: ast.

Only what can be read off is told: functions decorated with `@tool`, `@tool(...)` or `@anything.tool(...)`, under the name that the
decorator is given as a literal, else the function's own. A file that makes its tools in another way gives `None`: nothing is claimed.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .schema import Settings

PINS = "mcp.lock.json"
"""Beside interlock.yaml; written by `interlock mcp pin`."""
_CONTEXT = frozenset(("self", "ctx", "context"))


def syntax_error(source: str) -> SyntaxError | None:
    """Why the file is no Python, if it is none; the file is not run."""
    try:
        ast.parse(source)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError):
        return None  # what cannot be told from outside is left to the run
    return None


def declared_tools(source: str) -> Mapping[str, tuple[str, ...]] | None:
    """Names of the parameters of each tool by the tool's name; `None` when the file cannot be told from outside."""
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: dict[str, tuple[str, ...]] = {}
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if _called(decorator) == "tool":
                    name = _given_name(decorator, node.name)
                    if name is None:
                        return None
                    found[name] = _parameters(node)
    return found or None


def built_in_tools(settings: Settings, agents: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """Parameters by name of the tools that nobody has to define. `agents`: the inputs of each contract."""
    found = {f"sql.{name}": ("sql",) for name in settings.databases}
    found |= {"code.run": ("code",), "shell.run": ("command",)}
    found |= {"task.sleep": ("seconds",), "task.wait": ("name", "timeout_s")}
    found |= {"session.get": ("name",), "session.put": ("name", "value")}
    found |= {f"agent.{name}": inputs for name, inputs in agents.items()}
    if settings.egress.allow:
        found["web.fetch"] = ("url",)
    return found


def pinned_tools(settings: Settings, root: Path) -> Mapping[str, tuple[str, ...]]:
    """Parameters by name of the MCP servers' tools that are pinned; none where the file is missing or torn, which is said when tools are loaded."""
    try:
        pins: Any = json.loads((root / PINS).read_text(encoding="utf-8"))
        return {
            f"{server}.{tool}": tuple(pins[server][tool]["schema"].get("properties", {}))
            for server, said in settings.mcp.servers.items()
            for tool in pins.get(server, {})
            if not said.tools or tool in said.tools
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _called(decorator: ast.expr) -> str:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _given_name(decorator: ast.expr, otherwise: str) -> str | None:
    if not isinstance(decorator, ast.Call):
        return otherwise
    named = [keyword.value for keyword in decorator.keywords if keyword.arg == "name"]
    given = decorator.args[0] if decorator.args else named[0] if named else None
    if given is None:
        return otherwise
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, ...]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return tuple(each.arg for each in every if each.arg not in _CONTEXT)
