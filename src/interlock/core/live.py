"""Live text of a running task: what its model is writing, for whoever follows the task; nothing of it is stored.

Above: gateway tells, agents and `app` hand on, server and cli show. Below: nothing. No word of it is an event of the log: what counts is the call's one `Settled`, which
holds the whole text, so a reader that missed pieces has lost nothing once that has come.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct, field

Held = str
"""Why nothing of an answer is told before its end; empty where it is told."""


class Writing(Struct, frozen=True, tag="writing"):
    """A model begins to write the answer of a step, or begins anew: whatever was told of that step before stands no more."""

    step: int
    """Where the call will settle in the log."""
    attempt: int = field(name="try")
    """Counted from 1 within the step; of a call that a crash cut off and that is made again, from the count of its tries."""
    why: str = ""
    """Why it begins anew; empty for the first time."""
    provisional: bool = False
    """The whole will be looked at (schema, checks, escalation, guards), and another answer may take its place."""
    held: Held = ""
    """Nothing of it is told before its end, and why."""


class Said(Struct, frozen=True, tag="text"):
    """A piece of the text."""

    step: int
    attempt: int = field(name="try")
    start: int = field(name="from")
    """Characters (Unicode code points) of this try's text before the piece. Higher than what a reader has: pieces are missing."""
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Calling(Struct, frozen=True, tag="call"):
    """A piece of a tool call that is being made up. It may yet be refused, or wait for a person: no tool runs before it is on record."""

    step: int
    attempt: int = field(name="try")
    call: int
    """Which one of this answer's calls, from 0."""
    name: str
    """Of the tool."""
    start: int = field(name="from")
    """Characters of this call's arguments before the piece."""
    text: str = ""
    """A piece of the arguments' JSON."""

    @property
    def end(self) -> int:
        return self.start + len(self.text)


Live = Writing | Said | Calling


def name_of(piece: Live) -> str:
    """What it is called on wires: `writing`, `text` or `call`."""
    return "writing" if isinstance(piece, Writing) else "text" if isinstance(piece, Said) else "call"


class Ear(Protocol):
    """Hears one call's answer as it is written. Never blocks and never raises."""

    def begins(self, why: str, *, provisional: bool, held: Held = "") -> None:
        """The text begins, or begins anew."""
        ...

    def text(self, piece: str) -> None: ...

    def call(self, place: int, name: str, arguments: str) -> None:
        """A piece of the arguments of this answer's call at `place`, under the name that the model knows the tool by."""
        ...
