"""`interlock approve`: what waits for a person, and that person's decision. Above: main. Below: app; `tree` draws what was done so far."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from interlock.core.errors import InvalidRequest, ToolArgumentsInvalid

from .options import console, parser, print_json, say, workspace_path
from .text import plural

if TYPE_CHECKING:
    from .asking import Waiting

Decision = Literal["approve", "edit", "deny", "done", "redo", "skip", "compensate"]


RULINGS = ("done", "redo", "skip", "compensate")


def options() -> argparse.ArgumentParser:
    """What `interlock approve` takes."""
    made = parser("approve", "Lists what waits for a person, or decides it and goes on with the task.")
    made.add_argument(
        "task", nargs="?", metavar="TASK", help="id of a task or a unique beginning of one; without it: list"
    )
    made.add_argument("--step", type=int, metavar="N", help="which question, where a task asks several")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--yes", dest="decision", action="store_const", const="approve", help="let it do that")
    which.add_argument("--deny", dest="decision", action="store_const", const="deny", help="do not let it")
    which.add_argument(
        "--edit", metavar="JSON", help="let it do that with these arguments instead of those it asked for"
    )
    which.add_argument("--done", dest="decision", action="store_const", const="done", help="in doubt: it did happen")
    which.add_argument("--redo", dest="decision", action="store_const", const="redo", help="in doubt: do it again")
    which.add_argument("--skip", dest="decision", action="store_const", const="skip", help="in doubt: leave it undone")
    which.add_argument(
        "--compensate", dest="decision", action="store_const", const="compensate", help="in doubt: have it undone"
    )
    made.add_argument("--result", metavar="JSON", help="with --done: what the call returned, as far as you know")
    made.add_argument("--who", default="", metavar="NAME", help="who decides, for the log (default: the login name)")
    made.add_argument("--note", default="", metavar="TEXT", help="why, for the log")
    made.add_argument("--no-resume", action="store_true", help="record the decision only; another worker goes on")
    return made


def run(arguments: Sequence[str]) -> int:
    """Lists, or decides and prints the task's result as `interlock run` does."""
    made = options()
    given = made.parse_args(arguments)
    deciding = given.decision or given.edit is not None
    if deciding and not given.task:
        made.error("name the task that is decided on; `interlock approve` lists what waits")
    from interlock.app.reading import open_reading

    from . import asking
    from .trace import task_of

    with open_reading(workspace_path(given.workspace)) as reading:
        task = task_of(reading, given.task) if given.task else ""
        found = asking.waiting(reading, task)
        if task and not found:
            raise InvalidRequest(f"task {task} waits for nobody", hint="`interlock approve` lists what does.")
        if not deciding:
            return listed(given, found)
    chosen = one_of(found, given.step, doubt=given.decision in RULINGS)
    return decide(given, chosen, given.decision or "edit", edited(given.edit, chosen))


def listed(given: argparse.Namespace, found: Sequence[Waiting]) -> int:
    """What waits; of one task on a terminal, with the question what to do."""
    from . import asking

    if given.json:
        print_json(found)
        return 0
    if not found:
        say("nothing waits for a person")
        return 0
    where = console()
    for each in found:
        where.print(asking.drawn(each, of(given)))
        where.print()
    if given.task and len(found) == 1 and sys.stdin.isatty() and sys.stdout.isatty():
        decision, arguments = asked(found[0])
        return decide(given, found[0], decision, arguments) if decision else 0
    say(
        f"{plural(len({each.task for each in found}), 'task')} waiting; decide with `interlock approve TASK --yes`, --deny or --edit JSON"
    )
    return 0


def asked(question: Waiting) -> tuple[Decision | None, dict[str, Any] | None]:
    """The decision of whoever sits at the terminal; none when they leave it open."""
    choices: dict[str, Decision] = (
        {"y": "approve", "n": "deny"}
        if question.kind == "approval"
        else {"done": "done", "redo": "redo", "skip": "skip", "undo": "compensate"}
    )
    told = (
        "y = let it, n = deny"
        if question.kind == "approval"
        else "done = it did happen, redo = do it again, skip = leave it, undo = have it undone"
    )
    try:
        answer = input(f"{told}, enter = leave it open: ").strip().lower()
    except EOFError:
        answer = ""
    if answer not in choices:
        say("left open")
        return None, None
    return choices[answer], None


def one_of(found: Sequence[Waiting], step: int | None, *, doubt: bool) -> Waiting:
    """The question that is meant.

    Raises:
        InvalidRequest: there are several, or none of that kind or at that step.
    """
    fitting = [each for each in found if (each.kind == "doubt") == doubt and step in (None, each.step)]
    if len(fitting) == 1:
        return fitting[0]
    steps = ", ".join(f"{each.step} ({each.kind} of {each.tool})" for each in found)
    if fitting:
        raise InvalidRequest("the task asks several things", hint=f"Name one with --step: {steps}.")
    how = (
        "--done, --redo, --skip and --compensate are for calls in doubt"
        if doubt
        else "--yes, --deny and --edit are for approvals"
    )
    raise InvalidRequest(f"the task does not ask that; {how}", hint=f"It asks at step {steps}.")


def edited(text: str | None, question: Waiting) -> dict[str, Any] | None:
    """The arguments to call the tool with: those it asked for, with the given ones put in their place."""
    if text is None:
        return None
    changes = value_of(text, "--edit", '{"amount_usd": 40}')
    if not isinstance(changes, dict):
        raise InvalidRequest("--edit: expected a JSON object", hint="""E.g. --edit '{"amount_usd": 40}'.""")
    before = question.arguments
    return {**cast("dict[str, Any]", before if isinstance(before, dict) else {}), **changes}


def value_of(text: str, option: str, example: str) -> Any:
    """JSON that was given with an option. Raises InvalidRequest."""
    from msgspec import DecodeError, json

    try:
        return json.decode(text)
    except DecodeError as invalid:
        raise InvalidRequest(f"{option}: not JSON: {invalid}", hint=f"E.g. {option} '{example}'.") from None


def decide(
    given: argparse.Namespace, question: Waiting, decision: Decision, arguments: Mapping[str, Any] | None
) -> int:
    """Records the decision and goes on with the task."""
    from .run import show

    result = asyncio.run(act(given, question, decision, arguments))
    if result is not None:
        return show(result, given)
    if given.json:
        print_json({"task": question.task, "step": question.step, "decision": decision})
    if not given.no_resume:
        say("recorded; another worker has the task and goes on with it")
    else:
        say("recorded; the task goes on with the next `interlock approve`, or in the process that works it off")
    return 0


async def act(
    given: argparse.Namespace, question: Waiting, decision: Decision, arguments: Mapping[str, Any] | None
) -> Any:
    """The decision as a signal, then the task as far as it gets."""
    from interlock.app import Interlock
    from interlock.app.auditing import login
    from interlock.core.caller import Caller

    who = given.who or login()
    async with Interlock.from_file(workspace_path(given.workspace)) as il:
        at_hand = Caller(il.workspace.settings.tenant, key_id=f"os:{login()}")
        target = f"{question.task}/{question.step}"
        await il.auditing.note(at_hand, "admin", "approval.decided", target, f"{decision} by {who}")
        try:
            known = None if given.result is None else value_of(given.result, "--result", "{}")
            await il.decide(
                question.task, question.step, decision, who, arguments=arguments, note=given.note, result=known
            )
        except ToolArgumentsInvalid as refused:
            raise InvalidRequest(f"--edit: {refused.message}", hint="Nothing was decided.") from refused
        return None if given.no_resume else await il.resume(question.task)


def of(given: argparse.Namespace) -> str:
    from .run import of_workspace

    return of_workspace(given.workspace)
