"""What an agent keeps of a user: found again by the user's next task, by nobody else's, and by none that was begun for nobody."""

from pathlib import Path

import pytest

from interlock.app import Interlock
from interlock.testing.upstream import Answer, Upstream, in_turn

from .conftest import Folder

CONTRACT = """\
agent:
  name: helper
  model: openai/gpt-4o-mini
  logging: {store_prompts: full}
  tools: [{name: session.get}, {name: session.put}]
"""
PUT = Answer(tool_calls=(("session_put", '{"name": "size", "value": "M"}'),))
GET = Answer(tool_calls=(("session_get", '{"name": "size"}'),))
DONE = Answer(text="Done.")


@pytest.mark.requirement("ME-01")
async def test_what_was_kept_of_a_user_is_found_by_that_users_next_task_alone(tmp_path: Path):
    folder = Folder(tmp_path)
    async with Upstream(in_turn(PUT, DONE, GET, DONE, GET, DONE, GET, DONE)) as upstream:
        folder.provider("openai", upstream.base_url)
        folder.write("agents/helper.yaml", CONTRACT)
        told: list[str] = []
        for user in ("mia", "mia", "tom", ""):
            async with Interlock.from_file(tmp_path) as il:
                assert (await il.run("helper", {"text": "hi"}, user=user)).outcome == "resolved"
            told.append(str(list(upstream.asked)[-1].body["messages"][-1]["content"]))
    assert ['"kept":true' in told[0], '"value":"M"' in told[1], '"value":null' in told[2]] == [True] * 3
    assert "no_user" in told[3]


TOOLS = """\
from interlock import tool


@tool(name="crm.get", effect="none")
def get(name: str) -> dict[str, str]:
    return {"phone": "030-5550199"}
"""
GOVERNED = """\
agent:
  name: helper
  model: {model}/gpt-4o-mini
  logging: {{store_prompts: full}}
  tools:
    - {{name: crm.get, flow: {{confidentiality: tenant, source: crm}}}}
    - {{name: session.get, flow: {{}}}}
    - {{name: session.put, flow: {{readers: tenant, arguments: {{name: {{role: inside}}, value: {{role: inside}}}}}}}}
"""
LOOK = Answer(tool_calls=(("crm_get", '{"name": "Ann"}'),))
BOUND = 'residency: {labels: {"source:crm": {never: [openai]}}}\n'


@pytest.mark.requirement("SG-02")
async def test_what_a_session_keeps_bears_in_later_tasks_what_it_bore_when_it_was_kept(tmp_path: Path):
    folder = Folder(tmp_path)
    async with Upstream(in_turn(LOOK, PUT, DONE, GET, DONE, DONE)) as upstream:
        folder.provider("openai", upstream.base_url)
        folder.write("tools.py", TOOLS)
        folder.write("agents/helper.yaml", GOVERNED.format(model="openai"))
        async with Interlock.from_file(tmp_path) as il:
            assert (await il.run("helper", {"text": "keep it"}, user="mia")).outcome == "resolved"
        folder.write("interlock.yaml", BOUND)
        async with Interlock.from_file(tmp_path) as il:
            read = await il.run("helper", {"text": "what was it?"}, user="mia")
            other = await il.run("helper", {"text": "hello"}, user="tom")
        asked = len(upstream.asked)
    assert (read.outcome, other.outcome) == ("failed", "resolved")
    assert asked == 5, "the model that asked for it was not told what may not be seen there"


@pytest.mark.requirement("SG-02")
async def test_a_model_cannot_take_off_what_a_kept_text_bears(tmp_path: Path):
    folder, bare = Folder(tmp_path), Answer(tool_calls=(("session_put", '{"name": "labels of size", "value": ""}'),))
    async with Upstream(in_turn(LOOK, PUT, DONE, bare, DONE, GET, DONE)) as upstream:
        folder.provider("openai", upstream.base_url)
        folder.write("tools.py", TOOLS)
        for contract in (GOVERNED.format(model="openai"), CONTRACT):
            folder.write("agents/helper.yaml", contract)
            async with Interlock.from_file(tmp_path) as il:
                assert (await il.run("helper", {"text": "keep it"}, user="mia")).outcome == "resolved"
        assert "bad_name" in str(list(upstream.asked)[-1].body["messages"][-1]["content"])
        folder.write("agents/helper.yaml", GOVERNED.format(model="openai"))
        folder.write("interlock.yaml", BOUND)
        async with Interlock.from_file(tmp_path) as il:
            assert (await il.run("helper", {"text": "what was it?"}, user="mia")).outcome == "failed"
        assert len(upstream.asked) == 6, "the model that asked for it was not told what may not be seen there"
