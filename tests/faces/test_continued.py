"""A stream that its vendor cuts in the middle is gone on with, and the client's own accumulator sees one answer."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.testing.upstream import Answer, Asked

from .clients import Face, User
from .house import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("GW-30", "GW-06")]
LONG = "one two three four five six seven eight"


async def test_what_one_stream_began_another_ends(face: Face, home: House) -> None:
    def script(asked: Asked) -> Answer:
        last: dict[str, Any] = asked.body["messages"][-1]
        if last["role"] != "assistant":
            return Answer(text=LONG, cut_after=5, piece_delay_s=0.005)
        said = last["content"] if isinstance(last["content"], str) else last["content"][0]["text"]
        return Answer(text=LONG.removeprefix(said))

    home.script("an", script)
    got = await face.stream(f"an/claude-sonnet-4-5-{face.name}", (User("Count."),))
    assert (got.text, got.finish) == (LONG, "stop")
    assert len([each for each in home.vendors["an"].asked if each.model.endswith(face.name)]) == 2
