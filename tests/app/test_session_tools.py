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
