"""The order in which a call's candidates are asked, by what is known of them at this moment.

Above: attempt. Below: balance, desk, outlier, shape. Tiers stay in their order; only within one do candidates change places.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from interlock.core.errors import InvalidRequest

from . import balance, shape
from .call import Call
from .desk import Desk
from .health import DeploymentHealth
from .outlier import Seen
from .route import Candidate
from .terms import Balance

AS_DECLARED = Balance()


def placed(desk: Desk, call: Call, candidates: Sequence[Candidate], input_tokens: int) -> Sequence[Candidate]:
    """The candidates, each tier in the order that the alias's balance asks for, those that are left out last of their tier.

    Raises:
        InvalidRequest: none of them is in a region that the alias is pinned to.
    """
    settings = desk.settings.balance
    how = settings.get(call.request.model) or settings.get("*") or AS_DECLARED
    output = call.request.max_output_tokens or 500

    def price_of(each: Candidate) -> int:
        return shape.upper_cost(desk.parts.price_of(each.deployment, input_tokens), input_tokens, output)

    def load_of(each: Candidate) -> float:
        return desk.health.deployment(each.name).load()

    found: list[Candidate] = []
    for _, tier in groupby(balance.within(candidates, how.regions), key=lambda each: each.tier):
        found += _well_first(desk, balance.ordered(tuple(tier), how, desk.parts.rng, load_of, price_of))
    if not found:
        raise InvalidRequest(
            f"no model behind {call.request.model!r} runs in {' or '.join(how.regions)}.",
            param="model",
            hint="Set `region` of the providers that do, or change the alias's `regions`.",
        )
    return found


def _well_first(desk: Desk, tier: Sequence[Candidate]) -> Sequence[Candidate]:
    out = desk.health.out
    if not out:
        return tier
    now_s = desk.parts.clock.monotonic_s()
    for name in tuple(out):
        if desk.health.deployment(name).ejected_until_s <= now_s:
            out.discard(name)
    return sorted(tier, key=lambda each: each.name in out)


def seen(health: DeploymentHealth, now_s: float) -> Seen:
    """A deployment as `outlier.judge` looks at it."""
    breaker = health.breaker
    return Seen(breaker.seen, breaker.failure_share, health.latency_s, out=health.ejected_until_s > now_s)
