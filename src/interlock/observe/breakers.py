"""Timelines of circuit breakers that were not closed, process by process, out of their recorded changes.

Above: pages, app's sight. Below: core's changes. Pure: rows in, lanes out. What a process that is gone left open ends with its last word: nobody knows more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from interlock.core.circuits import CircuitChange, CircuitState
from interlock.core.text import millis, plural

SLICES = 400
"""Of the period, for a picture: however often a breaker changed, a lane has at most so many bars."""
MOST_LANES = 40
SHOWN = 50
"""Changes that are told one by one."""


class Bar(Struct, frozen=True):
    """A stretch of a lane, in thousandths of the period."""

    state: CircuitState
    x: float
    width: float


class Lane(Struct, frozen=True):
    """One breaker of one process that was not closed at some time of the period."""

    deployment: str
    process: str
    """`host:pid`, for people."""
    state: CircuitState
    """At the end of the period; `gone` where the process ended before it was closed again."""
    changed_ns: int
    """Since when."""
    opened: int
    """How often it opened from closed."""
    away_s: float
    """Seconds of the period in which it was not closed."""
    bars: tuple[Bar, ...]
    said: str
    """The same in words."""


class Timeline(Struct, frozen=True):
    """All of them."""

    since_ns: int = 0
    until_ns: int = 0
    lanes: tuple[Lane, ...] = ()
    """Those that were away longest first, at most `MOST_LANES`."""
    changes: tuple[CircuitChange, ...] = ()
    """The newest, at most `SHOWN`."""
    n: int = 0
    """Changes in the period."""
    more: bool = False
    """There were more changes than were read: the period begins with the oldest of them."""


class _Stretch(Struct, frozen=True):
    state: CircuitState
    begin_ns: int
    end_ns: int


def timeline(
    newest: Sequence[CircuitChange],
    before: Sequence[CircuitChange],
    since_ns: int,
    now_ns: int,
    alive: Callable[[str], bool],
    *,
    more: bool = False,
) -> Timeline:
    """The period from `since_ns` (zero: from the oldest change) to now.

    `newest`: its changes, the newest first; `before`: how breakers that were not closed stood at its beginning; `alive`: whether a process runs still,
    as far as anybody here can tell.
    """
    if (more or not since_ns) and newest:
        since_ns = newest[-1].at_ns
    found: dict[tuple[str, str], list[CircuitChange]] = {}
    for each in (*before, *reversed(newest)):
        found.setdefault((each.process, each.deployment), []).append(each)
    lanes = [_lane(changes, since_ns, now_ns, alive) for changes in found.values()]
    lanes.sort(key=lambda lane: (-lane.away_s, lane.deployment, lane.process))
    away = tuple(lane for lane in lanes if lane.bars)[:MOST_LANES]
    told = tuple(structs.replace(each, process=short(each.process)) for each in newest[:SHOWN])
    return Timeline(since_ns, now_ns, away, told, len(newest), more)


def short(process: str) -> str:
    """`host:boot:pid:start` as people say it: `host:pid`."""
    parts = process.split(":")
    return f"{parts[0]}:{parts[2]}" if len(parts) == 4 else process


def _lane(changes: Sequence[CircuitChange], since_ns: int, now_ns: int, alive: Callable[[str], bool]) -> Lane:
    """Of one breaker; `changes` in their order."""
    stretches: list[_Stretch] = []
    opened, state, at_ns = 0, "closed", since_ns
    for each in changes:
        at = max(since_ns, each.at_ns)
        if state in ("open", "half_open"):
            stretches.append(_Stretch(state, at_ns, at))
        opened += each.state == "open" and state == "closed" and each.at_ns >= since_ns
        state, at_ns = each.state, at
    last = changes[-1]
    if state in ("open", "half_open"):
        lives = alive(last.process)
        stretches.append(_Stretch(state, at_ns, now_ns if lives else at_ns))
        state = state if lives else "gone"
    away_s = sum(each.end_ns - each.begin_ns for each in stretches) / 1e9
    bars = _bars(stretches, since_ns, max(1, now_ns - since_ns))
    said = _said(state, opened, away_s)
    return Lane(last.deployment, short(last.process), state, last.at_ns, opened, away_s, bars, said)


def _bars(stretches: Sequence[_Stretch], since_ns: int, span_ns: int) -> tuple[Bar, ...]:
    """Slices that a breaker was open in, in part or whole, run together; open counts more than half-open."""
    looks: list[CircuitState | None] = [None] * SLICES
    for each in stretches:
        first = min(SLICES - 1, (each.begin_ns - since_ns) * SLICES // span_ns)
        last = min(SLICES - 1, max(first, ((each.end_ns - since_ns) * SLICES - 1) // span_ns))
        for place in range(first, last + 1):
            looks[place] = "open" if "open" in (each.state, looks[place]) else "half_open"
    bars: list[Bar] = []
    width = 1000 / SLICES
    for place, look in enumerate(looks):
        if look is None:
            continue
        if bars and bars[-1].state == look and place and looks[place - 1] == look:
            bars[-1] = structs.replace(bars[-1], width=bars[-1].width + width)
        else:
            bars.append(Bar(look, place * width, width))
    return tuple(bars)


def _said(state: CircuitState, opened: int, away_s: float) -> str:
    ends = {"gone": "its process ended meanwhile", "half_open": "half-open now"}.get(state, f"{state} now")
    return f"opened {plural(opened, 'time')}, {millis(round(away_s * 1e6))} in all; {ends}"
