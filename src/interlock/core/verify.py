"""Judging an answer: what a verifier is shown, what it says, and what it may use. Verifiers are plug-ins, `plugins/verifiers/NAME.py`.

Above: the gateway, which runs them, and the verifiers themselves. Below: chat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct

from .chat import ChatRequest, ChatResponse

Needs = Literal["answer", "calls", "sandbox"]
"""What a verifier works with: the answer alone · further model calls · a place to run code. It stands in the plug-in as `NEEDS`."""


class Answered(Struct, frozen=True):
    """An answer with the request it answers."""

    request: ChatRequest
    response: ChatResponse
    value: Any = None
    """The answer's JSON value; `None` where it need not be JSON."""
    faults: tuple[str, ...] = ()
    """What is wrong with it by its output schema."""

    @property
    def question(self) -> str:
        """The last user message."""
        return next((each.text for each in reversed(self.request.messages) if each.role == "user"), "")


class Finding(Struct, frozen=True, omit_defaults=True):
    """What one verifier says of one answer."""

    score: float | None = None
    """From 0 (it is wrong) to 1 (nothing speaks against it); `None` where the verifier has nothing to say of such an answer."""
    signals: dict[str, float] = {}
    """Measurements for the fitted combination, by name; each finite, and always the same names for one verifier."""
    why: str = ""
    """What speaks against the answer, for a person."""


NOTHING = Finding()


class Ran(Struct, frozen=True):
    """What became of a program."""

    ok: bool
    """It ended by itself with exit status 0."""
    output: str = ""
    """The end of what it printed."""


class CodeRunner(Protocol):
    """Somewhere to run a program that nobody trusts: no network, bounded time and memory."""

    async def run_python(self, program: str, *, timeout_s: float) -> Ran:
        """Raises nothing for what the program does."""
        ...


Ask = Callable[[str, ChatRequest], Awaitable[ChatResponse]]
"""(model, or empty for the one that answered; request) → its answer, as one more governed try of the same call: reserved, settled and
priced on its own line. Raises InterlockError."""


class Verifier(Protocol):
    """Judges from the answer alone, in a millisecond or two (bounded for the longest answers), so it runs on the event loop. Stateless."""

    def check(self, answered: Answered) -> Finding: ...


class AskingVerifier(Protocol):
    """Judges with the help of further calls (`NEEDS = "calls"`)."""

    async def check(self, answered: Answered, ask: Ask) -> Finding:
        """Raises InterlockError where a call fails; the answer then counts as not judged."""
        ...


class RunningVerifier(Protocol):
    """Judges by running the answer's code (`NEEDS = "sandbox"`)."""

    async def check(self, answered: Answered, runner: CodeRunner) -> Finding: ...


AnyVerifier = Verifier | AskingVerifier | RunningVerifier
Signals = Mapping[str, float]
"""By `verifier.signal`; a verifier's score stands under `verifier.score`."""


def signals_of(findings: Mapping[str, Finding]) -> dict[str, float]:
    """Every measurement of several findings under `verifier.signal`; the score is one of them, or `silent` where there is none."""
    found: dict[str, float] = {}
    for name, finding in findings.items():
        if finding.score is None:
            found[f"{name}.silent"] = 1.0
        else:
            found[f"{name}.score"] = finding.score
        for signal, value in finding.signals.items():
            found[f"{name}.{signal}"] = value
    return found
