"""The questions that tasks put to people, out of the store, and how they are shown.

Above: `approve`. Below: the ledger's trace, rich.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.text import Text

from interlock.app.reading import Reading
from interlock.core.time import SystemClock
from interlock.ledger.read import Trace, TracedStep, iso

from .options import moment
from .palette import ACCENT, DIM, WARN
from .text import cell, compact, one_line
from .tree import result_of

LIMIT = 1000


class Waiting(Struct, frozen=True):
    """One question to a person, with what they need to answer it."""

    task: str
    workflow: str
    kind: Literal["approval", "doubt"]
    step: int
    """To be named in the answer."""
    tool: str
    arguments: Any
    """What it would be called with; `None` where it was not kept."""
    rule: str
    expires: str
    """When the question lapses, ISO 8601; empty: never."""
    on_expiry: str
    input: dict[str, Any]
    seen: tuple[str, ...]
    """What the task found out so far, a line for each call."""
    card: tuple[str, ...] = ()
    """What the policy holds against the call: each value without a known origin, and where it was seen. Of a call in doubt: what is known of it."""


def waiting(reading: Reading, task: str = "") -> list[Waiting]:
    """Everything that can still be decided, oldest first; of one task only where it is named. It shows what was said: the audit is told so."""
    if task:
        traces = [reading.trace(task)]
    else:
        rows = sorted(reading.waiting(limit=LIMIT), key=lambda row: row.waiting_since)
        traces = [reading.trace(row.task) for row in rows]
    asked = [question for trace in traces if trace for question in questions(trace)]
    now = iso(SystemClock().wall_ns())
    open_ = [question for question in asked if not question.expires or question.expires > now]
    shown = {question.task for question in open_}
    for trace in traces:
        if trace and trace.task.task in shown:
            reading.note_read(trace, "approve")
    return open_


def questions(trace: Trace) -> list[Waiting]:
    """The questions of one task that nobody has answered."""
    answered = {step.detail["step"] for step in trace.steps if step.type == "approval_decided"}
    settled = {step.detail["step"] for step in trace.steps if step.type == "doubt_settled"}
    calls = {step.detail["step"]: step for step in trace.steps if step.type == "intended"}
    first = next((step for step in trace.steps if step.type == "started"), None)
    given: dict[str, Any] = ((first.content if first else None) or {}).get("input", {})
    found: list[Waiting] = []
    for step in () if trace.task.status == "finished" else trace.steps:
        detail = step.detail
        if step.type == "approval_asked" and step.step not in answered:
            arguments, rule = (step.content or {}).get("arguments"), str(detail.get("rule", ""))
            expires, on_expiry = iso(detail.get("expires_ns", 0)), str(detail.get("on_expiry", "deny"))
            card = tuple(map(str, (step.content or {}).get("card", ())))
            place: tuple[Literal["approval", "doubt"], int] = ("approval", step.step)
        elif step.type == "in_doubt" and detail["step"] not in settled:
            call = calls.get(detail["step"])
            arguments = (call.content or {}).get("arguments") if call else None
            rule, expires, on_expiry = "the process ended in the middle of it: nobody knows whether it happened", "", ""
            place = ("doubt", detail["step"])
            card = known(trace, call, detail["step"])
        else:
            continue
        found.append(
            Waiting(
                trace.task.task,
                trace.task.workflow,
                *place,
                detail["tool"],
                arguments,
                rule,
                expires,
                on_expiry,
                given,
                seen(trace),
                card,
            )
        )
    return found


def known(trace: Trace, call: TracedStep | None, place: int) -> tuple[str, ...]:
    """Of a call in doubt: what to look for outside, and how it ended here."""
    ended = next((step.call for step in trace.steps if step.step == place and step.call is not None), None)
    said = ": ".join(filter(None, (ended.error, ended.message))) if ended else ""
    how = f"it ended as {ended.status}{f' ({said})' if said else ''}" if ended else "nothing came back"
    return (f"begun {call.at}; idempotency key {call.detail['key']}", how) if call else (how,)


def seen(trace: Trace) -> tuple[str, ...]:
    """What each call said, a line each."""
    told = [(step.call.name, result_of(step.content)) for step in trace.steps if step.call is not None]
    return tuple(f"{name}: {said}" for name, said in told if said)


def drawn(question: Waiting, of_workspace: str) -> RenderableType:
    """One question as a person decides it."""
    want = Text.assemble((one_line(question.tool), f"{ACCENT} {WARN}"), "  ")
    want.append(compact(question.arguments) if question.arguments is not None else "(its arguments were not kept)")
    return Group(
        Text.assemble(
            (one_line(question.task), ACCENT), f"  {one_line(question.workflow)}  ", (f"step {question.step}", DIM)
        ),
        *labelled("came in", inputs(question.input)),
        *labelled("saw", [cell(line, width=240) for line in question.seen]),
        *labelled("wants to", [want]),
        *labelled(
            "because", [cell(question.rule + until(question)), *(cell(line, width=240) for line in question.card)]
        ),
        *labelled("decide", [commands(question, of_workspace)]),
    )


def labelled(label: str, lines: Sequence[Text]) -> Iterator[Text]:
    """Lines with a label before the first one."""
    for index, line in enumerate(lines):
        yield Text(f"  {label if not index else '':<10}", DIM).append_text(line)


def inputs(given: dict[str, Any]) -> Sequence[Text]:
    return [Text.assemble((f"{one_line(name)}: ", DIM), compact(value, 600)) for name, value in given.items()]


def until(question: Waiting) -> str:
    """Until when it can be decided, and what happens then."""
    if not question.expires:
        return ""
    return f"; open until {moment(question.expires)[:16]}, then {'it is denied' if question.on_expiry == 'deny' else 'it is approved'}"


def commands(question: Waiting, of_workspace: str) -> Text:
    ways = "--yes | --deny | --edit JSON" if question.kind == "approval" else "--done | --redo | --skip | --compensate"
    return cell(f"interlock approve {question.task}{of_workspace} {ways}")
