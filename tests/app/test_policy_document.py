"""Each key of the user's policy document is enforced, through the public face and vendors that speak their wire."""

from __future__ import annotations

import pytest

from interlock.app import Interlock
from interlock.core.caller import Caller
from interlock.core.chat import Message
from interlock.core.errors import LimitReached
from interlock.core.events import Settled
from interlock.testing.upstream import Answer, Upstream
from interlock.testing.vendors import Vendor
from tests.ledger.kit import records_in

from .conftest import Folder

CALLER = Caller("default", workflow="support_reply")
SURE = Answer(text="It arrives on Friday.", logprob=-0.01)
UNSURE = Answer(text="Perhaps on Friday?", logprob=-1.2)


async def opened(folder: Folder, openai: Upstream, anthropic: Vendor | None = None) -> Interlock:
    folder.provider("openai", openai.base_url)
    if anthropic is not None:
        folder.provider("anthropic", anthropic.base_url)
    return Interlock.from_file(folder.root)


@pytest.mark.requirement("GW-13")
async def test_a_call_that_names_no_model_goes_to_the_default_model(policy_folder):
    async with Upstream(SURE) as openai, await opened(policy_folder, openai) as il:
        reply = await il.chat("", "When does it arrive?", caller=CALLER)
    assert reply.settled.deployment == "openai/gpt-4o-mini"
    assert openai.asked[0].model == "gpt-4o-mini"


@pytest.mark.requirement("GW-14")
async def test_an_unsure_answer_escalates_and_the_reason_is_kept(policy_folder):
    async with (
        Upstream(UNSURE) as openai,
        Vendor("anthropic", Answer(text="On Friday.")) as anthropic,
        await opened(policy_folder, openai, anthropic) as il,
    ):
        reply = await il.chat("", "When does it arrive?", caller=CALLER)
    (escalation,) = reply.settled.escalations
    assert (escalation.from_model, escalation.to_model) == ("openai/gpt-4o-mini", "anthropic/claude-3-5-sonnet")
    assert escalation.reason.startswith("confidence < 0.72 (confidence=0.3")
    assert reply.response.text == "On Friday."
    assert anthropic.asked[0].model == "claude-3-5-sonnet"


@pytest.mark.requirement("GW-13")
async def test_a_condition_on_what_is_known_before_picks_the_model(policy_folder):
    facts = {"account_tier": "enterprise", "sentiment": "high_risk"}
    async with Upstream(SURE) as openai, await opened(policy_folder, openai) as il:
        reply = await il.chat("", "I am leaving you!", caller=CALLER, facts=facts)
        other = await il.chat("", "I am leaving you!", caller=CALLER, facts={**facts, "sentiment": "calm"})
    assert reply.settled.deployment == "openai/gpt-4o"
    assert "account_tier == 'enterprise'" in " ".join(reply.settled.reasons)
    assert other.settled.deployment == "openai/gpt-4o-mini"


@pytest.mark.requirement("GW-16")
async def test_the_sixth_model_call_of_a_task_is_not_sent(policy_folder):
    caller = Caller("default", workflow="support_reply", task="tsk_one")
    async with Upstream(SURE) as openai, await opened(policy_folder, openai) as il:
        for number in range(5):
            await il.chat("", f"Question {number}?", caller=caller, tools=())
        with pytest.raises(LimitReached, match="max_model_calls"):
            await il.chat("", "And a sixth, which is another matter?", caller=caller)
    assert openai.served.requests == 5


@pytest.mark.requirement("GW-16")
async def test_input_and_output_stay_within_the_budget_of_the_workflow(policy_folder):
    async with Upstream(SURE) as openai, await opened(policy_folder, openai) as il:
        await il.chat("", "Short?", caller=CALLER)
        with pytest.raises(LimitReached, match="max_input_tokens"):
            await il.chat("", "many words and more words " * 3_000, caller=CALLER)
    body = openai.asked[0].body
    assert (body.get("max_tokens") or body["max_completion_tokens"]) <= 700
    assert openai.served.requests == 1


async def test_a_similar_question_is_answered_from_the_semantic_cache_until_its_time_is_up(policy_folder):
    async with Upstream(SURE) as openai, await opened(policy_folder, openai) as il:
        first = await il.chat("", "How long does the delivery of a parcel take?", caller=CALLER)
        asked = (
            "How long does delivery of a parcel take?",
            "How long does the delivery of parcels take?",
            "How long does delivery of parcels take?",
        )
        repeats = [await il.chat("", text, caller=CALLER) for text in asked]
        again = next(
            each for each in repeats if each.settled.cache
        )  # some are audited: the model is asked all the same
        other = await il.chat("", "How do I send something back to you?", caller=CALLER)
        tenant = await il.chat("", "How long does the delivery of a parcel take?", caller=Caller("rival"))
    assert again.settled.cache == "semantic"
    assert again.response.text == first.response.text
    assert again.settled.cost_nano_usd == 0
    assert again.settled.saved_nano_usd > 0
    assert other.settled.cache == ""
    assert tenant.settled.cache == ""
    assert openai.served.requests == 3 + sum(not each.settled.cache for each in repeats)


async def test_numbers_that_differ_are_never_shared_however_similar_the_texts(policy_folder):
    async with Upstream(SURE) as openai, await opened(policy_folder, openai) as il:
        await il.chat("", "Where is order 10234 that I made last week?", caller=CALLER)
        other = await il.chat("", "Where is order 10235 that I made last week?", caller=CALLER)
    assert other.settled.cache == ""


async def test_a_similarity_below_the_threshold_is_no_hit(policy_folder):
    async with Upstream(SURE) as openai, await opened(policy_folder, openai) as il:
        await il.chat("", "How long does the delivery of a parcel take?", caller=CALLER)
        other = await il.chat("", "When will the thing I ordered be here?", caller=CALLER)
    assert other.settled.cache == ""


async def test_money_in_the_ledger_is_the_price_times_what_the_vendor_counted(policy_folder):
    answer = Answer(text="Yes.", input_tokens=1_000, output_tokens=100)
    async with Upstream(answer) as openai, await opened(policy_folder, openai) as il:
        reply = await il.chat("", (Message("user", "Is it so?"),), caller=CALLER)
        store = il.workspace.store
    assert reply.settled.usage.input == 1_000
    # gpt-4o-mini: 0.15 and 0.60 dollars per million tokens
    assert reply.settled.cost_nano_usd == 1_000 * 150 + 100 * 600
    (record,) = records_in(store)
    assert isinstance(record.event, Settled)
    assert record.event.cost_nano_usd == reply.settled.cost_nano_usd


@pytest.mark.requirement("SG-08")
@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("", None),
        ("logging: {store_prompts: redacted}\n", "My address is [email]."),
        ("logging: {store_prompts: full}\n", "My address is ada@example.org."),
    ],
)
async def test_what_is_kept_of_a_call_without_a_contract_is_the_workspaces_choice(policy_folder, policy, kept):
    policy_folder.write("policies/logging.yaml", policy)
    async with Upstream(SURE) as openai, await opened(policy_folder, openai) as il:
        await il.chat("gpt-4o-mini", "My address is ada@example.org.", caller=Caller("default"))
        store = il.workspace.store
    (record,) = records_in(store)
    assert (record.content and record.content["request"][0]["text"]) == kept
