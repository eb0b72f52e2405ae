"""Ten times as many calls as a vendor can work on: a simulation without real time, of the limit, the line and the vendor together."""

import heapq
import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.gateway.fair import FairQueue
from interlock.gateway.gradient import TOLERANCE, Gradient

MOST = 2_000


class Vendor:
    """Works on so many calls at once, each for its time; the rest waits there, unseen."""

    def __init__(self, servers, seconds):
        self.servers, self.seconds = servers, seconds
        self.working, self.line = [], deque()
        self.busy_s = 0.0

    def take(self, call, now):
        if len(self.working) < self.servers:
            self._work(call, now)
        else:
            self.line.append(call)

    def _work(self, call, now):
        seconds = self.seconds(call)
        self.busy_s += seconds
        heapq.heappush(self.working, (now + seconds, next(COUNTER), call))

    def done(self):
        at, _, call = heapq.heappop(self.working)
        if self.line:
            self._work(self.line.popleft(), at)
        return at, call


COUNTER = iter(range(10**9))


def overloaded(gradient, vendor, rate, seconds, patience=10.0):
    """(answers, latencies of calls let in, of the last half) with calls coming at `rate` per second."""
    queue, inside, now, answered, latencies, turned_away = FairQueue(), 0, 0.0, 0, [], 0
    luck, arrival = random.Random(1), 0.0
    while now < seconds:
        next_done = vendor.working[0][0] if vendor.working else float("inf")
        if arrival <= next_done:
            now, arrival = arrival, arrival + luck.expovariate(rate)
            if len(queue) >= max(32, gradient.limit):
                turned_away += 1
            else:
                queue.push("t", 1, 1, now)
        else:
            now, (came, sent, tokens, crowd) = vendor.done()
            gradient.answered(sent, now, tokens, crowd, inside)
            inside -= 1
            if now > seconds / 2:
                answered += 1
                latencies.append(now - came)
        while inside < gradient.limit and (came := queue.pop()) is not None:
            if now - came <= patience:
                inside += 1
                vendor.take((came, now, luck.choice((5, 50, 200)), inside), now)
    return answered / (seconds / 2), sorted(latencies), turned_away


@pytest.mark.requirement("GW-28")
@pytest.mark.parametrize(("servers", "factor"), [(20, 10), (100, 10), (100, 2), (400, 10)])
def test_at_ten_times_the_load_the_vendor_is_used_to_the_full_and_calls_let_in_are_answered_in_time(servers, factor):
    def seconds(call):
        return 0.1 + call[2] * 0.004  # by its tokens, as models take it

    mean_s = 0.1 + 85 * 0.004
    vendor, gradient = Vendor(servers, seconds), Gradient(MOST, 16)
    rate, latencies, turned_away = overloaded(gradient, vendor, factor * servers / mean_s, 40.0)
    assert rate >= 0.95 * servers / mean_s, "goodput"
    assert latencies[int(len(latencies) * 0.99)] <= 12 * mean_s, (
        "and not the seconds that a line without bound would cost"
    )
    assert turned_away > 0
    assert 0.8 * servers <= gradient.limit <= 3 * servers, "it found what the vendor can take"


def feed(gradient, now, pace_of, rounds):
    """Rounds of answers with as many calls under way as the limit lets in; `pace_of` says how slow they are with so many at once."""
    for _ in range(rounds):
        limit = gradient.limit
        for _ in range(limit):
            now += 0.001
            gradient.answered(now, now + pace_of(limit) * 132, 100, limit, limit)
        now += 1_000.0
    return now


@pytest.mark.requirement("GW-28")
def test_a_vendor_that_is_slow_by_itself_gets_no_fewer_calls_for_it():
    gradient = Gradient(500, 16)
    gradient.answered(0.0, 0.01 * 132, 100, 1, 1)
    now = feed(gradient, 10.0, lambda _: 0.01, 5)
    assert gradient.limit == 500
    feed(gradient, now, lambda _: 0.05, 6)
    assert gradient.limit == 500, "lowering it did not help, so it was taken back"


@pytest.mark.requirement("GW-28")
def test_a_vendor_that_lost_half_of_its_servers_gets_half_the_calls_and_later_all_of_them_again():
    gradient = Gradient(2_000, 16)
    gradient.answered(0.0, 0.01 * 132, 100, 1, 1)
    now = feed(gradient, 10.0, lambda at_once: 0.01 * max(1, at_once / 400), 40)
    assert 400 <= gradient.limit <= 1_000
    now = feed(gradient, now, lambda at_once: 0.01 * max(1, at_once / 100), 40)
    assert 100 <= gradient.limit <= 250
    feed(gradient, now, lambda at_once: 0.01 * max(1, at_once / 400), 60)
    assert 400 <= gradient.limit <= 1_000


def test_calls_that_only_write_more_are_no_congestion():
    gradient, now = Gradient(256, 16), 0.0
    for tokens in (10, 3_000):
        for _ in range(200):
            now += 100.0
            gradient.answered(now, now + 0.02 * (32 + tokens), tokens, 256, 256)
    assert gradient.limit == 256


def test_a_vendor_that_says_it_has_no_room_is_given_less_step_by_step():
    gradient = Gradient(500, 16)
    for at in range(200):
        gradient.refused(float(at), gradient.limit)
    assert gradient.limit == 16


@settings(max_examples=100)
@given(paces=st.lists(st.tuples(st.floats(0.0001, 100.0), st.integers(0, 5_000)), max_size=300))
def test_the_limit_stays_within_its_bounds_whatever_is_seen(paces):
    gradient, now = Gradient(1_000, 16), 0.0
    for pace, at_once in paces:
        now += pace * 132
        gradient.answered(now - pace * 132, now, 100, at_once, at_once)
        assert 16 <= gradient.limit <= 1_000
    assert TOLERANCE > 1
