"""Answers are looked at before they are given out: cheap checks, checks that ask, and what follows from them."""

import pytest

from interlock.core.budget import Budget, Limits
from interlock.core.events import Attempt
from interlock.core.verify import Ran
from interlock.gateway.checks import Check, ordered
from interlock.gateway.settings import Settings, Workflow
from interlock.plugins.verifiers import agreement, arithmetic, hedging, judge, unit_test
from tests.gateway.kit import Bench, Scripted, ask, reply, rule

WRONG_SUM = "3 * 60 = 200, so it is 200."
RIGHT_SUM = "3 * 60 = 180, so it is 180."


def check(module, at_least: float | None = 0.5, **settings):
    return Check(module.__name__.rpartition(".")[2], module.build(module.Settings(**settings)), module.NEEDS, at_least)


def bench(provider, *checks, rules=(), limits=None, **parts):
    flow = Workflow(checks=ordered(checks), limits=limits or Limits())
    return Bench(provider, Settings(rules=rules, workflows={"support_reply": flow}), **parts)


@pytest.mark.requirement("GW-14")
async def test_an_answer_whose_sum_is_wrong_goes_to_the_next_tier_with_the_reason():
    world = bench(Scripted(small=reply("small", WRONG_SUM), mid=reply("mid", RIGHT_SUM)), check(arithmetic))

    got = await world.chat()

    assert got.response.text == RIGHT_SUM
    [step] = world.event.escalations
    assert (step.from_model, step.to_model) == ("fake/small", "fake/mid")
    assert step.reason == "check arithmetic 0.00 < 0.5: 1 of 1 sums are wrong, the first says 200 where it is 180"


@pytest.mark.requirement("GW-14")
async def test_an_answer_that_the_checks_let_pass_stays():
    world = bench(Scripted(small=reply("small", RIGHT_SUM)), check(arithmetic), check(hedging))
    await world.chat()
    assert world.provider.models == ["small"]
    assert world.event.escalations == ()


@pytest.mark.requirement("GW-14")
async def test_conditions_see_the_scores_of_checks_that_send_nobody_up_by_themselves():
    rules = (rule("check_hedging", lambda facts: facts.get("check_hedging", 1) < 0.2, "premium"),)
    world = bench(
        Scripted(small=reply("small", "I cannot help with that.")), check(hedging, at_least=None), rules=rules
    )
    await world.chat()
    assert world.provider.models == ["small", "premium"]
    assert world.event.escalations[0].reason == "check_hedging (check_hedging=0.0)"


@pytest.mark.requirement("GW-14")
async def test_samples_that_disagree_send_the_answer_up_and_stand_on_lines_of_their_own():
    small = [reply("small", text) for text in ("It is 7.", "It is 9.", "It is 8.")]
    world = bench(Scripted(small=small, mid=reply("mid", "It is 9.")), check(agreement, samples=2))

    got = await world.chat()

    event = world.event
    assert got.response.text == "It is 9."
    assert [(each.deployment, each.purpose) for each in event.attempts[:3]] == [
        ("fake/small", ""),
        ("fake/small", "check:agreement"),
        ("fake/small", "check:agreement"),
    ]
    assert event.escalations[0].reason == "check agreement 0.00 < 0.5: 0 of 2 further samples agree"
    assert event.cost_nano_usd == sum(each.cost_nano_usd for each in event.attempts)
    assert all(each.cost_nano_usd > 0 for each in event.attempts)


@pytest.mark.requirement("GW-14")
async def test_asking_again_ends_once_the_samples_left_cannot_change_the_verdict():
    world = bench(Scripted(small=reply("small", "It is 7.")), check(agreement, samples=5))
    await world.chat()
    assert world.provider.models == ["small"] * 4  # the answer, and three of five that agree


@pytest.mark.requirement("GW-14")
async def test_a_judge_is_asked_as_data_and_its_number_counts():
    world = bench(
        Scripted(small=reply("small", "Tomorrow."), mid=[reply("mid", "20"), reply("mid", "In a week.")]),
        check(judge, model="mid"),
    )

    got = await world.chat()

    assert got.response.text == "In a week."
    (_, asked) = world.provider.sent[1]
    assert "<answer>\nTomorrow.\n</answer>" in asked.messages[1].text
    assert world.event.escalations[0].reason.startswith("check judge 0.20 < 0.5")


@pytest.mark.requirement("GW-14")
async def test_cheap_checks_go_first_and_what_they_find_saves_the_dear_ones():
    world = bench(
        Scripted(small=reply("small", WRONG_SUM), mid=reply("mid", RIGHT_SUM), premium=reply("premium", "90")),
        check(judge, model="premium"),
        check(arithmetic),
    )
    await world.chat()
    assert world.provider.models == ["small", "mid", "premium"]  # the judge sees the second answer only
    assert any(each.startswith("check judge left out: arithmetic") for each in world.event.reasons)


@pytest.mark.requirement("GW-14", "GW-16")
async def test_a_check_that_the_budget_has_no_room_for_is_left_out_and_the_answer_stands():
    world = bench(Scripted(), check(judge, model="premium"))
    budget = Budget(Limits(max_model_calls=1))

    await world.chat(budget=budget)

    assert world.provider.models == ["small"]
    assert any(each.startswith("check judge not carried out") for each in world.event.reasons)
    assert budget.committed.model_calls == 1


async def test_a_verifier_that_breaks_costs_nobody_an_answer():
    class Broken:
        def check(self, answered):
            raise RuntimeError("no such thing")

    world = bench(Scripted(), Check("broken", Broken(), "answer", 0.5))
    got = await world.chat()
    assert got.response.text == "an answer"
    assert "check broken failed: RuntimeError: no such thing" in world.event.reasons


@pytest.mark.requirement("GW-14")
async def test_tests_that_come_with_the_request_run_only_where_a_sandbox_is_present():
    class Runner:
        def __init__(self):
            self.programs = []

        async def run_python(self, program, *, timeout_s):
            self.programs.append(program)
            return Ran(ok="return a + b" in program, output="AssertionError: 3")

    runner = Runner()
    script = {"small": reply("small", "```python\ndef add(a, b):\n    return a - b\n```")}
    script["mid"] = reply("mid", "```python\ndef add(a, b):\n    return a + b\n```")
    request = ask(facts={"unit_tests": "assert add(1, 2) == 3"})
    with_sandbox = bench(Scripted(**script), check(unit_test), code_runner=runner)
    without = bench(Scripted(**script), check(unit_test))

    await with_sandbox.chat(request)
    await without.chat(request)

    assert with_sandbox.provider.models == ["small", "mid"]
    assert "assert add(1, 2) == 3" in runner.programs[0]
    assert without.provider.models == ["small"]
    assert "check unit_test not carried out: there is no sandbox here" in without.event.reasons


def test_an_attempt_that_answers_the_caller_has_no_purpose():
    assert Attempt(deployment="a/b", status="ok", started_ns=1, duration_us=1).purpose == ""
