"""The two YAML files of the user's documents load as written."""

from decimal import Decimal
from pathlib import Path

import pytest

from interlock.config.load import load
from interlock.core.budget import Limits
from tests.documents import CONTRACT, POLICY

KEYS = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}


def assert_contract(contract):
    inventory, payments = contract.tools
    assert contract.model == "gpt-4.1"
    assert contract.output_schema == "OrderDraft"
    assert (inventory.name, inventory.timeout_s, inventory.retries) == ("inventory.lookup", 1.5, 1)
    assert inventory.requires_human_approval is False
    assert (payments.name, payments.timeout_s, payments.retries) == ("payments.create_intent", 2.0, 0)
    assert payments.requires_human_approval is True
    assert contract.limits.limits == Limits(max_steps=6, max_input_tokens=8000, max_output_tokens=800)
    assert contract.logging.trace_id is True
    assert contract.logging.store_prompts == "redacted"


def assert_policy(settings):
    first, second = settings.routing.escalate_if
    assert settings.routing.default_model == "gpt-4o-mini"
    assert (first.condition.text, first.model) == ("confidence < 0.72", "claude-3-5-sonnet")
    assert second.condition.evaluate({"account_tier": "enterprise", "sentiment": "high_risk"}) is True
    assert second.model == "gpt-4o"
    semantic = settings.caching.semantic_cache
    assert (semantic.enabled, semantic.similarity_threshold, semantic.ttl_seconds) == (True, 0.92, 86_400)
    assert settings.caching.exact_cache.enabled is False
    budget = settings.task_budgets["support_reply"]
    assert budget.limits == Limits(max_model_calls=5, max_input_tokens=6000, max_output_tokens=700)
    assert budget.p95_latency_slo_ms == 6000


@pytest.mark.requirement("AG-01")
def test_contract_of_the_documents_loads_by_itself(write):
    workspace = load(write({"agent_contract.yaml": CONTRACT}) / "agent_contract.yaml", KEYS)

    assert list(workspace.agents) == ["agent_contract"]
    assert_contract(workspace.agent("agent_contract").contract)


@pytest.mark.requirement("AG-01")
def test_policy_of_the_documents_loads_by_itself(write):
    workspace = load(write({"inference_policy.yaml": POLICY}) / "inference_policy.yaml", KEYS)

    assert_policy(workspace.settings)
    assert workspace.limits_for("support_reply").max_model_calls == 5


@pytest.mark.requirement("AG-01")
@pytest.mark.parametrize("policy_file", ["interlock.yaml", "policies/inference_policy.yaml"])
def test_both_documents_load_together_in_a_workspace(write, policy_file):
    root = write({"agents/support_reply.yaml": CONTRACT, policy_file: POLICY})

    workspace = load(root, KEYS)

    agent = workspace.agent("support_reply")
    assert_contract(agent.contract)
    assert_policy(workspace.settings)
    assert agent.limits == Limits(max_steps=6, max_model_calls=5, max_input_tokens=6000, max_output_tokens=700)
    assert agent.p95_latency_slo_ms == 6000


@pytest.mark.requirement("AG-01")
def test_lower_and_upper_case_section_names_say_the_same(write, tmp_path):
    upper = load(write({"upper.yaml": POLICY}) / "upper.yaml", KEYS).settings
    lower = "\n".join(line.lower() if line.isupper() else line for line in POLICY.splitlines())
    shouted = POLICY.replace("semantic_cache", "SEMANTIC_CACHE").replace("escalate_if", "ESCALATE_IF")

    assert load(write({"lower.yaml": lower}) / "lower.yaml", KEYS).settings == upper
    assert load(write({"shouted.yaml": shouted}) / "shouted.yaml", KEYS).settings == upper


def test_what_the_documents_leave_open_warns_on_load_and_blocks_a_run(write):
    workspace = load(write({"agents/order.yaml": CONTRACT}), {})

    said = {(warning.line, warning.key): warning for warning in workspace.warnings}
    assert said[4, "agent.output_schema"].message == "no schema 'OrderDraft'"
    assert said[6, "agent.tools[0].name"].message == "no tool 'inventory.lookup' is defined"
    assert said[3, "agent.model"].hint == "Set OPENAI_API_KEY."
    blockers = workspace.blockers("order", ["inventory.lookup"])
    assert [fault.key for fault in blockers] == ["agent.model", "agent.output_schema", "agent.tools[1].name"]


def test_nothing_blocks_once_schema_tools_and_key_are_there(write):
    files = {"agents/order.yaml": CONTRACT, "schemas/OrderDraft.json": '{"type": "object"}'}

    workspace = load(write(files), KEYS)

    assert workspace.agent("order").output_schema == {"type": "object"}
    assert workspace.blockers("order", ["inventory.lookup", "payments.create_intent"]) == []


def test_another_model_can_stand_in_for_one_without_a_key(write):
    workspace = load(write({"agents/order.yaml": CONTRACT, "schemas/OrderDraft.json": "{}"}), {})
    tools = ["inventory.lookup", "payments.create_intent"]

    assert workspace.blockers("order", tools, model="simulated/small") == []
    assert "no key for anthropic" in workspace.blockers("order", tools, model="claude-3-5-sonnet")[0].message
    assert "no alias or model 'gtp-4'" in workspace.blockers("order", tools, model="gtp-4")[0].message


def test_examples_in_the_repository_are_valid():
    root = Path(__file__).resolve().parents[2]

    workspace = load(root / "examples" / "support", {})

    assert workspace.warnings == ()
    assert (
        workspace.blockers("support_reply", [tool.name for tool in workspace.agent("support_reply").contract.tools])
        == []
    )


def test_money_is_read_from_its_digits_and_never_through_a_float(write):
    price = '"a/b": {input_mtok_usd: 0.1, output_mtok_usd: "0.000000003"}'
    text = f"providers: {{a: {{dialect: openai}}}}\nprices: {{{price}}}\ntask_budgets: {{t: {{max_cost_usd: 0.123456789}}}}"

    settings = load(write({"interlock.yaml": text}), {}).settings

    assert settings.prices["a/b"].rates.input == int(Decimal("0.1") * 10**9)
    assert settings.prices["a/b"].rates.output == 3
    assert settings.prices["a/b"].rates.reasoning == 3
    assert settings.prices["a/b"].rates.cache_read == 100_000_000
    assert settings.task_budgets["t"].limits.max_cost_nano_usd == 123_456_789
