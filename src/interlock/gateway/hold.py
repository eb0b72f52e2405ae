"""One call's reservation at rate limits and budgets (of its key, tenant, user, workflow and model): made when it begins, settled with its event.

Above: begin, call, settle. Below: quota, shape, `core`.
"""

from __future__ import annotations

from msgspec import structs

from interlock.core.events import Settled
from interlock.core.limits import vector
from interlock.core.money import Usage

from . import shape
from .call import Call
from .desk import Desk
from .quota import Held
from .route import Plan

_NOT_COUNTED = frozenset(("refused", "shed"))
"""Ends of calls that were never sent: they use up no request."""


async def hold(desk: Desk, call: Call, plan: Plan, upper: Usage, upper_nano_usd: int) -> None:
    """Holds back the upper estimate of one try, and caps the output where the limits have less left than that.

    Raises:
        NotPermitted, QuotaReached, LimitUnknown: nothing is held.
    """
    parts, settings = desk.parts, desk.settings
    quotas = parts.quotas
    if quotas is None:
        return
    rates = shape.at_worst(parts.price_of(plan.candidates[0].deployment, call.input_tokens), call.request).rates
    held = quotas.reserve(
        call.caller,
        call.request.model,
        upper.input,
        upper.output,
        upper_nano_usd,
        max(rates.output, rates.reasoning),
        settings.min_output_tokens * call.request.n,
    )
    if held is None:
        return
    if held.who.shared:
        await quotas.confirm(held, call.deadline.left_s(parts.clock))
    call.held = held
    if held.output_cap is not None:
        cap = held.output_cap // call.request.n
        call.request = structs.replace(call.request, max_output_tokens=cap)
        call.note(f"output capped at {cap} tokens: all that its limits have left")


def release(held: Held, event: Settled) -> None:
    """Puts what the event says in place of what was held."""
    usage = event.usage
    counted = 0 if event.status in _NOT_COUNTED and not event.attempts else 1
    held.quotas.settle(held, vector(counted, usage.input_total, usage.output_total, event.cost_nano_usd))
