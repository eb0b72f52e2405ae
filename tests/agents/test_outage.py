"""A short outage of the models is waited out; only what does not pass goes to people, with what really was wrong."""

from typing import Any

import pytest

from interlock.agents.batch import Line, run_batch
from interlock.core.errors import CircuitOpen, Exhausted, InterlockError, RateLimited, UpstreamAuth, UpstreamRefused
from tests.agents.kit import World, contract, says


def circuit(wait_s: float = 2.0) -> CircuitOpen:
    message = "not asked: circuit open; 0.8 s ago: upstream_unreachable: refused by 10.0.0.1"
    return CircuitOpen(message, retry_after_s=wait_s, cause="upstream_unreachable")


def down() -> UpstreamRefused:
    return UpstreamRefused("status 503.", upstream_status=503)


async def batch(world: World, *said: Any, **fields: Any) -> Any:
    agents = world.agents(contract(**fields), said)
    done = [each async for each in run_batch(agents, "support", [Line(1, {"text": "t"})], batch="b")]
    return done[0].result


@pytest.mark.requirement("GW-26")
@pytest.mark.parametrize("outage", [circuit(), Exhausted([down(), circuit()]), down()])
async def test_a_task_of_a_batch_waits_for_a_model_that_is_out_for_a_while(world: World, outage: InterlockError):
    result = await batch(world, *[outage] * 5, says("ok"))
    assert result.outcome == "resolved"
    assert 20.0 <= sum(world.clock.slept) <= 60.0


async def test_the_wait_that_is_asked_for_is_kept(world: World):
    limited = RateLimited("slow down.", upstream_status=429, retry_after_s=7.0)
    assert (await batch(world, limited, says("ok"))).outcome == "resolved"
    assert sum(world.clock.slept) == pytest.approx(7.0)


async def test_an_outage_that_does_not_end_ends_the_task_with_its_real_cause(world: World):
    result = await batch(world, *[circuit()] * 30)
    assert result.outcome == "failed"
    assert "10.0.0.1" in (result.error or "")
    assert len(world.gateway.requests) == 9


async def test_no_task_waits_beyond_its_own_time(world: World):
    result = await batch(world, *[circuit(8.0)] * 30, limits={"max_seconds": 10.0})
    assert sum(world.clock.slept) <= 10.0
    assert (result.outcome, "10.0.0.1" in (result.error or "")) == ("failed", True)


async def test_what_will_not_pass_is_not_waited_for(world: World):
    result = await batch(world, UpstreamAuth("wrong key.", upstream_status=401))
    assert (result.outcome, world.clock.slept) == ("failed", [])


async def test_a_task_that_somebody_waits_for_is_given_up_sooner(world: World):
    agents = world.agents(contract(), [circuit()] * 30)
    result = await agents.run("support", {"text": "t"})
    assert result.outcome == "failed"
    assert sum(world.clock.slept) <= 5.0


async def test_a_process_that_ends_does_not_wait(world: World, monkeypatch: pytest.MonkeyPatch):
    async def sleep(seconds: float) -> None:
        world.clock.slept.append(seconds)
        agents.stop()

    monkeypatch.setattr(world.clock, "sleep", sleep)
    agents = world.agents(contract(), [circuit(20.0)] * 30)
    assert [each async for each in run_batch(agents, "support", [Line(1, {"text": "t"})], batch="b")] == []
    assert len(world.clock.slept) == 1
