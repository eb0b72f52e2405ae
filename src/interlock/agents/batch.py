"""Many tasks from many lines: bounded, resumable, and no line can stop the others.

Above: `app`, the command line. Below: `service`, `lines`. A line that an earlier run finished is passed over, one that it began is
resumed; both are found by the batch's name and the line's number.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from msgspec import Struct

from interlock.core.errors import Fenced, InvalidRequest, Shed

from .lines import Line, batch_name, read_lines
from .result import TaskResult
from .service import Agents

__all__ = ["Done", "Line", "batch_name", "read_lines", "run_batch"]


class Done(Struct, frozen=True):
    """What became of one line."""

    line: Line
    result: TaskResult | None
    """`None` for a line that could not be used, and for one that another worker has."""
    fault: str = ""
    before: bool = False
    """An earlier run had finished it; nothing was done now."""


async def run_batch(
    agents: Agents, workflow: str, lines: Iterable[Line], *, concurrency: int = 8, batch: str = "", priority: int = 0
) -> AsyncIterator[Done]:
    """What became of each line, as they end. At most `concurrency` tasks run at once, and no more lines are read than that.

    After `agents.stop()` no new line is begun, those under way are let go at their next step, and the iterator ends. An empty
    `batch` makes every line a new task.

    Raises:
        InvalidRequest: there is no such workflow. StoreUnavailable, LedgerFull: nothing can be recorded; a rerun resumes.
    """
    agents.contract(workflow)
    source = iter(lines)
    running: set[asyncio.Task[Done | None]] = set()
    try:
        while True:
            while len(running) < concurrency and not agents.stopping:
                line = next(source, None)
                if line is None:
                    break
                running.add(asyncio.ensure_future(_one(agents, workflow, line, batch, priority)))
            if not running:
                return
            ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            failed = [error for task in ended if (error := task.exception())]
            if failed:
                raise failed[0]  # the others say the same, and all have been heard
            for task in ended:
                done = task.result()
                if done is not None:
                    yield done
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _one(agents: Agents, workflow: str, line: Line, batch: str, priority: int) -> Done | None:
    """One line, new or again; `None` when the process is ending and the task was let go."""
    if line.fault:
        return Done(line, None, line.fault)
    try:
        known = await agents.find(batch, line.number) if batch else None
        if known is None:
            ran = agents.run(
                workflow, line.given, batch=batch, line=line.number, expected=line.expected, priority=priority
            )
            return Done(line, await ran)
        result = await agents.resume(known.id, expected=line.expected)
        fault = "" if result else f"another worker has task {known.id}"
        return Done(line, result, fault, before=known.status == "finished")
    except InvalidRequest as wrong:
        return Done(line, None, str(wrong))
    except Fenced:
        return Done(line, None, "another worker took the task over")
    except Shed:
        return None
