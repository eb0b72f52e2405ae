"""Sharing out what one upstream call used among those it was made for: whole numbers that add up to the whole. Pure.

Above: embed. Below: `core`.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from interlock.core.errors import BadReply
from interlock.core.events import Attempt
from interlock.core.money import Usage


def whole(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in parts proportional to `weights` (at least one positive), by largest remainder; they add up to it exactly."""
    over = sum(weights)
    parts = [total * weight // over for weight in weights]
    left = total - sum(parts)
    order = sorted(range(len(weights)), key=lambda at: (-(total * weights[at] % over), at))
    for at in order[:left]:
        parts[at] += 1
    return parts


def usage(used: Usage, weights: Sequence[int]) -> list[Usage]:
    """Every bucket shared out on its own."""
    columns = [whole(amount, weights) if amount else [0] * len(weights) for amount in structs.astuple(used)]
    return [Usage(*row) for row in zip(*columns, strict=True)]


def attempt(tried: Attempt, weights: Sequence[int]) -> list[Attempt]:
    """One try as each of those it was made for has it. Money is shared like tokens, so that the shares add up to the nano-dollar."""
    if len(weights) == 1:
        return [tried]
    shares = zip(usage(tried.usage, weights), whole(tried.cost_nano_usd, weights), strict=True)
    return [structs.replace(tried, usage=used, cost_nano_usd=cost) for used, cost in shares]


def miscounted(name: str, asked: int, got: int) -> BadReply:
    """The error of a vendor that sent another number of vectors than it was asked for."""
    return BadReply(f"{name} sent {got} vectors for {asked} inputs.")
