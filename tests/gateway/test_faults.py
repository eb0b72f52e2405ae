"""The matrix: every kind of fault × whole or streamed × alone or with a peer. One event each, the right outcome, nothing left behind."""

import pytest

from interlock.core.chat import Chunk
from interlock.core.errors import (
    BadReply,
    CircuitOpen,
    ConnectFailed,
    InterlockError,
    InvalidRequest,
    RateLimited,
    Shed,
    UpstreamAuth,
    UpstreamCut,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamStalled,
    UpstreamTimeout,
)
from interlock.core.money import Usage
from interlock.gateway.settings import Settings, Tier
from interlock.gateway.terms import Balance, Hedging
from tests.gateway.kit import Bench, Scripted, deployment, reply

ONE = (Tier("small", (deployment("small"),)),)
PAIR = (Tier("small", (deployment("small"), deployment("small2"))),)
FAULTS = {
    "refused connection": lambda: ConnectFailed("refused."),
    "timeout": lambda: UpstreamTimeout("no answer."),
    "stall": lambda: UpstreamStalled("silence."),
    "cut": lambda: UpstreamCut("gone."),
    "garbage": lambda: BadReply("not JSON."),
    "500": lambda: UpstreamRefused("status 500.", upstream_status=500),
    "503 with a wait": lambda: UpstreamRefused("status 503.", upstream_status=503, retry_after_s=1.0),
    "429": lambda: RateLimited("slow down.", upstream_status=429, retry_after_s=1.0),
    "429 without a wait": lambda: RateLimited("slow down.", upstream_status=429),
    "wrong key": lambda: UpstreamAuth("wrong key.", upstream_status=401),
    "400": lambda: UpstreamRejected("bad field.", upstream_status=400),
    "404": lambda: UpstreamRejected("no such model.", upstream_status=404),
    "cannot be carried": lambda: InvalidRequest("no audio here."),
    "no connection free": lambda: Shed("too many wait.", retry_after_s=1.0),
    "a plug-in's bug": lambda: ZeroDivisionError("oops"),
}
FINAL = {"400"}
PASSES = {"wrong key", "404", "cannot be carried"}
"""Faults that the same deployment would show again."""


class Faulty(Scripted):
    """`small` fails so many times, before the first piece or in the middle of a stream."""

    def __init__(self, fault, times, midway=False):
        super().__init__()
        self.fault, self.times, self.midway = fault, times, midway

    async def chat(self, target, request, deadline, key):
        self.sent.append((target.model, request))
        self._fail(target)
        return reply(target.model)

    async def stream(self, target, request, deadline, key):
        self.sent.append((target.model, request))
        if not self.midway:
            self._fail(target)
        yield Chunk(text="word ")
        if self.midway:
            self._fail(target)
        yield Chunk(finish="stop", usage=Usage(input=20, output=2))

    def _fail(self, target):
        if target.model == "small" and self.times > 0:
            self.times -= 1
            raise self.fault()


def clean(bench):
    """One event, no open slot, no place kept, nothing under way."""
    event = bench.event
    for model in ("small", "small2"):
        health = bench.gateway._desk.health.deployment(f"fake/{model}")
        assert (health.line.inside, health.line.waiting, health.standing.under_way) == (0, 0, 0)
    assert bench.gateway._desk.gate.inside == 0
    assert event.cost_nano_usd == sum(each.cost_nano_usd for each in event.attempts)
    return event


async def outcome(bench, streamed):
    try:
        await (bench.streamed() if streamed else bench.chat())
    except InterlockError as error:
        return error
    return None


@pytest.mark.requirement("GW-24", "GW-25", "GW-26")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "settings", [Settings(), Settings(hedging=Hedging(), balance={"*": Balance("latency")})], ids=["plain", "all on"]
)
@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_of_one_deployment_is_made_good_by_its_peer(name, streamed, settings):
    bench = Bench(Faulty(FAULTS[name], 10), settings, PAIR)
    error = await outcome(bench, streamed)
    event = clean(bench)
    if name in FINAL and bench.provider.models[0] == "small":
        assert isinstance(error, UpstreamRejected)
        assert bench.provider.models == ["small"], "the request is at fault wherever it goes"
    else:
        assert error is None
        assert event.status == "ok"
        assert event.deployment == "fake/small2"


@pytest.mark.requirement("GW-24", "GW-25")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", FAULTS)
async def test_alone_a_fault_that_passes_is_waited_out_and_one_that_does_not_is_told_at_once(name, streamed):
    bench = Bench(Faulty(FAULTS[name], 1), tiers=ONE)
    error = await outcome(bench, streamed)
    event = clean(bench)
    if name in FINAL | PASSES:
        assert error is not None
        assert len(bench.provider.sent) == 1
        assert event.retry_after_s == 0.0
    else:
        assert error is None
        assert bench.provider.models == ["small", "small"]


@pytest.mark.requirement("GW-24", "GW-30")
@pytest.mark.parametrize("name", FAULTS)
async def test_in_the_middle_of_a_stream_every_fault_is_a_typed_error(name):
    bench = Bench(Faulty(FAULTS[name], 1, midway=True), tiers=PAIR)
    try:
        error = await outcome(bench, streamed=True)
    except ZeroDivisionError as bug:
        error = bug
    event = clean(bench)
    assert error is not None
    assert event.status in ("error", "timeout", "shed")
    assert bench.provider.models == ["small"]


@pytest.mark.requirement("GW-25", "GW-26")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", sorted(set(FAULTS) - FINAL - PASSES))
async def test_a_fault_that_does_not_end_is_told_as_what_it_is_and_costs_few_sends(name, streamed):
    bench = Bench(Faulty(FAULTS[name], 10_000), tiers=ONE)
    error = await outcome(bench, streamed)
    event = clean(bench)
    assert isinstance(error, InterlockError)
    assert not isinstance(error, CircuitOpen)
    assert len(bench.provider.sent) <= 3
    assert event.retry_after_s > 0, "it may pass, so a task may wait for it"
