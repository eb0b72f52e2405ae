"""A crowd in which clients leave at any byte and vendors fail in every way: the ledger and the vendors' books say the same.

The slice that every run makes has 2,000 calls; `make soak-chaos` lets in 100,000.
"""

import asyncio
import datetime as dt
import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.books import Books, compared, lateness
from tests.chaos.crowd import crowd, plans

CALLS = int(os.environ.get("INTERLOCK_CHAOS_CALLS", "2000"))
SEED = int(os.environ.get("INTERLOCK_CHAOS_SEED", "7"))
RESULT = os.environ.get("INTERLOCK_CHAOS_RESULT", "")
AT_ONCE = 48
CANCELLED_WITHIN_S = 0.1
MISHEARD = 2


@pytest.mark.requirement("OB-03", "GW-34")
@pytest.mark.parametrize("hedged", [True, False], ids=["hedged, the long way", "ordinary calls go the short way"])
async def test_every_call_settles_once_and_the_ledger_is_the_vendors_bill(tmp_path, hedged):
    today = dt.datetime.now(dt.UTC).date()
    async with crowd(tmp_path, SEED, hedged=hedged) as up:
        before = sum(len(vendor.bills) for vendor in up.vendors)
        told = await up.run(plans(random.Random(SEED), CALLS, hedged=hedged), AT_ONCE)
        async with asyncio.timeout(60):
            while up.il.ledger_health().open or up.il.ledger_health().queued:
                await asyncio.sleep(0.02)
        standing = {row[2]: row[3] for row in up.il.limiting.quotas.standings() if row[0] == "crowd"}
        running = [row for row in up.il.limiting.quotas.standings() if row[2] == "concurrency"]
        never = [bill for vendor in up.vendors for bill in vendor.bills if not bill.over and not bill.gone_s]
        late = lateness(up.vendors, tmp_path, told, up.stood)
        vendors = up.vendors
    books = compared(tmp_path, vendors)
    sent = sum(len(vendor.bills) for vendor in vendors) - before

    summary = told_of(books, late, sent)
    print(json.dumps(summary))
    if RESULT:
        path = Path(RESULT) if hedged else Path(RESULT).with_stem(f"{Path(RESULT).stem}_short")
        path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")

    assert books.events == CALLS + before, "each call is in the ledger once"
    assert books.unclaimed == [], "no vendor was asked for a call that the ledger does not know"
    assert never == [], "no vendor works for a client that has left"
    if today == dt.datetime.now(dt.UTC).date():  # the limits' counts are the day's, and begin anew at midnight
        assert standing["requests"] == books.events - books.statuses["refused"] - books.statuses["shed"]
        assert standing["nano_usd"] == books.cost_nano_usd, "the limits were settled with the ledger's truth"
    assert all(row[3] == 0 for row in running)
    exact = [each for each in books.differences if not each.estimated]
    assert exact == [], exact[:5]
    shown = [each for each in books.differences if each.shown and each.booked[1] + each.too_late != each.billed[1]]
    # A reply that ends by a clock of ours can pass a piece that is written in the same moment: nothing else may.
    assert len(shown) <= MISHEARD, shown[:5]
    for each in shown:
        assert {"client_gone", "timeout"} & set(each.statuses), each
        assert each.booked[0] == each.billed[0], each
        assert 0 <= each.billed[1] - each.booked[1] <= 2, each
    for each in books.differences:
        assert each.booked[0] <= each.upper[0], each
        assert each.booked[1] <= each.upper[1], each
    assert abs(books.booked[0] - books.billed[0]) <= 0.01 * books.billed[0]
    assert abs(books.booked[1] - books.billed[1]) <= 0.05 * books.billed[1]


def told_of(books: Books, late: list[float], sent: int) -> dict[str, object]:
    """What a reader of the result wants to know; how late is without the times in which the one event loop stood still."""
    ordered = sorted(late)
    return {
        "calls": CALLS,
        "seed": SEED,
        "upstream_requests": sent,
        "statuses": dict(Counter(books.statuses).most_common()),
        "booked_tokens": books.booked,
        "billed_tokens": books.billed,
        "calls_that_differ_though_the_vendor_said_or_showed_what_it_made": sum(
            not each.estimated or (each.shown and each.booked[1] + each.too_late != each.billed[1])
            for each in books.differences
        ),
        "calls_that_differ_by_what_a_vendor_wrote_after_it_had_been_given_up": sum(
            each.shown and each.too_late > 0 for each in books.differences
        ),
        "calls_that_differ_since_the_vendor_showed_nothing_of_a_broken_answer": sum(
            each.estimated and not each.shown for each in books.differences
        ),
        "clients_that_left_while_a_vendor_worked": len(late),
        "cancelled_p50_ms": round(ordered[len(ordered) // 2] * 1000, 1) if ordered else None,
        "cancelled_p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 1) if ordered else None,
        "cancelled_late": sum(each > CANCELLED_WITHIN_S for each in late),
    }
