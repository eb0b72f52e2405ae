"""Graceful degradation: which declared fallbacks (the rungs of a ladder) apply once no full answer can be had, and why. Pure functions.

Above: ladder. Below: settings, tokens. Decisions from values to values; the same cause and the same settings give the same rungs.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from interlock.core.chat import ChatRequest, Message
from interlock.core.errors import DeadlineMissed, Exhausted, InterlockError, LimitReached, OutputInvalid, UpstreamError

from . import tokens
from .settings import Rung

SHRINKABLE = ("max_input_tokens", "max_cost_nano_usd", "context_window")
CALLABLE = ("max_input_tokens", "max_cost_nano_usd", "context_window", "max_output_tokens")
"""Limits that leave room for another, smaller call."""


class Step(Struct, frozen=True):
    """One rung and why it is taken or passed over."""

    rung: Rung
    taken: bool
    reason: str


def ladder(order: Sequence[Rung], cause: InterlockError, *, smaller: bool, held: bool) -> tuple[Step, ...]:
    """The rungs in the declared order. `smaller`: there are tiers below; `held`: an earlier answer is at hand."""
    return tuple(_step(rung, cause, smaller, held) for rung in order)


def degradable(error: InterlockError) -> bool:
    """Whether the ladder may serve a call that fails so. A fault of the request, or a refusal of ours, is passed on as it is."""
    return isinstance(error, (LimitReached, Exhausted, DeadlineMissed, OutputInvalid)) or (
        isinstance(error, UpstreamError) and error.status != 400
    )


def _step(rung: Rung, cause: InterlockError, smaller: bool, held: bool) -> Step:
    late = isinstance(cause, DeadlineMissed)
    limit = cause.limit if isinstance(cause, LimitReached) else ""
    if rung == "smaller_model":
        if late or (limit and limit not in CALLABLE) or isinstance(cause, OutputInvalid):
            return Step(rung, taken=False, reason=f"smaller_model would not help against {cause.code} {limit}".rstrip())
        if not smaller:
            return Step(rung, taken=False, reason="smaller_model: there is none below")
    elif rung == "shorter_context":
        if limit not in SHRINKABLE:
            return Step(
                rung, taken=False, reason=f"shorter_context would not help against {cause.code} {limit}".rstrip()
            )
    elif rung == "best_effort" and not held:
        return Step(rung, taken=False, reason="best_effort: nothing was answered yet")
    return Step(rung, taken=True, reason=f"degraded to {rung}: {cause.message}")


def shortened(request: ChatRequest, allowed: int) -> ChatRequest | None:
    """`request` with its oldest turns left out until its upper estimate is at most `allowed` tokens.

    System messages and everything from the last user turn on stay; a tool's answer goes with the call it answers. `None` where even
    that is too long, or where nothing could be left out.
    """
    fixed = tokens.of_request(request.but(messages=()))
    messages = request.messages
    last = max((at for at, each in enumerate(messages) if each.role == "user"), default=len(messages) - 1)
    keep = [each.role in ("system", "developer") or at >= last for at, each in enumerate(messages)]
    room = allowed - fixed - sum(tokens.of_message(each) for each, kept in zip(messages, keep, strict=True) if kept)
    if room < 0 or all(keep):
        return None
    for start, end in reversed(_turns(messages, last)):
        cost = sum(tokens.of_message(messages[at]) for at in range(start, end) if not keep[at])
        if cost > room:
            break
        room -= cost
        keep[start:end] = [True] * (end - start)
    if all(keep):
        return None
    return request.but(messages=tuple(each for each, kept in zip(messages, keep, strict=True) if kept))


def _turns(messages: Sequence[Message], last: int) -> list[tuple[int, int]]:
    """(start, end) of each turn before `last`; a turn begins with a user message and holds the calls and answers after it."""
    starts = [at for at in range(last) if messages[at].role == "user"]
    if not starts or starts[0] > 0:
        starts.insert(0, 0)
    return list(zip(starts, [*starts[1:], last], strict=True))
