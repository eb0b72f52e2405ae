"""The OpenAI Agents SDK runs a tool loop over the Responses API, in front of every provider.

The SDK is not part of the lock: `INTERLOCK_AGENTS_PYTHON` names an interpreter that has it (`pip install openai-agents` in an environment of its own).
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from interlock.testing.upstream import Answer, Asked

from .house import KEY, VENDORS, House

PYTHON = os.environ.get("INTERLOCK_AGENTS_PYTHON", "")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.requirement("GW-02"),
    pytest.mark.skipif(not PYTHON, reason="INTERLOCK_AGENTS_PYTHON names no interpreter with the Agents SDK"),
]
PROGRAM = """
import asyncio, json, sys
from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=sys.argv[1] + "/v1", api_key=sys.argv[2])
called = []


@function_tool
def get_weather(city: str) -> str:
    "The weather at a place."
    called.append(city)
    return f"rain in {city}"


async def main():
    model = OpenAIResponsesModel(model=sys.argv[3], openai_client=client)
    agent = Agent(name="weather", instructions="Be brief.", tools=[get_weather], model=model)
    whole = await Runner.run(agent, "Oslo and Rome?")
    streamed = Runner.run_streamed(agent, "Oslo and Rome?")
    kinds = [event.name async for event in streamed.stream_events() if event.type == "run_item_stream_event"]
    chained = await Runner.run(agent, "Oslo and Rome?", auto_previous_response_id=True)
    said = [whole.final_output, streamed.final_output, chained.final_output]
    print(json.dumps({"said": said, "called": called, "kinds": kinds}))


asyncio.run(main())
"""


def script(asked: Asked) -> Answer:
    if "rain in" in str(asked.body):
        return Answer(text="Rain in both.")
    return Answer(tool_calls=(("get_weather", '{"city":"Oslo"}'), ("get_weather", '{"city":"Rome"}')), text="")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_agents_sdk_runs_a_tool_loop(home: House, tmp_path: Path, vendor: str) -> None:
    home.script(vendor, script)
    (tmp_path / "agent.py").write_text(PROGRAM)
    arguments = (str(tmp_path / "agent.py"), home.url, KEY, home.model(vendor))
    process = await asyncio.create_subprocess_exec(PYTHON, *arguments, stdout=asyncio.subprocess.PIPE, env={})
    told, _ = await asyncio.wait_for(process.communicate(), 60)
    got = json.loads(told)
    assert got["said"] == ["Rain in both."] * 3
    assert got["called"] == ["Oslo", "Rome"] * 3
    assert got["kinds"] == ["tool_called", "tool_called", "tool_output", "tool_output", "message_output_created"]
