"""`interlock run WORKFLOW`: tasks from a file or one from the command line. Above: main. Below: app.

The order of things: what was given, whether its models can be reached, the run with its progress, the summary. `batch` runs files.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.config.names import nearest
from interlock.core.time import SystemClock

from .given import STDIN, from_stdin, one_input, options
from .options import console, millis, print_json, say, workspace_path
from .palette import ACCENT, BAD_ENDS, DIM, OUTCOMES, words
from .text import cell, clean, money, plural

if TYPE_CHECKING:
    from interlock.agents.result import TaskResult
    from interlock.config.workspace import Workspace

__all__ = ["options", "run"]


def run(arguments: Sequence[str]) -> int:
    """0 when every task came to a good end or waits for a person, 1 when some did not, 130 when it was stopped."""
    made = options()
    given = made.parse_intermixed_args(arguments)
    single = given.text is not None or bool(given.values)
    if given.input is not None and single:
        made.error("either --input FILE or one input, not both")
    root = workspace_path(given.workspace)
    from interlock.config.load import load

    workspace = load(root)
    if not given.workflow:
        made.error(f"which workflow? {nearest('', list(workspace.agents))}")
    agent = workspace.agent(given.workflow)
    if given.input is None and not single:
        fields = ", ".join(f"{name}{'' if each.required else '?'}" for name, each in agent.contract.inputs.items())
        made.error(f"nothing to run: give --input FILE, --text TEXT or key=value; {given.workflow} takes {fields}")
    if given.live and not single:
        made.error("--live shows one task: give one input, not a file")
    if not single:
        if given.input == STDIN:
            given.input = from_stdin(workspace.store.parent / "stdin")
        return run_file(given, workspace)
    values = one_input(given.text, given.values, agent.contract.inputs)
    result = asyncio.run(run_one(given, workspace, values))
    code = show(result, given)
    from . import trouble

    found = trouble.advice(
        workspace, given.model or agent.model, trouble.troubles([result.error or ""]), again="run it again"
    )
    for said in found:
        say(said)
    return 1 if found else code


async def run_one(given: argparse.Namespace, workspace: Workspace, values: dict[str, Any]) -> TaskResult:
    """One task from the command line."""
    from interlock.app import Interlock

    from .live import Shown
    from .reach import check
    from .warming import announced, warmed

    await check(workspace, given.workflow, given.model)
    async with Interlock(workspace, model=given.model) as il:
        for warning in il.warnings:
            say(f"remark: {warning}")
        await warmed(il, given.workflow)
        if given.live:
            shown = Shown(console(stderr=True))
            try:
                return await il.run(given.workflow, values, priority=given.priority, hears=shown.hear)
            finally:
                shown.end()
        return await announced(
            il.run(given.workflow, values, priority=given.priority), "the task is at work; ctrl-C stops waiting for it"
        )


def run_file(given: argparse.Namespace, workspace: Workspace) -> int:
    """A batch, with an empty store first where it is a demo."""
    from interlock.app import Interlock

    from . import batch, lines, reach

    inputs = lines.look_through(given.input, given.limit)
    if ignored := lines.left_out(inputs, workspace.agent(given.workflow).contract.inputs):
        say(f"remark: {ignored}")
    clock = SystemClock()
    if given.demo:
        set_store_aside(workspace)
    asyncio.run(reach.check(workspace, given.workflow, given.model))
    il = Interlock(workspace, model=given.model)
    job = batch.Job(
        workflow=given.workflow,
        model=given.model,
        concurrency=given.concurrency,
        priority=given.priority,
        as_json=given.json,
        fresh=given.fresh,
        demo=given.demo,
        command=command_of(given),
        of_workspace=of_workspace(given.workspace),
    )
    return asyncio.run(batch.run(il, inputs, job, clock))


def set_store_aside(workspace: Workspace) -> None:
    """An empty store for a demo."""
    from .demo import fresh_store

    aside = fresh_store(workspace.root.resolve(), workspace.store.resolve(), SystemClock())
    if aside is not None:
        say(f"remark: the store that was here is now in {aside}")


def command_of(given: argparse.Namespace) -> str:
    """The command that goes on with this run: the same one, without what would begin it anew."""
    words = ["interlock", "run", given.workflow, "--input", str(given.input)]
    for name in ("workspace", "model", "limit", "priority"):
        value = getattr(given, name)
        if value:
            words += [f"--{name}", str(value)]
    return shlex.join([*words, *(["--json"] if given.json else [])])


def show(result: TaskResult, given: argparse.Namespace) -> int:
    """One task's result."""
    code = 1 if result.outcome in BAD_ENDS else 0
    if given.json:
        print_json(result)
        return code
    where = console()
    where.print(cell(f"{words(result.outcome)}", f"{ACCENT} {OUTCOMES.get(result.outcome, '')}"))
    if result.answer is not None:
        where.print()
        where.print(clean(result.answer if isinstance(result.answer, str) else pretty(result.answer)), soft_wrap=True)
        where.print()
    if result.citations:
        where.print(cell(f"cites {', '.join(result.citations)}", DIM))
    if result.error:
        where.print(cell(result.error, OUTCOMES.get(result.outcome, "")))
    told = [
        f"tier {result.tier}" if result.tier else "",
        plural(result.steps, "step"),
        millis(result.duration_ms * 1000),
    ]
    where.print(cell(" · ".join([*filter(None, told), money(result.cost_nano_usd)]), DIM))
    if result.outcome == "simulated":
        say(
            "a simulated model answered: the text is a placeholder; `--model openai/gpt-4o-mini` or another real one answers"
        )
    say(f"next: interlock trace {result.task}{of_workspace(given.workspace)}")
    if result.outcome == "waiting_approval":
        say(f"      interlock approve {result.task}{of_workspace(given.workspace)}")
    return code


def of_workspace(path: Path | None) -> str:
    """The option that names the workspace again, where it was needed."""
    return f" --workspace {shlex.quote(str(path))}" if path else ""


def pretty(value: Any) -> str:
    """A JSON value over several lines."""
    from msgspec import json

    return json.format(json.encode(value), indent=2).decode()
