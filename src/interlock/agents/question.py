"""What a task waits for a person to say. Above: `service`, the faces. Below: `state`, `approve`."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .approve import open_questions
from .state import State


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
    """Of a call whose values have no known origin: each of them, and where it was seen."""


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
            "doubt", state.task, a.step, a.name, a.arguments, a.arguments_hash, "it may have happened before a crash"
        )
        for a in state.actions
        if a.doubted
    ]
    return [*asked, *doubted]
