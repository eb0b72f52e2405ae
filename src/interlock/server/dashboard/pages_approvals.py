"""What tasks ask a person, with what the agent saw when it asked. Above: face, templates. Below: questions, the ledger's trace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

import msgspec
from msgspec import Struct

from interlock.agents.question import Question
from interlock.app.taskdesk import Decision
from interlock.core.audit import Entry
from interlock.core.errors import InvalidRequest
from interlock.core.unreadable import UNREADABLE
from interlock.ledger.read import Trace

from .pages_trace import Content, inspected

SEEN = 6
"""Calls before the question whose results are shown, the latest."""
MOST = 50


class Asked(Struct, frozen=True):
    """One question."""

    question: Question
    workflow: str
    since: str
    arguments: str
    """JSON, to be edited."""
    input: tuple[Content, ...]
    seen: tuple[Content, ...]
    """What the calls before it gave back, oldest first; from models and tools, so nothing to be believed."""
    cost_nano_usd: int


class Decided(Struct, frozen=True):
    """What a person decided."""

    at_ns: int
    who: str
    """The credential; a name that was typed stands in `how`."""
    how: str
    task: str
    step: str


class ApprovalsPage(Struct, frozen=True):
    """What waits for a person, oldest first."""

    waiting: tuple[Asked, ...]
    more: int
    """Tasks that wait and are not shown."""
    remark: str = ""
    """Why the last decision was not taken."""
    decided: tuple[Decided, ...] = ()
    """The latest decisions, the newest first."""


def asked(question: Question, trace: Trace) -> Asked:
    """A question with its task's story so far."""
    before = [step for step in trace.steps if step.step < question.step]
    started = next((step for step in before if step.type == "started"), None)
    given: Mapping[str, Any] = ((started.content if started else None) or {}).get("input", {})
    seen = [
        Content(f"step {step.step} · {step.call.name} · {content.name}", content.value)
        for step in [each for each in before if each.call][-SEEN:]
        for content in inspected(trace, step.step).content[-1:]
        if step.call
    ]
    return Asked(
        question,
        trace.task.workflow,
        trace.task.waiting_since,
        json.dumps(question.arguments, indent=2, ensure_ascii=False),
        tuple(Content(name, value) for name, value in given.items()),
        tuple(seen),
        trace.task.cost_nano_usd,
    )


def approvals_page(
    found: Sequence[Asked], more: int, remark: str = "", decisions: Sequence[Entry] = ()
) -> ApprovalsPage:
    """The page; `decisions`: entries of the audit."""
    decided = tuple(
        Decided(deed.at_ns, deed.who, deed.detail, *deed.target.partition("/")[::2])
        for deed in (each.deed for each in decisions)
    )
    return ApprovalsPage(tuple(sorted(found, key=lambda each: each.since)), more, remark, decided)


class Answer(Struct, frozen=True):
    """What a person decided."""

    decision: Decision
    arguments: dict[str, Any] | None
    note: str
    who: str


def answer_of(sent: Mapping[str, str], by: str, *, vouched: bool = False) -> Answer:
    """A form as a decision: arguments that were changed make an approval an edit. `vouched`: `by` is a person, whatever name was typed.

    Raises:
        InvalidRequest: no such decision, or arguments that are no JSON object.
    """
    decision = sent.get("decision", "")
    if decision not in get_args(Decision):
        raise InvalidRequest(f"a decision is one of {', '.join(get_args(Decision))}", param="decision")
    arguments = None
    if decision == "approve" and "arguments" in sent:
        arguments = _arguments(sent["arguments"])
        if arguments == _arguments(sent.get("shown", "null")):
            arguments = None
        else:
            decision = "edit"
    name = "" if vouched else sent.get("who", "").strip()[:80]
    who = f"{name} (by {by})" if name else by
    return Answer(cast("Decision", decision), arguments, sent.get("note", "").strip()[:2_000], who)


def _arguments(text: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any] | None)
    except UNREADABLE as wrong:
        raise InvalidRequest(f"the arguments are no JSON object: {wrong}", param="arguments") from wrong
