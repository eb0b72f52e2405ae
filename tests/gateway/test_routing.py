"""Plans."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import UnknownModel, UpstreamAuth
from interlock.gateway import route
from interlock.gateway.settings import Tier
from tests.gateway.kit import TIERS, Bench, Scripted, ask, deployment

USABLE = lambda _: ""  # noqa: E731
NAMES = st.lists(st.sampled_from("abcdef"), min_size=0, max_size=3)


@pytest.mark.requirement("GW-13")
def test_an_alias_is_tried_from_its_smallest_tier_up():
    plan = route.plan("support", TIERS, (), USABLE)
    assert [each.name for each in plan.candidates] == ["fake/small", "fake/small2", "fake/mid", "fake/premium"]
    assert plan.smaller == ()


@pytest.mark.requirement("GW-13")
def test_a_rule_starts_higher_and_leaves_the_tiers_below_for_the_ladder():
    plan = route.plan("support", TIERS, TIERS[2:], USABLE)
    assert [each.name for each in plan.candidates] == ["fake/premium"]
    assert [each.tier for each in plan.smaller] == ["mid", "small", "small"]


def test_a_rule_may_lead_outside_the_alias():
    elsewhere = (Tier("", (deployment("other"),)),)
    plan = route.plan("support", TIERS, elsewhere, USABLE)
    assert [each.name for each in plan.candidates] == ["fake/other"]
    assert [each.tier for each in plan.smaller] == ["premium", "mid", "small", "small"]


@given(tiers=st.lists(NAMES, max_size=4), chosen=st.integers(0, 4), without=st.sets(st.sampled_from("abcdef")))
def test_a_plan_names_every_usable_deployment_once_or_says_why_not(tiers, chosen, without):
    made = tuple(Tier(str(at), tuple(deployment(name) for name in names)) for at, names in enumerate(tiers))
    usable = {name for names in tiers for name in names} - without

    def unusable(target):
        return "no key" if target.model in without else ""

    if not usable:
        with pytest.raises(UpstreamAuth if any(tiers) else UnknownModel):
            route.plan("alias", made, made[chosen : chosen + 1], unusable)
        return
    plan = route.plan("alias", made, made[chosen : chosen + 1], unusable)
    names = [each.deployment.model for each in (*plan.candidates, *plan.smaller)]
    assert sorted(names) == sorted(usable)
    assert plan.candidates


async def test_a_deployment_without_its_key_is_left_out_with_the_reason():
    bench = Bench(Scripted(), unusable=lambda target: "OPENAI_API_KEY is not set" if target.model == "small" else "")
    got = await bench.chat()
    assert got.response.model == "small2"
    assert "fake/small left out: OPENAI_API_KEY is not set" in bench.event.reasons


async def test_nothing_usable_says_what_each_lacks():
    bench = Bench(Scripted(), unusable=lambda target: f"no key for {target.model}")
    with pytest.raises(UpstreamAuth, match=r"no key for small; .* no key for premium"):
        await bench.chat(ask())
    assert bench.event.status == "error"
