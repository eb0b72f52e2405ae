"""What the month will have cost: the days behind it, carried on, and how far that may be off."""

from __future__ import annotations

import datetime as dt
import random

import pytest

from interlock.core.money import Usage
from interlock.core.store import RollRow
from interlock.economics.forecast import forecast, since_hour

NOON = dt.datetime(2026, 11, 15, 12, tzinfo=dt.UTC)
HOUR = int(NOON.timestamp()) // 3600


def row(hour: int, cost: int) -> RollRow:
    usage, lines = Usage(), {"other": cost}
    return RollRow(hour, "acme", "w", "call", "model", "m", "p/m", "", False, "", "ok", 1, cost, 0, 0, usage, lines, {})


@pytest.mark.requirement("EC-06")
def test_days_alike_end_in_a_month_of_such_days():
    rolls = [row(HOUR - ago, 1_000) for ago in range(24 * 40)]
    rolls = [each for each in rolls if each.hour >= since_hour(HOUR)]
    said = forecast(rolls, HOUR)
    assert said.spent_nano_usd == (14 * 24 + 13) * 1_000
    assert said.expected_nano_usd == pytest.approx(30 * 24 * 1_000, rel=1e-9)
    assert said.low_nano_usd == said.high_nano_usd == said.expected_nano_usd


@pytest.mark.requirement("EC-06")
def test_the_months_end_lies_in_the_interval_as_often_as_it_says():
    rng = random.Random(3)
    inside = 0
    for _ in range(200):
        days = {day: round(rng.lognormvariate(14, 0.3)) for day in range(-20, 31)}
        first = int(dt.datetime(2026, 11, 1, tzinfo=dt.UTC).timestamp()) // 3600
        now = first + 15 * 24 - 1  # the last hour of the fifteenth
        rolls = [row(first + 24 * day + 12, cost) for day, cost in days.items() if 24 * day + 12 <= now - first]
        said = forecast([each for each in rolls if each.hour >= since_hour(now)], now)
        real = sum(cost for day, cost in days.items() if 0 <= day < 30)
        assert said.low_nano_usd is not None
        assert said.high_nano_usd is not None
        inside += said.low_nano_usd <= real <= said.high_nano_usd
    assert inside >= 180


def test_two_days_say_nothing_yet():
    said = forecast([row(HOUR - ago, 1_000) for ago in range(50)], HOUR)
    assert (said.expected_nano_usd, said.low_nano_usd) == (None, None)
    assert said.spent_nano_usd == 50_000
