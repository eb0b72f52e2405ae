"""CPU of the dashboard's pages over a short and a ten times longer history of the same traffic: query, assembly, template."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from interlock.app import Interlock
from interlock.app.taskdesk import TaskDesk
from interlock.core.audit import Deed
from interlock.core.caller import Caller
from interlock.core.time import NS_PER_S, SystemClock
from interlock.server.dashboard.draw import Drawing
from interlock.server.dashboard.face import NEEDS, SPOTS
from interlock.server.dashboard.guard import Visitor
from interlock.server.dashboard.insight import Insight
from interlock.server.dashboard.reading import Pages
from interlock.storage import SqliteStore
from tests.server.dashboard_kit import TENANT, Past, long_task, workspace, write

COMMAND = "python -m bench dashboard"
DAY_NS = 86_400 * NS_PER_S
GOAL = 1.5
GROUP = 500


def history(root: Path, days: int, per_day: int, now_ns: int) -> Path:
    """A workspace with so many short tasks on each of so many days, and one long task today."""
    rng = random.Random(7)
    workspace(root)
    waiting: list[Past] = [long_task("tsk_long", now_ns - NS_PER_S * 1_000)]
    for number in range(days * per_day):
        past = Past(
            f"tsk_{number:09d}", now_ns - 2_000 * NS_PER_S - number * DAY_NS // per_day, user=f"u-{number % 50}"
        )
        past.begin()
        past.model(ms=rng.randrange(200, 2_000), failed=int(rng.random() < 0.05), escalated=rng.random() < 0.1)
        past.end(rng.choices(("resolved", "failed", "handed_to_human"), (90, 5, 5))[0])
        waiting.append(past)
        if len(waiting) == GROUP:
            write(root, *waiting)
            waiting = []
    write(root, *waiting)
    looked(root, days * per_day, now_ns)
    return root


def looked(root: Path, times: int, now_ns: int) -> None:
    """As many entries in the audit as there are tasks: somebody read each."""
    store = SqliteStore.open(root / ".interlock" / "interlock.db")
    try:
        for first in range(0, times, GROUP):
            numbers = range(first, min(first + GROUP, times))
            store.audit.append(
                [Deed(now_ns, TENANT, "u-1", "machine", "content.read", f"tsk_{number:09d}") for number in numbers]
            )
    finally:
        store.close()


async def pages_ms(root: Path, deep: int, times: int) -> dict[str, float]:
    """Median CPU in milliseconds of each page; `deep`: how many tasks lie before the last page of the list."""
    clock, drawing = SystemClock(), Drawing()
    async with Interlock.from_file(root) as il:
        pages, who = Pages(il, TaskDesk(il.agents, il.reader), clock), Visitor(Caller(TENANT, key_id="bench"), "x")
        insight = Insight(il, TaskDesk(il.agents, il.reader))
        at = (clock.wall_ns() - deep * NS_PER_S, "")
        reads: dict[str, tuple[str, Callable[[], Awaitable[Any]]]] = {
            "Home": ("home", lambda: pages.home(who.caller)),
            "Tasks, newest": ("tasks", lambda: pages.tasks(who.caller, {})),
            "Tasks, far back": ("tasks", lambda: pages.tasks(who.caller, {"at": f"{at[0]}.z"})),
            "Trace of 80 steps": ("trace", lambda: pages.trace(who.caller, "tsk_long", {})),
            "P&L, 7 days": ("pnl", lambda: pages.pnl(who.caller, {"span": "7d"})),
            "Models, 7 days": ("models", lambda: pages.models(who.caller, {"span": "7d"})),
            "Incidents": ("incidents", lambda: insight.incidents(who.caller)),
            "Audit, what nothing fits": ("audit", lambda: insight.audit(who, {"action": "key.rotated"})),
            "Approvals": ("approvals", lambda: pages.approvals(who.caller)),
            "Quality": ("quality", lambda: insight.quality(who.caller)),
            "Why, 80 steps": ("why", lambda: insight.why(who.caller, "tsk_long")),
            "Beside a good run": ("compare", lambda: insight.compare(who.caller, "tsk_long", {})),
        }
        found: dict[str, float] = {}
        for title, (name, read) in reads.items():
            samples: list[float] = []
            for _ in range(times + 1):
                gc.collect()
                before = time.process_time()
                around = {
                    "spots": SPOTS,
                    "needs": NEEDS,
                    "here": name,
                    "workspace": "bench",
                    "waiting": 0,
                    "visitor": who,
                }
                drawing.text(f"{name}.html", page=await read(), **around)
                samples.append((time.process_time() - before) * 1000)
            found[title] = statistics.median(samples[1:])
    return found


def run(quick: bool) -> list[dict[str, Any]]:
    """Each page's CPU, and its growth when the history is ten times as long."""
    per_day, days, times = (60, 8, 5) if quick else (500, 8, 21)
    now = SystemClock().wall_ns()
    with tempfile.TemporaryDirectory() as folder:
        short = history(Path(folder) / "short", days, per_day, now)
        long = history(Path(folder) / "long", 10 * days, per_day, now)
        first = asyncio.run(pages_ms(short, 7 * 86_400, times))
        last = asyncio.run(pages_ms(long, 75 * 86_400, times))
    tasks = days * per_day
    rows: list[dict[str, Any]] = []
    for title, ms in last.items():
        ratio = ms / first[title]
        growth = f"{title}: CPU over {10 * tasks:,} tasks in {10 * days} days ÷ over {tasks:,} in {days}"
        rows.append(
            {"figure": growth, "value": round(ratio, 2), "unit": "ratio", "goal": f"<= {GOAL}", "ok": ratio <= GOAL}
        )
        rows.append(
            {
                "figure": f"{title}, over {10 * tasks:,} tasks",
                "value": round(ms, 2),
                "unit": "CPU ms",
                "goal": None,
                "ok": None,
            }
        )
    return [{**row, "command": COMMAND} for row in rows]
