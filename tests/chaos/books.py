"""The ledger held against the vendors' own books, call by call."""

import asyncio
import time
from bisect import bisect
from collections import Counter, defaultdict
from pathlib import Path

from msgspec import Struct

from interlock.core.events import Settled
from interlock.testing.upstream import Billed, Upstream
from tests.chaos.crowd import Told
from tests.ledger.kit import records_in

HEAVIEST, MOST_OUTPUT = 200, 200
"""Tokens of the crowd's longest question, and its cap on answers."""
PLACES = ("first/m", "second/m")
ESTIMATED = "usage of the broken answer estimated"


class Difference(Struct, frozen=True):
    """One call on which the two do not agree."""

    call: str
    statuses: tuple[str, ...]
    errors: tuple[str, ...]
    booked: tuple[int, int]
    billed: tuple[int, int]
    estimated: bool
    """A try broke off, and the vendor had not said what it had used."""
    shown: bool
    """Every try that broke off was a stream that had begun, so that its pieces could be counted."""
    too_late: int
    """Tokens that vendors wrote after the try had been given up and its connection was closed: nobody can have heard them."""
    upper: tuple[int, int]
    """What its tries may have used at most."""
    reasons: tuple[str, ...]


class Books(Struct):
    """What both sides say."""

    events: int
    statuses: Counter[str]
    booked: tuple[int, int]
    billed: tuple[int, int]
    cost_nano_usd: int
    differences: list[Difference]
    unclaimed: list[Billed]
    """Requests that vendors saw and no call of the ledger made."""


def events_of(folder: Path) -> list[Settled]:
    events = [record.event for record in records_in(folder / "interlock.db")]
    return [event for event in events if isinstance(event, Settled) and event.kind == "model"]


def compared(folder: Path, vendors: list[Upstream]) -> Books:
    """Everything, once all calls have settled."""
    events = events_of(folder)
    bills: dict[str, list[Billed]] = defaultdict(list)
    places: dict[int, str] = {}
    for vendor, place in zip(vendors, PLACES, strict=True):
        for bill in vendor.bills:
            bills[bill.key.partition(".")[0]].append(bill)
            places[id(bill)] = place
    differences: list[Difference] = []
    wall_s = time.time() - asyncio.get_running_loop().time()
    booked_in = booked_out = billed_in = billed_out = 0
    for event in events:
        own = bills.pop(event.call, [])
        booked = (event.usage.input_total, event.usage.output_total)
        billed = (sum(each.input_tokens for each in own), sum(each.output_tokens for each in own))
        booked_in, booked_out = booked_in + booked[0], booked_out + booked[1]
        billed_in, billed_out = billed_in + billed[0], billed_out + billed[1]
        if booked != billed:
            differences.append(
                Difference(
                    event.call,
                    (event.status, *(each.status for each in event.attempts)),
                    tuple(each.error for each in event.attempts),
                    booked,
                    billed,
                    any(ESTIMATED in reason for reason in event.reasons),
                    _shown(event, own),
                    _too_late(event, own, places, wall_s),
                    (HEAVIEST * len(event.attempts), MOST_OUTPUT * len(event.attempts)),
                    event.reasons,
                )
            )
    return Books(
        events=len(events),
        statuses=Counter(event.status for event in events),
        booked=(booked_in, booked_out),
        billed=(billed_in, billed_out),
        cost_nano_usd=sum(event.cost_nano_usd for event in events),
        differences=differences,
        unclaimed=[bill for own in bills.values() for bill in own],
    )


def _shown(event: Settled, own: list[Billed]) -> bool:
    sent = sum(each.status != "shed" for each in event.attempts)
    if len(own) < sent or any(each.error in ("upstream_bad_reply", "upstream_timeout") for each in event.attempts):
        return False
    # A refusal that was on its way when the client left was never heard of.
    return all(each.streamed and each.status for each in own) and own[-1].status == 200


def _too_late(event: Settled, own: list[Billed], places: dict[int, str], wall_s: float) -> int:
    """`places`: whose each bill is, by its identity. `wall_s`: seconds from the event loop's clock to the wall's."""
    tokens = 0
    for place in set(places.values()):
        bills = [bill for bill in own if places[id(bill)] == place]
        tries = [each for each in event.attempts if each.deployment == place and each.status != "shed"]
        for bill, tried in zip(bills, tries, strict=False):
            over_s = tried.started_ns / 1e9 + tried.duration_us / 1e6
            tokens += sum(output for at_s, output in bill.last if at_s + wall_s > over_s)
    return tokens


def lateness(vendors: list[Upstream], folder: Path, told: list[Told], stood: list[tuple[float, float]]) -> list[float]:
    """Seconds from a client's leaving to its vendor's noticing, for every try that was under way then, without those in which the event loop that
    all of them share stood still."""
    left = {each.plan.tag: each.left_s for each in told if each.left_s and each.plan.tag.startswith("u")}
    user_of = {event.call: event.caller.user or event.caller.workflow for event in events_of(folder)}
    begun = [begin for begin, _ in stood]
    found: list[float] = []
    for vendor in vendors:
        for bill in vendor.bills:
            left_s = left.get(user_of.get(bill.key.partition(".")[0], ""), 0.0)
            if left_s and bill.gone_s:
                near = stood[max(0, bisect(begun, left_s) - 1) : bisect(begun, bill.gone_s)]
                still_s = sum(max(0.0, min(end, bill.gone_s) - max(begin, left_s)) for begin, end in near)
                found.append(max(0.0, bill.gone_s - left_s - still_s))
    return found
