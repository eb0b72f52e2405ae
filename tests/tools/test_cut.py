"""What a tool says too much of never reaches a prompt."""

import json
from pathlib import Path

import pytest

from interlock import Interlock
from interlock.testing.upstream import Answer, Upstream, in_turn

TOOLS = """
from interlock import tool

@tool(name="dump", effect="none")
def dump() -> list[str]:
    return ["a line of the dump"] * 100_000
"""


@pytest.mark.requirement("TL-13")
async def test_oversized_output_is_cut_and_labelled_before_it_reaches_the_prompt_or_the_trace(tmp_path: Path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "agents" / "a.yaml").write_text(
        "agent: {model: openai/gpt-4o-mini, logging: {store_prompts: full}, tools: [{name: dump, max_output_bytes: 4000}]}\n"
    )
    async with Upstream(in_turn(Answer(tool_calls=(("dump", "{}"),)), Answer(text="done"))) as upstream:
        (tmp_path / "interlock.yaml").write_text(
            f"providers: {{openai: {{base_url: '{upstream.base_url}', api_key: k}}}}\n"
        )
        async with Interlock.from_file(tmp_path) as il:
            result = await il.run("a", {"text": "dump it"})
        sent = json.dumps(upstream.asked[1].body)

    stored = sum(path.stat().st_size for path in (tmp_path / ".interlock").rglob("*") if path.is_file())
    assert result.outcome == "resolved"
    assert len(sent) < 20_000
    assert "truncated" in sent
    assert stored < 1_000_000
