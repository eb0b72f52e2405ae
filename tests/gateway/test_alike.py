"""Answers that are settled and learnt from together: the same comes of it as one by one."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.caller import Caller
from interlock.core.keys import Grant
from interlock.core.limits import Limit
from interlock.core.money import Usage
from interlock.gateway import bill
from interlock.gateway.health import DeploymentHealth
from interlock.gateway.quota import Quotas
from interlock.gateway.settings import Settings
from interlock.testing.clock import FakeClock
from tests.gateway.test_short import WHO, Asker, asked, bench_of, go, said

LIMITS = [
    Limit("rate", ("key",), period="minute", requests=1_000, tokens=10**7),
    Limit("budget", ("tenant",), period="day", nano_usd=10**9),
    Limit("at once", ("user",), concurrency=1_000),
]
CALLERS = [Caller("acme", user=user, key_id=f"key_{user}", workflow="support") for user in ("ann", "bob")]
COUNTS = st.integers(0, 5_000)
CALLS = st.lists(st.tuples(st.sampled_from(CALLERS), COUNTS, COUNTS, COUNTS, st.integers(0, 90)), max_size=12)
ANSWERS = st.lists(
    st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 90.0), COUNTS, COUNTS, st.text(max_size=9)), max_size=12
)


@given(CALLS)
def test_limits_stand_the_same_whether_calls_are_settled_together_or_one_by_one(calls):
    clocks, made = (FakeClock(), FakeClock()), []
    for clock in clocks:
        quotas = Quotas(LIMITS, clock)
        held = []
        for caller, into, out, cost, later_s in calls:
            held.append(
                (quotas.reserve(caller, "small", 5_000, 5_000, 5_000, 0, 16), (1, into, out, into + out, cost, 0))
            )
            clock.advance(later_s)  # some minutes have turned meanwhile
        made.append((quotas, held))
    (one, singly), (other, together) = made
    for held, used in singly:
        one.settle(held, used)
    other.settle_all(together)
    assert other.standings() == one.standings()
    other.settle_all(together)
    assert other.standings() == one.standings(), "what is settled twice counts once"


@given(ANSWERS)
def test_a_deployment_is_known_the_same_whether_answers_are_learnt_together_or_one_by_one(answers):
    one, other = DeploymentHealth("d", Settings()), DeploymentHealth("d", Settings())
    now_s, seen, weighed = 100.0, [], []
    for took_s, later_s, into, out, text in answers:
        now_s += later_s
        seen.append((now_s - took_s, now_s, out))
        weighed.append((into + 1, 0, text, Usage(input=into, output=out)))
        one.answered(*seen[-1])
        bill.learn(one, *weighed[-1])
    other.answered_all(seen)
    bill.learn_all(other, weighed)
    known = ("latency_s", "cost_s", "output_per_s", "input_share", "output_share", "retries")
    assert {name: getattr(other, name) for name in known} == {name: getattr(one, name) for name in known}
    assert other.breaker.seen == one.breaker.seen
    assert other.weights.usual == one.weights.usual


async def test_what_a_call_holds_is_freed_though_one_that_is_settled_with_it_holds_nothing():
    granted = [Grant()]
    clock = FakeClock()
    quotas = Quotas((), clock, grant_of=lambda _: granted[0])
    bench = bench_of({"small": [said()] * 3}, quotas=quotas, clock=clock)
    await go(bench, asked("first"), short=False)
    waiting = []
    for limits in ((), (Limit("running", ("key",), concurrency=5),)):
        granted[0] = Grant(limits=limits)  # the key is given limits in between
        quotas.forget()
        request = asked(f"hello {len(limits)}")
        waiting.append(Asker(request))
        lite = structs.replace(request, messages=())
        assert bench.gateway.shortcut.take(WHO, lite, request.messages, waiting[-1]) is not None
    assert [used for *_, used, _ in quotas.standings()] == [1]
    for asker in waiting:
        await asyncio.wait_for(asker.done, 30)
    bench.gateway._desk.afterwards.flush()
    assert [used for *_, used, _ in quotas.standings()] == [0]
