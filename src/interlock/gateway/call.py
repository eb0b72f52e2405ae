"""The mutable state of one call in flight: every step of the walk writes into it, and settling turns it into one event.

Above: every step of the walk. Below: settings, shape, `core`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from interlock.core.budget import Budget, Spend
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChatResponse, Chunk, Fact
from interlock.core.errors import InterlockError, InvalidRequest, LimitReached, Shed, UpstreamError
from interlock.core.events import Attempt, CacheKind, Escalation, Status
from interlock.core.guards import NOTHING_SEEN, Seen
from interlock.core.money import NANO_PER_USD, Price, Usage, cost_of
from interlock.core.residency import Bounds
from interlock.core.time import Clock, Deadline

from .checks import Steered
from .quota import Held
from .route import Candidate
from .settings import Workflow
from .shape import Fitted

if TYPE_CHECKING:
    from .aloud import Voice
    from .flight import Flight


class Answer(Struct, frozen=True):
    """An answer as the walk hands it on, with where it came from."""

    response: ChatResponse
    deployment: str
    tier: str
    candidate: Candidate | None = None
    """`None` for an answer out of a cache."""
    price: str = ""
    chunks: tuple[Chunk, ...] = ()
    """The pieces of a streamed answer, as they were relayed."""
    cache: CacheKind = ""
    saved_nano_usd: int = 0
    degraded: str = ""
    confidence: float | None = None
    cut_to: int = 0


class Trial(Struct, eq=False):
    """One try under way: its reservation, and what has come of it so far."""

    candidate: Candidate
    fitted: Fitted
    price: Price
    key: str
    """The same for every try of one request at one candidate, so that a vendor can tell a repeat from a new request."""
    started_ns: int
    started_s: float
    usage_seen: Usage | None = None
    """What the vendor has said so far."""
    usage_final: bool = False
    """It came with the end of the answer, so it is the bill."""
    parts: int = 0
    """The vendor's own pieces of text so far."""
    text_seen: list[str] = []
    """What was relayed so far; an aborted answer's output is estimated from it."""
    over: bool = False
    """It has been counted."""
    extra: str = ""
    """`proven` or `token` for a further send after a failed one, by what it was let out on; see `standing`."""
    placed: bool = False
    """It holds a place at its deployment."""
    crowd: int = 0
    """Calls under way at the deployment when this one was begun, itself among them."""
    weight: int = 0
    """Tokens counted against the vendor's limits, where these are known."""

    def saw(self, chunk: Chunk, *, ended: bool) -> None:
        """Notes a piece of its answer; `ended`: the vendor has said that this is the end."""
        if chunk.text:
            self.text_seen.append(chunk.text)
            self.parts += chunk.parts
        for delta in chunk.tool_calls:
            self.text_seen.append(delta.arguments)
            self.parts += 1
        if chunk.thoughts or chunk.others or chunk.refusal:
            self.text_seen.extend(_billed_beside(chunk))
        if chunk.usage is not None:
            self.usage_seen = chunk.usage
            self.usage_final = ended


class Tried(Struct, frozen=True):
    """A first try that was sent the short way, and what it failed with."""

    trial: Trial
    error: UpstreamError | InvalidRequest | Shed


class Guess(Struct, frozen=True):
    """The estimated usage of a try that broke off; the same deployment's next answer to the same request may know better."""

    place: int
    """Of the attempt."""
    trial: Trial
    usage: Usage
    whole: bool
    """Nothing was seen of the answer, so its output is a guess too."""


class Call(Struct, eq=False):
    """One call. Exactly one event is owed for it from the moment it exists."""

    id: str
    caller: Caller
    request: ChatRequest
    budget: Budget | None
    deadline: Deadline
    fence: int
    workflow: Workflow
    input_tokens: int
    clock: Clock
    started_ns: int
    started_s: float
    lone: bool = True
    """No task that would be folded from this call's event: its content is kept for people only."""
    slot: int = -1
    held: Held | None = None
    """At the limits of its key, tenant, user, workflow and model."""
    key: bytes = b""
    """Of what it asks; empty while no cache was asked."""
    flight: Flight | None = None
    """Identical calls that wait for this one."""
    near: object = None
    """What the semantic cache wants back with the answer."""
    held_before: tuple[int, ...] = ()
    """Places of the rules that held before any model was asked; an answer does not set them off again."""
    target: str = ""
    """Of the rule that chose the start, if one did."""
    first_token_us: int = 0
    reserved_nano_usd: int = 0
    attempts: list[Attempt] = []
    reasons: list[str] = []
    escalations: list[Escalation] = []
    guesses: list[Guess] = []
    open_trial: Trial | None = None
    input_cap: str = ""
    """What was done to input that was over its cap."""
    violations: int = 0
    """Answers that did not keep to the output schema."""
    bounds: Bounds | None = None
    """Where its data may go; `None`: anywhere."""
    purpose: str = ""
    """What the tries are made for; see `Attempt.purpose`."""
    premium: bool = False
    """It has been counted against the cap on premium calls."""
    steered: Steered | None = None
    """What the learned route made of it at its start."""
    seen: Seen = NOTHING_SEEN
    """What guards found in its texts."""
    voice: Voice | None = None
    """Tells its answer while it is written; `None`: nobody wants to hear."""

    def note(self, reason: str) -> None:
        """Keeps a decision for the event."""
        self.reasons.append(reason)

    def elapsed_us(self) -> int:
        return int((self.clock.monotonic_s() - self.started_s) * 1e6)

    def facts(self, confidence: float | None = None) -> Mapping[str, Fact]:
        """What conditions may look at. A name that is not known is absent, so that a condition over it does not hold."""
        facts: dict[str, Fact] = {
            **{name: value for name, value in self.request.facts.items() if value is not None},
            "workflow": self.caller.workflow,
            "input_tokens": self.input_tokens,
            "latency_budget_ms": int(self.deadline.left_s(self.clock) * 1000),
            "cost_usd": sum(attempt.cost_nano_usd for attempt in self.attempts) / NANO_PER_USD,
            "attempt": len(self.attempts),
        }
        if confidence is not None:
            facts["confidence"] = confidence
        return facts

    def begin(self, trial: Trial) -> None:
        """Holds back what the try may use.

        Raises:
            LimitReached: the budget, or a limit of a period, has less left; nothing may be sent.
        """
        ask = trial.fitted.ask
        if self.budget is not None:
            self.budget.reserve(ask)
        if self.held is not None:
            try:
                self.held.try_begins(ask.input_tokens, ask.output_tokens, ask.cost_nano_usd)
            except LimitReached:
                if self.budget is not None:
                    self.budget.settle(ask, Spend())
                raise
        self.reserved_nano_usd = max(self.reserved_nano_usd, ask.cost_nano_usd)
        self.open_trial = trial

    def amend(self, guess: Guess, usage: Usage) -> None:
        """Puts a better count in place of a guess, everywhere it went."""
        attempt, trial = self.attempts[guess.place], guess.trial
        cost = cost_of(trial.price.rates, usage)
        into, out = usage.input_total - guess.usage.input_total, usage.output_total - guess.usage.output_total
        if self.budget is not None:
            more = Spend(input_tokens=into, output_tokens=out, cost_nano_usd=cost - attempt.cost_nano_usd)
            self.budget.settle(Spend(), more)
        if self.held is not None:
            self.held.try_ends(into, out, cost - attempt.cost_nano_usd)
        self.attempts[guess.place] = structs.replace(attempt, usage=usage, cost_nano_usd=cost)

    def end(self, trial: Trial, status: Status, usage: Usage, error: InterlockError | None, *, simulated: bool) -> int:
        """Gives the reservation back, counts what was used, and returns its cost."""
        cost, ask = cost_of(trial.price.rates, usage), trial.fitted.ask
        into, out = usage.input_total, usage.output_total
        trial.over = True
        if self.open_trial is trial:
            self.open_trial = None
        if self.budget is not None:
            ran = status == "ok" or into or out
            used = Spend(model_calls=1 if ran else 0, input_tokens=into, output_tokens=out, cost_nano_usd=cost)
            self.budget.settle(ask, used)
        if self.held is not None:
            self.held.try_ends(into - ask.input_tokens, out - ask.output_tokens, cost - ask.cost_nano_usd)
        self.attempts.append(
            Attempt(
                deployment=trial.candidate.name,
                status=status,
                started_ns=trial.started_ns,
                duration_us=int((self.clock.monotonic_s() - trial.started_s) * 1e6),
                tier=trial.candidate.tier,
                region=trial.candidate.deployment.region,
                usage=usage,
                cost_nano_usd=cost,
                price=trial.price.version,
                error=error.code if error else "",
                message=error.message if error else "",
                simulated=simulated,
                purpose=self.purpose,
            )
        )
        return cost


def _billed_beside(chunk: Chunk) -> Iterator[str]:
    """What a chunk holds beside the answer's text and calls, and a vendor bills like them: thoughts, a refusal, further answers."""
    yield from [thought.text for thought in chunk.thoughts if thought.text]
    if chunk.refusal:
        yield chunk.refusal
    for other in chunk.others:
        yield from [text for text in (other.text, other.refusal) if text]
        yield from [call.arguments for call in other.tool_calls if call.arguments]
        yield from [thought.text for thought in other.thoughts if thought.text]
