"""The walk of a whole answer."""

import sys

import pytest

from interlock.core.budget import Budget, Limits
from interlock.core.errors import LimitReached, UnknownModel, UpstreamRefused
from interlock.gateway.settings import Settings
from tests.gateway.kit import Bench, Scripted, ask, reply, unsure


@pytest.mark.requirement("GW-13")
async def test_a_plain_call_goes_to_the_smallest_model_and_settles_once():
    bench = Bench(Scripted())
    got = await bench.chat()
    assert got.response.text == "an answer"
    assert got.settled is bench.event
    assert (bench.event.status, bench.event.deployment, bench.event.tier) == ("ok", "fake/small", "small")
    assert bench.event.cost_nano_usd == 20 * 100 + 10 * 400 == sum(each.cost_nano_usd for each in bench.event.attempts)
    assert bench.event.caller.task.startswith("tsk_")
    assert bench.event.caller.step == 1


@pytest.mark.requirement("GW-14")
async def test_a_low_confidence_is_escalated_and_the_reason_kept():
    bench = Bench(
        Scripted(small=reply("small", confidence=0.41), mid=reply("mid", confidence=0.9)),
        Settings(rules=(unsure("mid"),)),
    )
    got = await bench.chat()
    assert got.response.model == "mid"
    (up,) = bench.event.escalations
    assert (up.from_model, up.to_model) == ("fake/small", "fake/mid")
    assert "confidence=0.41" in up.reason
    assert bench.event.cost_nano_usd == (20 * 100 + 10 * 400) + (20 * 2_000 + 10 * 8_000)


async def test_an_unknown_model_is_refused_and_settled():
    bench = Bench(Scripted())
    with pytest.raises(UnknownModel):
        await bench.chat(ask().but(model="nope"))
    assert (bench.event.status, bench.event.error) == ("refused", "model_not_found")


@pytest.mark.requirement("GW-26")
async def test_a_failing_candidate_is_replaced_by_its_peer_and_asked_again_where_that_one_fails_too():
    down = UpstreamRefused("status 503.", upstream_status=503)
    bench = Bench(Scripted(small=down))
    assert (await bench.chat()).response.model == "small2"
    assert [each.status for each in bench.event.attempts] == ["error", "ok"]
    bench = Bench(Scripted(small=[down, reply("small")], small2=down))
    assert (await bench.chat()).response.model == "small"
    assert bench.provider.models == ["small", "small2", "small"], "rather than a dearer tier"
    assert len(set(bench.provider.keys)) == 1, "repeats carry the same idempotency key"


@pytest.mark.requirement("GW-16")
async def test_a_call_that_would_exceed_the_budget_is_not_sent():
    bench = Bench(Scripted())
    with pytest.raises(LimitReached):
        await bench.chat(budget=Budget(Limits(max_model_calls=0)))
    assert bench.provider.sent == []
    assert bench.event.status == "refused"


async def test_a_stream_yields_its_pieces_and_then_the_settled_reply():
    bench = Bench(Scripted())
    *pieces, last = await bench.streamed()
    assert "".join(piece.text for piece in pieces) == "an answer "
    assert last.settled is bench.event
    assert bench.event.status == "ok"


async def test_nothing_is_imported_inside_a_call():
    bench = Bench(Scripted(small=reply("small", confidence=0.4)), Settings(rules=(unsure("mid"),)))
    before = set(sys.modules)
    await bench.chat()
    await bench.streamed()
    assert set(sys.modules) == before
