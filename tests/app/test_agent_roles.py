"""One task, three models: a small one classifies, a middle one generates, a small one verifies; the trace says which did what."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.app import Interlock, open_reading
from interlock.cli.main import main
from interlock.core.store import TaskFilter
from interlock.testing.upstream import Answer, Asked, Upstream

from .conftest import TOOLS, Folder

SMALL, MIDDLE, JUDGE = "gpt-4.1-nano", "gpt-4.1", "gpt-4.1-mini"
FILES = {
    "interlock.yaml": f"workspace: roles\nrouting:\n  verifiers: {{judge: {{model: openai/{JUDGE}}}}}\n",
    "agents/classify.yaml": f"agent: {{name: classify, model: openai/{SMALL}, verifiers: {{}}}}\n",
    "agents/order.yaml": f"agent: {{name: order, model: openai/{MIDDLE}, tools: [{{name: agent.classify}}, {{name: inventory.lookup}}]}}\n",
    "tools.py": TOOLS,
}


def answering(asked: Asked) -> Answer:
    """Each model as its role wants it; the middle one asks for both tools at once, then answers."""
    if asked.model == SMALL:
        return Answer(text="a question about stock")
    if asked.model == JUDGE:
        return Answer(text="97")
    if any(each["role"] == "tool" for each in asked.body["messages"]):
        return Answer(text="Three of A1 are there.")
    return Answer(tool_calls=(("agent_classify", '{"text": "A1?"}'), ("inventory_lookup", '{"sku": "A1"}')))


@pytest.mark.requirement("AG-02")
async def test_each_role_has_its_model_tools_of_a_turn_run_together_and_the_trace_shows_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = Folder(tmp_path)
    for name, text in FILES.items():
        folder.write(name, text)
    async with Upstream(answering) as upstream:
        folder.provider("openai", upstream.base_url)
        async with Interlock.from_file(folder.root) as il:
            result = await il.run("order", {"text": "is A1 there?"})
        assert (result.outcome, result.answer) == ("resolved", "Three of A1 are there.")
        assert {each.model for each in upstream.asked} == {SMALL, MIDDLE, JUDGE}
    with open_reading(folder.root) as reading:
        trace = reading.trace(result.task)
        [child] = reading.tasks(TaskFilter(workflow="classify"))
        classified = reading.trace(child.task)
    assert trace is not None
    assert classified is not None
    tries = [each for step in trace.steps if step.call and step.call.kind == "model" for each in step.call.attempts]
    small = {step.call.deployment for step in classified.steps if step.call and step.call.kind == "model"}
    assert small == {f"openai/{SMALL}"}
    generated = [each for each in tries if each.purpose == ""]
    verified = [each for each in tries if each.purpose == "check:judge"]
    assert {each.deployment for each in generated} == {f"openai/{MIDDLE}"}
    assert {each.deployment for each in verified} == {f"openai/{JUDGE}"}

    assert main(["trace", result.task, "-w", str(folder.root)]) == 0
    shown = capsys.readouterr().out
    assert all(each in shown for each in ("check:judge", MIDDLE, JUDGE, "agent.classify", "inventory.lookup"))
