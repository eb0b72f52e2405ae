"""Conversations of the Responses API through the whole gateway and the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from interlock.core.errors import StoreUnavailable
from interlock.testing.upstream import Answer, Asked

from .test_end_to_end import FILES, booked, house


def script(asked: Asked) -> Answer:
    """Says how many turns it has seen."""
    return Answer(text=f"turn {len(asked.body['messages'])}", input_tokens=10, output_tokens=2)


@pytest.mark.requirement("GW-02")
async def test_a_conversation_goes_on_after_a_restart_and_branches_where_the_client_says(tmp_path: Path) -> None:
    async with house(tmp_path) as up, up.client() as client:
        up.upstream.script = script
        first = await client.responses.create(model="support", input="one", instructions="Count.")
        stream: Any = await client.responses.create(
            model="support", input="two", previous_response_id=first.id, stream=True
        )
        events = [event async for event in stream]
        second = events[-1].response
    assert (first.output_text, second.output_text) == ("turn 2", "turn 3")
    async with house(tmp_path) as up, up.client() as client:
        up.upstream.script = script
        third = await client.responses.create(model="support", input="three", previous_response_id=second.id)
        other = await client.responses.create(model="support", input="else", previous_response_id=first.id)
        sent = [[message["content"] for message in asked.body["messages"]] for asked in up.upstream.asked]
        items = await client.responses.input_items.list(third.id, order="asc")
        await client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError, match="lacks a turn that was deleted"):
            await client.responses.create(model="support", input="four", previous_response_id=third.id)
    assert third.output_text == "turn 5"
    # Instructions are of one turn; what was said and answered goes on.
    assert sent == [["one", "turn 2", "two", "turn 3", "three"], ["one", "turn 2", "else"]]
    assert other.output_text == "turn 3"
    assert len(items.data) == 5
    assert booked(tmp_path) == (40, 8, 40 * 1000 + 8 * 2000)


@pytest.mark.requirement("GW-02")
async def test_a_workspace_may_keep_nothing(tmp_path: Path) -> None:
    files = FILES + "responses: {{keep: false}}\n"
    async with house(tmp_path, Answer(text="Good."), files) as up, up.client() as client:
        made = await client.responses.create(model="support", input="one", store=True)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.create(model="support", input="two", previous_response_id=made.id)
    assert made.model_extra is not None
    assert made.model_extra["store"] is False


@pytest.mark.requirement("GW-02")
async def test_an_answer_goes_out_although_it_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(tmp_path, Answer(text="Good.")) as up, up.client() as client:

        async def broken(*_: Any, **__: Any) -> None:
            raise StoreUnavailable("the disk is full")

        monkeypatch.setattr(up.il.kept_responses, "keep", broken)
        raw: Any = await client.responses.with_raw_response.create(model="support", input="one")
    assert raw.parse().output_text == "Good."
    assert "x-interlock-not-stored" in raw.headers


@pytest.mark.requirement("GW-02")
async def test_nothing_of_a_response_is_imported_while_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    asked: list[str] = []

    class Watch:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            asked.append(name)

    async with house(tmp_path, Answer(text="Good.")) as up, up.client() as client:
        for number in range(3):
            if number == 2:
                monkeypatch.setattr(sys, "meta_path", [Watch(), *sys.meta_path])
            made = await client.responses.create(model="support", input=f"one {number}")
            await client.responses.create(model="support", input=f"two {number}", previous_response_id=made.id)
            await client.embeddings.create(model="simulated/small", input=f"text {number}")
    assert [name for name in asked if name.startswith("interlock")] == []
