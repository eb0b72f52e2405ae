"""`interlock fork TASK --at STEP`: goes on from a step under another prompt or model, effects held back, and compares. Above: main. Below: app."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import console, parser, print_json, say, table, workspace_path
from .text import cell

if TYPE_CHECKING:
    from interlock.ledger.read import Trace


def options() -> argparse.ArgumentParser:
    """What `interlock fork` takes."""
    made = parser(
        "fork", "Goes on with a task from one of its steps under other terms, and shows both runs beside each other."
    )
    made.add_argument("task", metavar="TASK", help="id of a task, a beginning of one, or `last`")
    made.add_argument(
        "--at", type=int, default=1, metavar="STEP", help="decide this step anew (default: 1, the whole task)"
    )
    made.add_argument("--prompt", type=Path, metavar="FILE", help="another system prompt")
    made.add_argument("--model", default="", metavar="NAME", help="another alias, model or provider/model")
    made.add_argument("--policy", type=Path, metavar="FILE", help="another contract: limits, approvals, rules, tools")
    made.add_argument("--effects", action="store_true", help="really call tools that have an effect")
    return made


def run(arguments: Sequence[str]) -> int:
    """Prints both runs; the fork is a task of its own under WORKFLOW~fork."""
    given = options().parse_args(arguments)
    from interlock.app.reading import open_reading

    from .trace import task_of

    where = workspace_path(given.workspace)
    with open_reading(where) as reading:
        task = task_of(reading, given.task)
        trace = reading.trace(task)
        if trace is not None:
            reading.note_read(trace, "fork")
    prompt = given.prompt.read_text(encoding="utf-8") if given.prompt else None
    if not given.effects:
        say("Effects are held back: the fork reads, asks models and decides, and changes nothing outside.")
    fork = asyncio.run(_forked(where, task, given, prompt))
    with open_reading(where) as reading:
        before, after = reading.trace(task), reading.trace(fork)
    assert before is not None, "it was just forked"
    assert after is not None, "it was just made"
    rows = compared(before, after)
    if given.json:
        print_json(
            {
                "original": task,
                "fork": fork,
                "at": given.at,
                "compared": {n: {"original": a, "fork": b} for n, a, b in rows},
            }
        )
        return 0
    where_to = console()
    where_to.print(
        table(("", f"original {task[:12]}", f"fork {fork[:12]}"), [[cell(each) for each in row] for row in rows])
    )
    say(f"`interlock trace {fork}` shows the fork step by step.")
    return 0


def compared(before: Trace, after: Trace) -> list[tuple[str, Any, Any]]:
    """What differs between two runs, a row each."""
    return [
        ("outcome", before.task.outcome, after.task.outcome),
        ("answer", _answer(before), _answer(after)),
        ("calls", _calls(before), _calls(after)),
        ("cost (nano-USD, new calls)", before.task.cost_nano_usd, after.task.cost_nano_usd),
        ("input tokens", before.task.input_tokens, after.task.input_tokens),
        ("output tokens", before.task.output_tokens, after.task.output_tokens),
        ("milliseconds", round(before.task.duration_ms), round(after.task.duration_ms)),
        ("error", before.task.error, after.task.error),
    ]


def _answer(trace: Trace) -> str:
    finished = next((step for step in trace.steps if step.type == "finished"), None)
    return str((finished.content or {}).get("answer", "")) if finished else ""


def _calls(trace: Trace) -> str:
    return " → ".join(step.call.name for step in trace.steps if step.call)


async def _forked(where: Path, task: str, given: argparse.Namespace, prompt: str | None) -> str:
    from msgspec.structs import replace

    from interlock.agents.contract import Contract
    from interlock.app import Interlock

    async with Interlock.from_file(where) as il:

        def change(contract: Contract) -> Contract:
            if given.policy is not None:
                contract = replace(il.tasking.contract_from(given.policy), workflow=contract.workflow)
            said = contract.prompt if prompt is None else prompt
            return replace(contract, prompt=said, model=given.model or contract.model)

        return (await il.agents.again.fork(task, given.at, change, effects=given.effects)).task
