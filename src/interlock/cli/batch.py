"""Running a file of inputs: progress while it runs, an orderly stop, the summary at its end.

Above: `run`. Below: app. The first ctrl-C lets every task finish the step it is at; the second one does not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path

from msgspec import Struct
from rich.console import RenderableType

from interlock.agents.batch import Done
from interlock.app import Interlock
from interlock.app.reading import Reading, open_reading
from interlock.core.store import TaskFilter
from interlock.core.time import Clock
from interlock.ledger.read import TaskSummary

from . import lines, statement, summary, trouble
from .earned import statement_of
from .inorder import InOrder
from .main import INTERRUPTED, NOT_ALL_WELL, OK
from .options import console, say
from .palette import BAD_ENDS, words
from .progress import Shown, showing
from .scoring import verdict
from .text import plural
from .warming import warmed

BUSY = "another worker"
EXPLAINED = 300
"""Escalated tasks whose reasons are looked up for the summary."""


class Job(Struct, frozen=True):
    """How a file is to be run."""

    workflow: str
    model: str
    concurrency: int
    priority: int
    as_json: bool
    fresh: bool
    demo: bool
    command: str
    """The command that goes on with it."""
    of_workspace: str
    """The option that names the workspace, where it was needed."""


class Tally(Struct):
    """What this run did."""

    bad: list[Done]
    ended: int = 0
    before: int = 0
    busy: int = 0
    wall_s: float = 0.0
    stopped: bool = False


async def run(il: Interlock, inputs: lines.Input, job: Job, clock: Clock) -> int:
    """The whole of it; returns the exit code."""
    root = il.workspace.root
    with open_reading(root) as reading:
        name = lines.name_of(reading, inputs.path, job.workflow, job.model, fresh=job.fresh)
    async with il:
        introduce(il, inputs, job, await warmed(il, job.workflow))
        tally = await work(il, inputs, job, name, clock)
    aside = set_aside(inputs.path, tally.bad)
    if tally.busy:
        say(f"remark: another process works on {plural(tally.busy, 'line')} of this file; they are not counted here")
    with open_reading(root) as reading:
        rows = [row for row in reading.tasks(TaskFilter(batch=name, limit=sys.maxsize)) if row.status != "running"]
        told = batch_of(reading, inputs, job, rows, tally, aside)
        drawn = money(reading, job, inputs, rows)
    summary.draw(console(stderr=job.as_json), told, None if tally.stopped else drawn, hints(told, job))
    if tally.stopped:
        say(
            f"\nstopped: {plural(len(told.tasks), 'task')} of {inputs.count} done; this goes on with the rest:\n  {job.command}"
        )
        return INTERRUPTED
    well = not (tally.bad or told.troubles or any(each.outcome in BAD_ENDS for each in told.tasks))
    return OK if well or job.demo else NOT_ALL_WELL


def money(reading: Reading, job: Job, inputs: lines.Input, rows: Sequence[TaskSummary]) -> RenderableType | None:
    """The statement of this run; in a demo the store holds nothing else, so it is the whole one with all its lines."""
    if job.demo:
        return statement.draw(reading.pnl(workflow=job.workflow)[0], whole=False)
    agent = reading.workspace.agent(job.workflow)
    made = statement_of(rows, agent.contract.value, job.workflow, agent.p95_latency_slo_ms)
    return statement.draw(made, title=f"Token P&L · {job.workflow} · {inputs.path.name}", whole=False) if rows else None


async def work(il: Interlock, inputs: lines.Input, job: Job, name: str, clock: Clock) -> Tally:
    """Runs the lines; returns when they are done or when it was told to stop and every task has been let go."""
    tally, began_s, ordered = Tally([]), clock.monotonic_s(), InOrder()
    made = il.run_batch(
        job.workflow,
        ordered.reading(inputs.lines()),
        concurrency=job.concurrency,
        batch=name,
        priority=job.priority,
    )
    with stopping(il):
        try:
            async with showing(inputs.count, clock) as shown:
                async for done in made:
                    note(tally, done, shown)
                    if job.as_json:
                        ordered.add(done)
        except asyncio.CancelledError:
            if not il.agents.stopping:
                raise
        finally:
            if isinstance(made, AsyncGenerator):
                await made.aclose()
            if job.as_json:
                ordered.finish()
    tally.wall_s = clock.monotonic_s() - began_s
    tally.stopped = il.agents.stopping
    return tally


def note(tally: Tally, done: Done, shown: Shown) -> None:
    """Counts one line."""
    result = done.result
    if result is None:
        if done.fault.startswith(BUSY):
            tally.busy += 1
        else:
            tally.bad.append(done)
        shown.add("rejected")
        return
    shown.add(result.outcome)
    if done.before:
        tally.before += 1
        return
    tally.ended += 1


@contextlib.contextmanager
def stopping(il: Interlock) -> Generator[None]:
    """ctrl-C and SIGTERM end the run in order; a second one cancels what is under way."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def on_signal() -> None:
        if il.agents.stopping:
            task.cancel()
            return
        il.agents.stop()
        say("\nstopping: each task finishes the step it is at; ctrl-C again does not wait")

    signals = (signal.SIGINT, signal.SIGTERM)
    try:
        for each in signals:
            loop.add_signal_handler(each, on_signal)
    except (NotImplementedError, ValueError, RuntimeError):  # no such thing on this platform, or not the main thread
        yield
        return
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


def introduce(il: Interlock, inputs: lines.Input, job: Job, promise: str) -> None:
    """What is about to happen; a demo says more."""
    for warning in il.warnings:
        say(f"remark: {warning}")
    if not job.demo:
        say(f"{plural(inputs.count, 'line')} of {inputs.path} through {job.workflow}")
        return
    agent = il.workspace.agent(job.workflow)
    contract = agent.contract
    asking = [tool.name for tool in contract.tools if tool.requires_human_approval is not False]
    say(
        f"Interlock: {plural(inputs.count, 'task')} from {inputs.path.name} through the agent `{job.workflow}` of {il.workspace.name}."
    )
    if promise:
        say(f"  on this machine  {promise}")
    if contract.flows:
        say(
            f"  flows            {len(contract.flows)} intents are handled by declared steps, {len(agent.articles)} articles are cited; no model is called"
        )
    if asking:
        say(f"  a person         decides on {', '.join(asking)} where the contract says so")
    if il.simulated(job.workflow):
        say("  models           everything else meets SIMULATED models: labelled, free, and never a success")
    say("")


def hints(told: summary.Batch, job: Job) -> list[tuple[str, str]]:
    """Commands worth trying after this run."""
    of = job.of_workspace
    found: list[tuple[str, str]] = []
    ids = summary.short_ids(told.tasks)
    for outcome in ("resolved", "handed_to_human", "simulated", "failed"):
        one = next((each for each in told.tasks if each.outcome == outcome), None)
        if one is not None:
            found.append((f"interlock trace {ids[one.task]}{of}", f"why one was {words(outcome)}"))
        if len(found) == (2 if job.demo else 1):
            break
    if any(each.outcome == "waiting_approval" for each in told.tasks):
        found.append((f"interlock approve{of}", "decide what waits for a person"))
    if told.tasks:
        found.append((f"interlock pnl{of}", "the whole statement"))
    if told.done_before == len(told.tasks) and told.tasks:
        found.append((f"{job.command} --fresh", "run all lines anew"))
    return found


def set_aside(path: Path, bad: list[Done]) -> Path | None:
    """Reports bad lines and keeps them beside the file."""
    if not bad:
        return None
    lines.report(bad)
    return lines.keep_aside(path, bad)


def batch_of(
    reading: Reading, inputs: lines.Input, job: Job, rows: Sequence[TaskSummary], tally: Tally, aside: Path | None
) -> summary.Batch:
    """The whole batch out of the store, what earlier runs did included."""
    escalated = [row.task for row in rows if row.escalations][:EXPLAINED]
    wrong = summary.WRONG_SHOWN
    tasks: list[summary.Ended] = []
    for row in sorted(rows, key=lambda each: each.line):
        expected = inputs.expected.get(row.line)
        said = verdict(expected, row.outcome, row.success) if expected else None
        why = ""
        if said == "wrong" and wrong:
            wrong, why = wrong - 1, judged(reading, row)
        tasks.append(summary.ended(row, said, why))
    return summary.Batch(
        workflow=job.workflow,
        tasks=tuple(tasks),
        wall_s=tally.wall_s,
        done_before=tally.before,
        rejected=len(tally.bad),
        rejected_file=str(aside or ""),
        reasons=dict(reasons(reading, escalated).most_common()),
        explained=len(escalated),
        troubles=advised(reading, job, rows),
    )


def advised(reading: Reading, job: Job, rows: Sequence[TaskSummary]) -> tuple[str, ...]:
    """What to do about models that could not answer."""
    found = trouble.troubles(row.message for row in rows)
    name = job.model or reading.workspace.agent(job.workflow).model
    return tuple(trouble.advice(reading.workspace, name, found))


def judged(reading: Reading, row: TaskSummary) -> str:
    """What the label says against a task."""
    trace = reading.trace(row.task)
    notes = [step.detail.get("note", "") for step in trace.steps if step.type == "outcome_seen"] if trace else []
    return str(notes[-1]).removeprefix("not as expected: ") if notes else f"it is {row.outcome}"


def reasons(reading: Reading, tasks: list[str]) -> Counter[str]:
    """Why tasks were escalated: each rule without the values that it saw."""
    counts: Counter[str] = Counter()
    for task in tasks:
        trace = reading.trace(task)
        for step in trace.steps if trace else ():
            if step.detail.get("name") == "left_flow":
                counts["from this machine to a model"] += 1
            for escalation in step.call.escalations if step.call else ():
                counts[escalation.reason.split(" (", 1)[0]] += 1
    return counts
