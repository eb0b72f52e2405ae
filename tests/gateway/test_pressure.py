"""A process that is short of CPU itself does not hold that against a vendor."""

import pytest

from interlock.gateway.gradient import Gradient
from interlock.gateway.pressure import Pressure, scheduled_s


@pytest.mark.parametrize(("share", "short"), [(0.9, True), (0.61, True), (0.5, False), (0.0, False)])
def test_a_busy_process_says_so(share: float, *, short: bool):
    now = [0.0]
    pressure = Pressure(lambda: now[0], lambda: now[0] * share)
    now[0] = 1.0

    assert pressure() is short


def test_between_two_looks_it_says_the_same():
    now, looks = [0.0], 0

    def used() -> float:
        nonlocal looks
        looks += 1
        return now[0]

    pressure = Pressure(lambda: now[0], used)
    for _ in range(100):
        now[0] += 0.001
        pressure()

    assert looks <= 3


def test_the_system_counts_what_this_thread_has_run():
    before = scheduled_s()
    sum(range(3_000_000))

    assert scheduled_s() > before


@pytest.mark.requirement("GW-28")
@pytest.mark.parametrize(("short", "lowered"), [(True, False), (False, True)])
def test_slow_answers_of_a_starved_process_lower_no_limit(*, short: bool, lowered: bool):
    gradient, now = Gradient(1_000, 16, lambda: short), 0.0
    gradient.answered(0.0, 0.5, 0, 1, 1)
    for _ in range(20):
        for _ in range(60):
            gradient.answered(now, now + 2.0, 0, 200, 200)
        now += 3.0
    limit = gradient.limit

    assert (limit < 200) is lowered
