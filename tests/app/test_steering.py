"""Verifiers, a learned route and the premium cap as a workspace's files name them, through the public face."""

import pytest

from interlock.app import Interlock
from interlock.app.labels import read_labels
from interlock.app.routes import Plan, train, write_route
from interlock.app.tier0 import Model
from interlock.core.errors import ConfigError
from interlock.testing.upstream import Answer, Upstream

POLICY = """\
models:
  support: {{small: [openai/small-1], premium: [openai/big-1]}}
providers:
  openai: {{base_url: "{url}", api_key: test-key}}
prices:
  openai/small-1: {{input_mtok_usd: 0.1, output_mtok_usd: 0.4}}
  openai/big-1: {{input_mtok_usd: 10, output_mtok_usd: 40}}
routing:
  default_model: support
{routing}
"""


def opened(folder, vendor, routing):
    (folder / "interlock.yaml").write_text(POLICY.format(url=vendor.base_url, routing=routing))
    return Interlock.from_file(folder)


def by_model(**texts):
    """A vendor whose answer depends on the model."""
    return lambda asked: Answer(text=texts[asked.model.partition("-")[0]])


@pytest.mark.requirement("GW-14")
async def test_verifiers_of_the_files_look_at_answers_and_their_calls_are_priced_on_lines_of_their_own(tmp_path):
    routing = "  verifiers: {arithmetic: {}, judge: {model: openai/small-1, at_least: 0.6}}\n"
    async with Upstream() as vendor, opened(tmp_path, vendor, routing) as il:
        vendor.script = lambda asked: Answer(
            text="90"
            if "certainly right" in str(asked.body)
            else "2 + 2 = 4"
            if asked.model == "big-1"
            else "2 + 2 = 5"
        )
        event = (await il.chat("", "What is 2 + 2?")).settled

    assert event.deployment == "openai/big-1"
    assert event.escalations[0].reason.startswith("check arithmetic 0.00 < 0.5")
    assert [(each.deployment, each.purpose) for each in event.attempts] == [
        ("openai/small-1", ""),
        ("openai/big-1", ""),
        ("openai/small-1", "check:judge"),
    ]
    assert all(each.status == "ok" for each in event.attempts)
    assert not any("accepted although" in reason for reason in event.reasons)
    assert event.cost_nano_usd == sum(each.cost_nano_usd for each in event.attempts) > 0


@pytest.mark.requirement("GW-14", "GW-15")
async def test_a_route_trained_on_answers_judges_answers_with_the_prompt_s_vector(tmp_path):
    rows = ["prompt,small_answer,premium_answer,small_correct,premium_correct,small_cost_usd,premium_cost_usd"]
    for place in range(80):
        wrong = place % 3 == 0
        said = place + (4 if wrong else 3)
        rows.append(
            f"What is {place} + 3 apples?,{place} + 3 = {said},It is {place + 3},{int(not wrong)},1,0.0001,0.01"
        )
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    made = train(read_labels(tmp_path / "labels.csv"), Plan(recover=1.0), Model())
    write_route(made.route, tmp_path / "routes" / "r.json")

    async with Upstream() as vendor, opened(tmp_path, vendor, "  route: routes/r.json\n") as il:
        vendor.script = by_model(small="17 + 3 = 21", big="17 + 3 = 20")
        wrong = (await il.chat("", "What is 17 + 3 apples?")).settled
        vendor.script = by_model(small="18 + 3 = 21", big="no")
        right = (await il.chat("", "What is 18 + 3 apples?")).settled

    assert made.route.wants_vector
    assert made.route.figures["after: apgr"] > 0.8
    assert wrong.deployment == "openai/big-1"
    assert wrong.escalations[0].reason.startswith("learned route: the answer is right with 0.")
    assert right.deployment == "openai/small-1"
    assert right.confidence is not None
    assert right.confidence > 0.9


@pytest.mark.requirement("GW-15")
async def test_the_cap_of_the_files_holds_whatever_rules_want(tmp_path):
    routing = '  premium_share_cap: 15%\n  escalate_if: [{condition: "check_hedging < 0.5", model: premium}]\n  verifiers: {hedging: {at_least: 0}}\n'
    async with Upstream(Answer(text="I cannot help with that.")) as vendor, opened(tmp_path, vendor, routing) as il:
        events = [(await il.chat("", f"Question {place}?")).settled for place in range(60)]

    premium = sum(any(each.tier == "premium" for each in event.attempts) for event in events)
    assert premium == 10  # one in hand, and 15 % of 60
    assert any("premium_share_cap 15% is used up" in reason for event in events for reason in event.reasons)


@pytest.mark.requirement("GW-14")
async def test_a_contract_names_verifiers_of_its_own(tmp_path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "plain.yaml").write_text("agent: {model: support, verifiers: {}}\n")
    (tmp_path / "agents" / "strict.yaml").write_text("agent: {model: support, verifiers: [hedging, length]}\n")
    async with Upstream() as vendor, opened(tmp_path, vendor, "  verifiers: [arithmetic]\n") as il:
        workflows = il.gateway._desk.settings.workflows
        assert workflows["plain"].checks == ()
        assert [check.name for check in workflows["strict"].checks] == ["hedging", "length"]
        assert [check.name for check in il.gateway._desk.settings.anywhere.checks] == ["arithmetic"]


def test_a_condition_over_a_check_that_nobody_makes_is_a_fault(tmp_path):
    (tmp_path / "interlock.yaml").write_text(
        'models: {support: [simulated/small]}\nrouting: {escalate_if: [{condition: "check_arithmetic < 0.5", model: support}]}\n'
    )
    with pytest.raises(ConfigError, match="unknown name 'check_arithmetic'"):
        Interlock.from_file(tmp_path)


@pytest.mark.requirement("GW-14")
async def test_code_in_an_answer_is_tried_in_the_sandbox_with_the_tests_of_the_request(tmp_path):
    facts = {"unit_tests": "assert add(1, 2) == 3, add(1, 2)"}
    async with (
        Upstream() as vendor,
        opened(tmp_path, vendor, "  verifiers: [unit_test]\n  facts: [unit_tests]\n") as il,
    ):
        vendor.script = by_model(
            small="```python\ndef add(a, b):\n    return a - b\n```",
            big="```python\ndef add(a, b):\n    return a + b\n```",
        )
        event = (await il.chat("", "Write add(a, b).", facts=facts)).settled

    if any("not carried out" in reason for reason in event.reasons):
        pytest.skip("; ".join(event.reasons))  # this host isolates nothing
    assert event.deployment == "openai/big-1"
    assert event.escalations[0].reason == "check unit_test 0.00 < 0.5: the tests fail: AssertionError: -1"
