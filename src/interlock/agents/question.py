"""What a task waits for a person to say. Above: `service`, the faces. Below: `state`, `approve`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct

from interlock.core.time import NS_PER_S

from .approve import open_questions
from .state import Action, State


class Question(Struct, frozen=True):
    """Something a task waits for a person to say."""

    kind: Literal["approval", "doubt"]
    task: str
    step: int
    """To be named in the answer."""
    tool: str
    arguments: Any
    arguments_hash: str
    why: str
    expires_ns: int = 0
    """Zero: never."""
    card: tuple[str, ...] = ()
    """What a person reads besides: of an approval where values come from, of a call in doubt what is known of it."""


def questions_of(state: State) -> list[Question]:
    """What a task waits for a person to say."""
    if state.finished:
        return []
    asked = [
        Question(
            "approval",
            state.task,
            a.seq,
            a.asked.tool,
            a.arguments,
            a.asked.arguments_hash,
            a.asked.rule,
            a.asked.expires_ns,
            a.card,
        )
        for a in open_questions(state)
    ]
    doubted = [
        Question(
            "doubt",
            state.task,
            a.step,
            a.name,
            a.arguments,
            a.arguments_hash,
            "it may have happened before a crash",
            card=_known(a),
        )
        for a in state.actions
        if a.doubted
    ]
    return [*asked, *doubted]


def _known(action: Action) -> tuple[str, ...]:
    """Of a call in doubt: what to look for outside, and what was seen of it here."""
    begun = datetime.fromtimestamp(action.intended_ns / NS_PER_S, UTC).isoformat(timespec="milliseconds")
    lines = [f"begun at {begun}, try {action.tries}", f"idempotency key {action.key}"]
    settled = action.settled
    if settled is None:
        lines.append("its process ended before anything came back")
    else:
        said = ": ".join(filter(None, (settled.error, settled.message)))
        lines.append(f"it ended as {settled.status}{f' ({said})' if said else ''}")
    return tuple(lines)
