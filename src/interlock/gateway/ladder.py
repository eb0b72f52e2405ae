"""Walking down the degradation ladder: each rung that `degrade` allows is tried in order until one gives an answer.

Above: chat, stream. Below: attempt, cache, degrade.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from interlock.core.chat import ChatRequest
from interlock.core.errors import InterlockError, InvalidRequest, LimitReached, OutputInvalid
from interlock.core.money import TOKENS_PER_RATE

from . import cache, degrade, tokens
from .call import Answer, Call
from .desk import Desk
from .route import Candidate, Plan
from .settings import Rung

T = TypeVar("T")
Ask = Callable[[Sequence[Candidate], ChatRequest], Awaitable[T]]
"""(candidates, request) → what the first of them that answers yields."""


async def descend(
    desk: Desk, call: Call, plan: Plan, cause: InterlockError, held: Answer | None, ask: Ask[T]
) -> tuple[T | Answer, Rung]:
    """What the first rung that can serve yields, with its name.

    Raises:
        InterlockError: `cause`, where no rung could serve.
    """
    if not degrade.degradable(cause):
        raise cause
    settings = desk.settings
    for step in degrade.ladder(settings.degradation, cause, smaller=bool(plan.smaller), held=held is not None):
        call.note(step.reason)
        if not step.taken:
            continue
        try:
            found = await _take(desk, call, plan, cause, held, ask, step.rung)
        except (LimitReached, OutputInvalid, InvalidRequest) as error:
            call.note(f"{step.rung} failed: {error.message}")
        except InterlockError as error:
            if not degrade.degradable(error):
                raise
            call.note(f"{step.rung} failed: {error.message}")
        else:
            if found is not None:
                return found, step.rung
            call.note(f"{step.rung}: nothing there")
    raise cause


async def _take(
    desk: Desk, call: Call, plan: Plan, cause: InterlockError, held: Answer | None, ask: Ask[T], rung: Rung
) -> T | Answer | None:
    if rung == "smaller_model":
        return await ask(plan.smaller, call.request)
    if rung == "shorter_context":
        request = degrade.shortened(call.request, _allowed(desk, call, plan, cause))
        return None if request is None else await ask((*plan.candidates, *plan.smaller), request)
    if rung == "cached_answer":
        return await cache.stale(desk, call)
    return held


def _allowed(desk: Desk, call: Call, plan: Plan, cause: InterlockError) -> int:
    """Input tokens that the limit behind `cause` leaves room for."""
    limit = cause.limit if isinstance(cause, LimitReached) else ""
    profile = desk.parts.profile_of(plan.candidates[0].deployment)
    output = max(desk.settings.min_output_tokens, call.request.max_output_tokens or 0)
    window = int((profile.context_window - output) / tokens.LIKELY_SHARE)  # in terms of the upper estimate
    if limit == "context_window" or call.budget is None:
        return window
    left = call.budget.left("input_tokens")
    allowed = window if left is None else min(left, window)
    if limit == "max_cost_nano_usd":
        return min(allowed, _affordable(desk, call, plan))
    return allowed


def _affordable(desk: Desk, call: Call, plan: Plan) -> int:
    """Input tokens that the dollars left pay for at the cheapest candidate, half of them kept for the answer."""
    assert call.budget is not None
    left = call.budget.left("cost_nano_usd") or 0
    prices = [desk.parts.price_of(each.deployment, call.input_tokens) for each in (*plan.candidates, *plan.smaller)]
    rate = min(max(price.rates.input, price.rates.cache_write) for price in prices)
    return call.input_tokens if rate == 0 else left * TOKENS_PER_RATE // (2 * rate)
