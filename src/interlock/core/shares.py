"""Cost attribution: a call's money split over its attempts, the one that answered and the rest. Above: storage, ledger, economics. Below: events, money. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, structs

from .events import Settled, Status
from .money import Usage


class CostPart(Struct, frozen=True):
    """One share of a call's money, attributed to what was called."""

    role: Literal["call", "attempt", "check"]
    deployment: str
    tier: str
    status: Status
    simulated: bool
    usage: Usage
    cost_nano_usd: int
    price: str


_TRIED: tuple[Literal["attempt"], Literal["check"]] = ("attempt", "check")


def parts_of(settled: Settled) -> list[CostPart]:
    """The call's money by attempt; the first part is the call with the attempt that answered, the others are the rest.

    The parts add up to `settled.cost_nano_usd` exactly: whatever the attempts do not account for stands with the call.
    """
    answered = _answering(settled)
    own = settled.attempts[answered] if answered is not None else None
    rest: list[CostPart] = []
    if len(settled.attempts) > (own is not None):
        rest = [
            CostPart(
                _TRIED[bool(a.purpose)], a.deployment, a.tier, a.status, a.simulated, a.usage, a.cost_nano_usd, a.price
            )
            for index, a in enumerate(settled.attempts)
            if index != answered
        ]
    first = CostPart(
        "call",
        settled.deployment,
        settled.tier,
        settled.status,
        own.simulated if own else settled.simulated,
        _left_of(settled.usage, [part.usage for part in rest]) if rest else settled.usage,
        settled.cost_nano_usd - sum([part.cost_nano_usd for part in rest]),
        own.price if own and own.price else settled.price,
    )
    return [first, *rest]


def _left_of(usage: Usage, taken: Sequence[Usage]) -> Usage:
    """`usage` without what others took of it."""
    columns = zip(structs.astuple(usage), *(structs.astuple(each) for each in taken), strict=True)
    return Usage(*(max(0, whole - sum(others)) for whole, *others in columns))


def _answering(settled: Settled) -> int | None:
    """Index of the attempt that gave the answer. A tool call that went well names no deployment: its last good try it was."""
    for index in range(len(settled.attempts) - 1, -1, -1):
        attempt = settled.attempts[index]
        if attempt.status != "ok" or attempt.purpose:
            continue
        if attempt.deployment == settled.deployment or (not settled.deployment and settled.status == "ok"):
            return index
    return None


def money_of(settled: Settled) -> tuple[int, int]:
    """(real, simulated) nano-dollars of one call; together they are `settled.cost_nano_usd`."""
    if not settled.attempts:
        cost = settled.cost_nano_usd
        return (0, cost) if settled.simulated else (cost, 0)
    simulated = sum(part.cost_nano_usd for part in parts_of(settled) if part.simulated)
    return settled.cost_nano_usd - simulated, simulated
