"""What the pages show runs as it stands, against a served workspace."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from interlock.testing.upstream import Answer, Asked

from .house import KEY, House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("OP-07")]
DOCS = Path(__file__).resolve().parents[2] / "docs"


def script(asked: Asked) -> Answer:
    """Calls the tool that is offered, once; else answers."""
    called = any(message["role"] == "tool" for message in asked.body["messages"])
    if asked.body.get("tools") and not called:
        return Answer(tool_calls=(("get_weather", '{"city":"Oslo"}'),), text="")
    return Answer(text="It rains.")


@pytest.mark.parametrize(
    ("page", "says"),
    [("faces", "It rains."), ("responses", "It rains."), ("embeddings", "384"), ("batches", "completed")],
)
async def test_the_example_of_a_page_runs(
    home: House, capsys: pytest.CaptureFixture[str], page: str, says: str
) -> None:
    found = re.search(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    text = re.sub(r"KEY, URL = .*", f"KEY, URL = {KEY!r}, {home.url!r}", found[1])
    home.script("oa", script)
    for vendor in ("an", "ge"):
        home.script(vendor, Answer(text="It rains."))
    names: dict[str, Any] = {}
    await asyncio.to_thread(exec, text, names)
    for made in names.values():
        if isinstance(made, openai.OpenAI | anthropic.Anthropic):
            made.close()
    assert says in capsys.readouterr().out
