"""From files to the contract that the loop uses: every key of the file arrives where it is enforced."""

from pathlib import Path
from typing import Any

import pytest

from interlock.agents.compile import compile_contract
from interlock.config.load import load
from interlock.core.chat import ToolSpec
from interlock.core.errors import ConfigError
from interlock.tools.define import make
from tests.agents.kit import World, says, understands, wants

CONTRACT = """
agent:
  model: openai/gpt-4.1
  output_schema: Reply
  inputs: {text: string, account_tier: string?}
  tools:
    - {name: orders.get, timeout_ms: 1500, retries: 1, max_calls: 3, justify_after: 2}
    - {name: pay, timeout_ms: 2000, requires_human_approval: "amount_usd > 50"}
    - {name: letters.post, requires_human_approval: true}
  limits: {max_steps: 6, max_input_tokens: 8000, max_output_tokens: 800, max_cost_usd: 0.05}
  approval: {expires_after_s: 60, on_expiry: approve}
  logging: {store_prompts: none}
  tier0: {intents: intents/desk.yaml, knowledge: kb}
  flows:
    order_status:
      slots:
        order_id: {type: order_id, pattern: '[A-Z]{2}-\\d{5}'}
        size: {type: choice, choices: [S, M], required: false}
      steps:
        - {call: orders.get, with: {order_id: "{order_id}"}, as: order}
        - {when: "order.total > 1", answer: "{order.total|usd}", cite: [a]}
        - {when: "order.total <= 1", call: pay, with: {amount_usd: "{order.total}"}}
    opening_hours: {answer_from: knowledge}
"""
FILES = {
    "interlock.yaml": "workspace: acme\ntenant: acme\ntask_budgets: {desk: {max_model_calls: 5, max_output_tokens: 700}}\n",
    "agents/desk.yaml": CONTRACT,
    "intents/desk.yaml": "order_status: {examples: [where is my order, track my parcel]}\nopening_hours: {examples: [when are you open, opening times]}\nout_of_scope: {examples: [tell me a joke, who won the match]}\n",
    "schemas/Reply.json": '{"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}',
    "kb/a.md": "---\nid: a\ntitle: A\nintents: [order_status, opening_hours]\n---\nWe open at nine.\n",
}


def get(order_id: str) -> dict[str, Any]:
    return {"total": 12.5}


def pay(amount_usd: float) -> str:
    return "paid"


def unpay(result: str) -> str:
    return "unpaid"


TOOLS = {
    tool.name: tool
    for tool in (
        make(get, name="orders.get", effect="none"),
        make(pay, effect="idempotent", reversible_by="unpay"),
        make(unpay, effect="idempotent"),
        make(pay, name="pay.again", effect="idempotent"),
        make(lambda: None, name="letters.post", effect="once"),
    )
}


def compiled(folder: Path, contract: str = CONTRACT, **options: Any):
    for name, text in {**FILES, "agents/desk.yaml": contract}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return compile_contract(load(folder).agent("desk"), TOOLS, tenant="acme", **options)


def test_every_part_of_a_contract_arrives(tmp_path: Path):
    made = compiled(tmp_path)
    assert (made.workflow, made.model, made.tenant, made.tier0, made.store_prompts) == (
        "desk",
        "openai/gpt-4.1",
        "acme",
        True,
        "none",
    )
    assert (made.approval_expires_s, made.approval_on_expiry) == (60.0, "approve")
    assert (made.inputs["account_tier"].required, made.text_input) == (False, "text")
    limits = made.limits
    assert (limits.max_steps, limits.max_model_calls, limits.max_output_tokens) == (6, 5, 700)
    assert limits.max_cost_nano_usd == 50_000_000
    grant = made.grants["orders.get"]
    assert (grant.timeout_s, grant.retries, grant.max_calls, grant.justify_after) == (1.5, 1, 3, 2)
    assert made.approvals["letters.post"] is True
    assert made.approvals["pay"] is not True
    assert sorted(made.approvals) == ["letters.post", "pay"]
    assert {name: grant.retries >= 3 for name, grant in made.undo_grants.items()} == {"unpay": True}
    assert made.output_checker is not None
    assert made.output_checker.faults({}) != []
    flow = made.flows["order_status"]
    assert [slot.type for slot in flow.slots] == ["order_id", "choice"]
    assert [step.call for step in flow.steps] == ["orders.get", "", "pay"]
    assert made.flows["opening_hours"].from_knowledge
    assert made.versions.contract
    assert compiled(tmp_path, model="ollama/x").model == "ollama/x"


@pytest.mark.requirement("TL-09", "AG-06")
@pytest.mark.parametrize(
    ("standing_in", "why_not"),
    [
        ("fallback: letters.post", "repeating it does more harm"),
        ("fallback: pay", "repeating it does more harm"),
    ],
)
def test_a_tool_that_does_more_harm_stands_in_for_none(tmp_path: Path, standing_in: str, why_not: str):
    with pytest.raises(ConfigError, match=why_not):
        compiled(tmp_path, CONTRACT.replace("max_calls: 3", f"max_calls: 3, {standing_in}"))


@pytest.mark.requirement("TL-09", "AG-06")
def test_nobody_decides_anew_about_a_tool_that_stands_in(tmp_path: Path):
    """So one that waits for a person, or has other terms about where its data may go, cannot stand in."""
    again = "    - {name: pay.again, requires_human_approval: 'amount_usd > 1'}\n  limits:"
    with pytest.raises(ConfigError, match=r"pay.again cannot stand in for pay: it waits for a person's approval"):
        compiled(
            tmp_path,
            CONTRACT.replace("name: pay, timeout_ms", "name: pay, fallback: pay.again, timeout_ms").replace(
                "  limits:", again, 1
            ),
        )
    other = "    - {name: pay.again, flow: {effect: write}}\n  limits:"
    with pytest.raises(ConfigError, match="its information-flow terms are others"):
        compiled(
            tmp_path,
            CONTRACT.replace("name: pay, timeout_ms", "name: pay, fallback: pay.again, timeout_ms").replace(
                "  limits:", other, 1
            ),
        )


async def test_a_compiled_contract_runs(world: World, tmp_path: Path):
    (tmp_path / "ws").mkdir()
    agents = world.agents(compiled(tmp_path / "ws"), tier0=[understands("order_status")])
    result = await agents.run("desk", {"text": "where is fh 10234"})
    assert (result.outcome, result.answer, result.citations) == ("resolved", "$12.50", ("a",))


async def test_the_model_sees_the_tools_and_the_schema_of_the_file(world: World, tmp_path: Path):
    (tmp_path / "ws").mkdir()
    said = [wants(("pay", {"amount_usd": 5.0})), says({"answer": "ok"})]
    agents = world.agents(compiled(tmp_path / "ws"), said, tier0=[understands("other", accepted=False)])
    result = await agents.run("desk", {"text": "hello", "account_tier": "enterprise"})
    assert (result.outcome, result.answer) == ("resolved", "ok")
    request = world.gateway.requests[1]
    assert [tool.name for tool in request.tools] == ["orders_get", "pay", "letters_post"]
    assert isinstance(request.tools[0], ToolSpec)
    assert request.output_schema is not None
    assert (request.output_schema.name, request.max_output_tokens) == ("Reply", 700)
    assert request.facts == {"account_tier": "enterprise", "intent": "other"}
