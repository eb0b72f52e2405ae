"""No call leaves the regions that its tenant, workflow and labels allow, whatever fails."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.caller import Caller
from interlock.core.chat import ChatResponse
from interlock.core.embed import EmbedRequest
from interlock.core.errors import (
    ConnectFailed,
    InterlockError,
    RateLimited,
    UpstreamAuth,
    UpstreamCut,
    UpstreamRejected,
    UpstreamTimeout,
)
from interlock.core.residency import Bounds, OutsideBounds
from interlock.gateway.settings import Caching, Settings, Tier
from interlock.gateway.terms import Balance, Ejecting, Hedging, InputCap
from interlock.governance.decisions import Policy
from interlock.governance.residency import LabelTerms, Places
from interlock.plugins.caches.front import FrontedCache
from interlock.plugins.caches.memory import MemoryCache
from interlock.testing.clock import FakeClock
from tests.gateway.kit import Bench, Scripted, ask, deployment, reply, unsure

REGIONS = ("eu-west", "eu-central", "us", "")
EU = frozenset(("eu-west", "eu-central"))


def bound(regions=None, **fields):
    return lambda _: Bounds(None if regions is None else frozenset(regions), because="tenant acme", **fields)


def tiers(*regions):
    return tuple(
        Tier(name, tuple(deployment(f"{name}{at}", region=region) for at, region in enumerate(some)))
        for name, some in zip(("small", "mid", "premium"), regions, strict=True)
    )


# --- Never outside --------------------------------------------------------------------------------------------------

FAILURES = (
    lambda: ConnectFailed("no connection."),
    lambda: UpstreamTimeout("nothing came."),
    lambda: RateLimited("busy.", upstream_status=429, retry_after_s=0.1),
    lambda: UpstreamAuth("wrong key.", upstream_status=401),
    lambda: UpstreamRejected("not so.", upstream_status=400),
)


@st.composite
def said_by(draw, model):
    """What one deployment answers, in turn: failures, unsure answers, streams that break off, good ones."""
    kinds = draw(st.lists(st.integers(0, len(FAILURES) + 2), min_size=1, max_size=4))
    lines = [
        FAILURES[kind]()
        if kind < len(FAILURES)
        else reply(
            model, text="half !cut" if kind == len(FAILURES) else "an answer", confidence=0.3 if kind % 2 else 0.9
        )
        for kind in kinds
    ]
    return [*lines, reply(model)]


@st.composite
def worlds(draw):
    made = tiers(*(draw(st.lists(st.sampled_from(REGIONS), min_size=1, max_size=3)) for _ in range(3)))
    models = [each.model for tier in made for each in tier.deployments]
    script = {model: draw(said_by(model)) for model in models}
    allowed = frozenset(draw(st.sets(st.sampled_from(REGIONS[:3]), max_size=2)))
    terms = Settings(
        rules=(unsure(draw(st.sampled_from(("mid", "premium", *models)))),) if draw(st.booleans()) else (),
        hedging=Hedging() if draw(st.booleans()) else None,
        balance={"*": Balance(draw(st.sampled_from(("weights", "latency", "cost"))))} if draw(st.booleans()) else {},
        ejecting=Ejecting(),
        input_caps={"support": InputCap(40, "summarise", draw(st.sampled_from(models)))} if draw(st.booleans()) else {},
    )
    return made, script, allowed, terms


@pytest.mark.requirement("SG-06")
@settings(max_examples=120, deadline=None)
@given(world=worlds(), streamed=st.booleans(), calls=st.integers(1, 4))
def test_no_call_leaves_its_regions_whatever_fails_escalates_or_is_hedged(world, streamed, calls):
    made, script, allowed, terms = world
    provider = Scripted(**script)

    async def run():
        bench = Bench(provider, terms, tiers=made, bounds_of=bound(allowed))
        for number in range(calls):
            text = f"Question {number}: " + "where is it? " * 40
            with suppress(InterlockError):
                if streamed:
                    await bench.streamed(ask(text, stream=True))
                else:
                    await bench.chat(ask(text))
            with suppress(InterlockError):
                await bench.gateway.count_tokens(Caller("acme"), ask(text))
        return bench

    bench = asyncio.run(run())
    where = {each.model: each.region for tier in made for each in tier.deployments}
    assert {where[model] for model in provider.models} <= allowed
    tried = [attempt for event in bench.ledger.settled for attempt in event.attempts]
    assert all(attempt.region == where[attempt.deployment.partition("/")[2]] for attempt in tried)
    inside = [model for model, region in where.items() if region in allowed]
    if not inside:
        assert {event.error for event in bench.ledger.settled} == {"residency"}


# --- What the caller and the ledger are told --------------------------------------------------------------------------


@pytest.mark.requirement("SG-06")
async def test_a_forced_failover_stays_inside_and_the_ledger_says_which_region_answered():
    down = [ConnectFailed("no connection.")]
    bench = Bench(Scripted(small0=down), tiers=tiers(["eu-west", "us"], ["eu-central"], ["us"]), bounds_of=bound(EU))
    await bench.chat()
    assert set(bench.provider.models) == {"small0", "mid0"}
    assert bench.event.attempts[-1].region == "eu-central"
    assert any("fake/small1 left out: region 'us' is outside eu-central, eu-west" in why for why in bench.event.reasons)


@pytest.mark.requirement("SG-06")
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_with_nowhere_to_go_is_refused_with_the_reason_and_settled(streamed):
    bench = Bench(Scripted(), tiers=tiers(["us"], ["us"], [""]), bounds_of=bound(EU))
    with pytest.raises(OutsideBounds, match="no model behind 'support' may see this call") as refused:
        await (bench.streamed() if streamed else bench.chat())
    assert (refused.value.status, bench.provider.sent, bench.event.error) == (403, [], "residency")
    assert "a provider without a region is outside" in str(refused.value)


@pytest.mark.requirement("SG-06")
async def test_an_unsure_answer_is_kept_where_the_better_model_is_outside():
    bench = Bench(
        Scripted(small0=reply("small0", confidence=0.2)),
        Settings(rules=(unsure("premium"),)),
        tiers=tiers(["eu-west"], ["us"], ["us"]),
        bounds_of=bound(EU),
    )
    got = await bench.chat()
    assert got.response.model == "small0"
    assert bench.provider.models == ["small0"]


@pytest.mark.requirement("SG-06")
async def test_a_model_that_the_caller_names_itself_is_bound_like_any_other():
    bench = Bench(Scripted(), tiers=tiers(["eu-west"], ["us"], ["us"]), bounds_of=bound(EU))
    with pytest.raises(OutsideBounds):
        await bench.chat(ask().but(model="fake/mid0"))
    with pytest.raises(OutsideBounds):
        await bench.gateway.count_tokens(Caller("acme"), ask().but(model="fake/mid0"))
    with pytest.raises(OutsideBounds):
        await bench.gateway.embeddings.embed(Caller("acme"), EmbedRequest("fake/mid0", ("a text",)))
    assert bench.provider.sent == []


# --- Labels ---------------------------------------------------------------------------------------------------------

TERMS = Policy.of(
    places=Places(
        {"acme": EU},
        {"legal": frozenset(("eu-west",))},
        {"secret": LabelTerms(never=frozenset(("fake",))), "phi": LabelTerms(frozenset(("us", "eu-central")))},
    )
)


def test_every_rule_takes_away_and_none_gives_back():
    def regions(caller):
        found = TERMS.bounds(caller)
        return None if found is None else found.regions

    assert regions(Caller("globex")) is None
    assert regions(Caller("acme")) == EU
    assert regions(Caller("acme", workflow="legal")) == {"eu-west"}
    assert regions(Caller("globex", labels=("phi",))) == {"us", "eu-central"}
    assert regions(Caller("acme", labels=("phi",))) == {"eu-central"}
    assert regions(Caller("acme", workflow="legal", labels=("phi", "unknown"))) == frozenset()
    secret = TERMS.bounds(Caller("globex", labels=("secret",)))
    assert secret is not None
    found = secret.judge("fake", "us")
    assert (found.outcome, found.rule, found.version) == ("deny", "residency.provider", TERMS.places_version)
    assert TERMS.provider(Caller("globex", labels=("secret",)), "fake", "us") == found
    assert TERMS.provider(Caller("globex"), "fake", "us").outcome == "allow"
    assert TERMS.bounds(Caller("acme", user="u", task="t")) == TERMS.bounds(Caller("acme", user="v", task="w"))


@pytest.mark.requirement("SG-02", "SG-06")
async def test_a_label_keeps_a_provider_from_what_it_may_not_see():
    bench = Bench(Scripted(), bounds_of=TERMS.bounds)
    await bench.chat(caller=Caller("globex"))
    with pytest.raises(OutsideBounds, match=r"provider 'fake' may not see it \(label secret\)"):
        await bench.chat(caller=Caller("globex", labels=("secret",)))
    assert len(bench.provider.sent) == 1
    assert bench.ledger.last.caller.labels == ("secret",)


def test_two_rules_that_exclude_each_other_leave_nowhere():
    nowhere = Bounds(frozenset(), because="tenant acme, label phi")
    assert nowhere.judge("any", "us").reason == "region 'us' is outside nowhere (tenant acme, label phi)"


@pytest.mark.requirement("SG-02")
@pytest.mark.parametrize("where", ["eu-west", "us"])
async def test_what_bears_a_label_is_summarised_only_where_it_may_be_seen_and_then_serves_nobody_below(where):
    made = tiers(["eu-west"], [where], [where])
    cached = Caching(exact=True)
    terms = Settings(input_caps={"support": InputCap(400, "summarise", "mid0")}, caching=cached)
    phi = Policy.of(places=Places(labels={"phi": LabelTerms(frozenset(("eu-west",)))}))
    cache = FrontedCache(FakeClock(), MemoryCache())
    bench = Bench(Scripted(), terms, tiers=made, bounds_of=phi.bounds, answers=cache)
    router = bench.gateway._desk.router
    whole = router._tiers_of
    router._tiers_of = lambda name: (made[1],) if name == "mid0" else whole(name)
    long, low = "The customer writes that the order has not come. " * 60, Caller("acme", workflow="support")
    above = structs.replace(low, labels=("phi",))
    if where == "us":
        with pytest.raises(OutsideBounds, match=rf"residency.region, policy {phi.places_version}"):
            await bench.chat(ask(long), caller=above)
        assert bench.provider.sent == []
        return
    await bench.chat(ask(long), caller=above)
    assert {model for model, _ in bench.provider.sent} == {"mid0", "small0"}
    assert bench.ledger.last.caller.labels == ("phi",)
    assert (await bench.chat(ask(long), caller=above)).settled.cache == "exact"
    assert (await bench.chat(ask(long), caller=low)).settled.cache == ""


async def test_a_stream_that_breaks_off_is_not_continued_elsewhere():
    broken = ChatResponse(model="small0", text="half of it !cut")
    bench = Bench(Scripted(small0=broken), tiers=tiers(["eu-west"], ["us"], ["us"]), bounds_of=bound(EU))
    with pytest.raises(UpstreamCut):
        await bench.streamed()
    assert set(bench.provider.models) == {"small0"}
