"""Load balancing: in which order the deployments of one tier are tried. Pure functions.

Above: attempt. Below: terms. Least latency is peak-EWMA with the power of two choices: a cost that jumps with a slow answer and
forgets it slowly, times the calls under way (as in Twitter's Finagle, "Load balancing: Peak EWMA"), compared for two drawn at random so that
not everybody runs to the same one (Mitzenmacher, "The power of two choices in randomized load balancing", 2001).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from .route import Candidate
from .terms import Balance

DECAY_S = 10.0
"""A peak is half forgotten after about this time."""


def peak(cost_s: float, seen_s: float, age_s: float) -> float:
    """The new cost after an answer that took `seen_s`, `age_s` after the one before."""
    if seen_s >= cost_s:
        return seen_s
    share = age_s / (age_s + DECAY_S)
    return cost_s + share * (seen_s - cost_s)


def ordered(
    tier: Sequence[Candidate],
    balance: Balance,
    rng: random.Random,
    load_of: Callable[[Candidate], float],
    price_of: Callable[[Candidate], int],
) -> Sequence[Candidate]:
    """The candidates of one tier in the order in which they are asked.

    `load_of`: peak-EWMA seconds times calls under way. `price_of`: nano-dollars that this call costs at most.
    """
    if len(tier) < 2 or balance.by == "order":
        return tier
    if balance.by == "cost":
        return sorted(tier, key=price_of)
    if balance.by == "weights":
        return sorted(tier, key=lambda each: _draw(balance.weights.get(each.name, 1.0), rng), reverse=True)
    one, other = rng.sample(range(len(tier)), 2)
    best = tier[one] if load_of(tier[one]) <= load_of(tier[other]) else tier[other]
    return (best, *sorted((each for each in tier if each is not best), key=load_of))


def within(tier: Sequence[Candidate], regions: Sequence[str]) -> Sequence[Candidate]:
    """Those of `tier` in one of `regions`."""
    return tier if not regions else [each for each in tier if each.deployment.region in regions]


def _draw(weight: float, rng: random.Random) -> float:
    """Weighted sampling without replacement (Efraimidis and Spirakis, 2006): the largest draw goes first."""
    return rng.random() ** (1.0 / weight) if weight > 0 else -1.0
