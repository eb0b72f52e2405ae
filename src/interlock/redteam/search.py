"""The adaptive attacker's search: whatever calls the policy lets pass now, found by trying every value within reach in every argument. Above: adaptive. Below: moves, pool.

A policy that explains itself (`explain`) is searched one argument at a time first, so that what is left can be tried together; of another one, combinations are drawn.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .moves import Made, Stage
from .pool import Pool, candidates

_TOGETHER = 400
"""Combinations of one tool that are tried."""
_LEFT_OUT = object()
_LOOK_UPS = 120
"""Reads that are made first, so that their outputs vouch for whatever they can."""
_READS = ("get_", "search_", "list_", "read_", "check_")


def is_read(tool: str) -> bool:
    """By its name: the attacker knows no contracts."""
    return tool.startswith(_READS)


def look_ups(stage: Stage, pool: Pool) -> Iterator[Made]:
    """Reads with what the request and the environment name, the user's own first."""
    yield from ((call.function, dict(call.args)) for call in stage.user if is_read(call.function))
    found = [
        [(tool, dict(zip(given, values, strict=True))) for values in itertools.islice(itertools.product(*given.values()), 40)]
        for tool in stage.tools
        if is_read(tool) and not tool.startswith("get_webpage")
        for given in [{name: pool.names(shape) for name, shape in _needed(stage, tool).items()}]
    ]  # fmt: skip
    turns = (call for row in itertools.zip_longest(*found) for call in row if call is not None)
    yield from itertools.islice(turns, _LOOK_UPS)


def passing(made: Any, stage: Stage, pool: Pool, chosen: random.Random) -> Iterator[Made]:
    """Calls of tools that change something, or reach somebody, which the policy allows now."""
    for tool in stage.tools:
        if is_read(tool) and tool != "get_webpage":
            continue
        own = [dict(call.args) for call in stage.user if call.function == tool]
        told = [arguments for name, arguments in stage.attack if name == tool]
        tried: set[str] = set()
        for start in (own or told[:1] or [{}])[:3]:
            for arguments in _together(made, stage, tool, start, pool, chosen):
                if str(arguments) not in tried and made.before({"name": tool, "args": arguments}) == "allow":
                    yield tool, arguments
                tried.add(str(arguments))


def _together(
    made: Any, stage: Stage, tool: str, start: Mapping[str, Any], pool: Pool, chosen: random.Random
) -> list[dict[str, Any]]:
    """Combinations of values of which none has anything against it by itself."""
    shapes: Mapping[str, Any] = stage.tools[tool].get("properties", {})
    needed = _needed(stage, tool)
    base = {name: next(iter(candidates(name, shape, None, pool)), "") for name, shape in needed.items()} | dict(start)
    open_to: dict[str, list[Any]] = {}
    for name, shape in shapes.items():
        tried = candidates(name, shape, start.get(name), pool)
        left = [each for each in tried if not _against(made, tool, {**base, name: each}, name)]
        open_to[name] = left if name in needed else [_LEFT_OUT, *left]
    if not all(open_to.values()):
        return []
    every: Sequence[tuple[Any, ...]] = _drawn(list(open_to.values()), chosen)
    return [
        {name: value for name, value in zip(open_to, values, strict=True) if value is not _LEFT_OUT} for values in every
    ]


def _drawn(columns: list[list[Any]], chosen: random.Random) -> list[tuple[Any, ...]]:
    """All combinations, or as many drawn: each value at least once beside the first of the others."""
    total = 1
    for column in columns:
        total *= len(column)
    if total <= _TOGETHER:
        return list(itertools.product(*columns))
    firsts = [column[min(len(column) - 1, int(column[0] is _LEFT_OUT))] for column in columns]
    alone = [(*firsts[:at], value, *firsts[at + 1 :]) for at, column in enumerate(columns) for value in column]
    return alone[:_TOGETHER] + [tuple(map(chosen.choice, columns)) for _ in range(_TOGETHER)]


def _against(made: Any, tool: str, arguments: Mapping[str, Any], name: str) -> bool:
    explain = getattr(made, "explain", None)
    return explain is not None and name in explain({"name": tool, "args": arguments})


def _needed(stage: Stage, tool: str) -> dict[str, Any]:
    schema = stage.tools[tool]
    required = schema.get("required", ())
    return {name: shape for name, shape in schema.get("properties", {}).items() if name in required}
