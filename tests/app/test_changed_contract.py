"""A contract that changed while a task waited: the task keeps the old one, goes on under the new one, or ends; whichever, its log says so."""

from pathlib import Path

import pytest

from interlock.app import Interlock
from interlock.config.load import load
from interlock.testing.upstream import Answer, Upstream, in_turn

from .conftest import Folder

WAITS = Answer(tool_calls=(("task_wait", '{"name": "go"}'),))
CONTRACT = """\
agent:
  name: helper
  model: openai/gpt-4o-mini
  prompt: prompts/helper.md
  when_changed: {policy}
  tools: [{{name: task.wait}}]
  limits: {{max_model_calls: {calls}}}
"""


def written(folder: Folder, policy: str, prompt: str, calls: int = 5) -> None:
    folder.write("agents/helper.yaml", CONTRACT.format(policy=policy, calls=calls))
    folder.write("prompts/helper.md", prompt)


@pytest.mark.requirement("AG-04")
@pytest.mark.parametrize(
    ("policy", "outcome", "prompt", "note"),
    [
        ("pin", "resolved", "Old words.", "it goes on under the one it began with"),
        ("migrate", "limit_reached", "Old words.", "its log is read under the new one"),
        ("fail", "failed", "Old words.", "says that this ends it"),
    ],
)
async def test_a_task_under_way_meets_a_changed_contract_as_the_contract_says(
    tmp_path: Path, policy: str, outcome: str, prompt: str, note: str
):
    folder = Folder(tmp_path)
    async with Upstream(in_turn(WAITS, Answer(text="Done."))) as upstream:
        folder.provider("openai", upstream.base_url)
        written(folder, policy, "Old words.")
        async with Interlock.from_file(tmp_path) as il:
            task = (await il.run("helper", {"text": "wait"})).task
        written(folder, policy, "New words.", calls=1)
        async with Interlock.from_file(tmp_path) as il:
            await il.agents.signal(task, "go", None, who="pat")
            result = await il.resume(task)
            trace = il.reader.trace(task)
        assert result is not None
        assert trace is not None
    assert result.outcome == outcome
    assert any(note in str(step.detail.get("reason", "")) for step in trace.steps)
    said = [asked.body["messages"][0]["content"] for asked in upstream.asked]
    assert said[-1] == prompt


@pytest.mark.requirement("AG-04", "OP-03")
async def test_a_task_that_waits_through_a_reload_goes_on_under_the_contract_it_began_with(tmp_path: Path):
    folder = Folder(tmp_path)
    async with Upstream(in_turn(WAITS, Answer(text="Done."), Answer(text="Done."))) as upstream:
        folder.provider("openai", upstream.base_url)
        written(folder, "pin", "Old words.")
        async with Interlock.from_file(tmp_path) as il:
            task = (await il.run("helper", {"text": "wait"})).task
            written(folder, "pin", "New words.", calls=1)
            async with il.heir(load(tmp_path)) as heir:
                await il.close()
                await heir.agents.signal(task, "go", None, who="pat")
                result = await heir.resume(task)
                fresh = await heir.run("helper", {"text": "hi"})
        assert result is not None
        assert (result.outcome, fresh.outcome) == ("resolved", "resolved")
    said = [asked.body["messages"][0]["content"] for asked in upstream.asked]
    assert said[1:] == ["Old words.", "New words."]


async def test_a_kept_version_is_the_same_one_and_each_is_kept_once(tmp_path: Path):
    folder = Folder(tmp_path)
    async with Upstream(Answer(text="Done.")) as upstream:
        folder.provider("openai", upstream.base_url)
        written(folder, "pin", "Old words.")
        async with Interlock.from_file(tmp_path) as il:
            for _ in range(2):
                await il.run("helper", {"text": "hi"})
            contract = il.contracts["helper"]
            state = await il.agents.state((await il.run("helper", {"text": "hi"})).task)
            found = await il.agents._kept.find(contract, state)
    assert found is not None
    assert (found.versions, found.prompt, found.limits) == (contract.versions, contract.prompt, contract.limits)
