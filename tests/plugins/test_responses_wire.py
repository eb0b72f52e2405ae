"""A vendor of the Responses API behind a caller of it: the caller's bytes go out, the vendor's come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.server.test_end_to_end import FILES, house
from tests.server.vendor import Asked, Said, Vendor, said, vendor

ANSWER: dict[str, Any] = {
    "id": "resp_vendor",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "small-2026",
    "output": [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "It rains.", "annotations": [], "logprobs": []}],
        },
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [{"type": "web_search"}],
    "store": False,
    "previous_response_id": None,
    "a_field_of_next_year": {"x": 1},
    "usage": {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 5},
        "output_tokens": 8,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 28,
    },
}


def events() -> bytes:
    made = [
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": {**ANSWER, "status": "in_progress", "output": []},
        },
        {"type": "response.web_search_call.searching", "sequence_number": 1, "output_index": 0, "item_id": "ws_1"},
        {
            "type": "response.output_text.delta",
            "sequence_number": 2,
            "output_index": 2,
            "content_index": 0,
            "item_id": "msg_1",
            "delta": "It rains.",
            "logprobs": [],
        },
        {"type": "response.completed", "sequence_number": 3, "response": ANSWER},
    ]
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in made)  # type: ignore[attr-defined]


def answer(asked: Asked) -> Said:
    return (200, "text/event-stream", events()) if asked.body.get("stream") else said(ANSWER)


def files(there: Vendor, *, responses: bool = True) -> str:
    """A workspace whose provider forwards responses, or does not."""
    options = "options: {{responses: true}}, " if responses else ""
    return FILES.replace("{base_url}", there.base_url).replace("api_key: sk-vendor", options + "api_key: sk-vendor")


@pytest.mark.requirement("GW-02", "GW-06")
async def test_built_in_tools_and_unknown_fields_go_through_as_they_are(tmp_path: Path) -> None:
    async with vendor(answer) as there, house(tmp_path, files=files(there)) as up, up.client() as client:
        raw: Any = await client.responses.with_raw_response.create(
            model="support",
            input="Weather?",
            tools=[{"type": "web_search"}],
            extra_body={"a_wish_of_next_year": 7},
        )
        first = raw.parse()
        stream: Any = await client.responses.create(
            model="support", input="And now?", previous_response_id=first.id, stream=True
        )
        told = [event async for event in stream]
    path, asked = there.asked[0].path, there.asked[0].body
    assert (path, asked["model"], asked["store"], asked["a_wish_of_next_year"]) == ("/v1/responses", "small", False, 7)
    assert asked["tools"] == [{"type": "web_search"}]
    assert (first.output_text, first.store, first.model_extra["a_field_of_next_year"]) == ("It rains.", True, {"x": 1})
    assert [item.type for item in first.output] == ["web_search_call", "reasoning", "message"]
    assert raw.headers["x-interlock-cost-nano-usd"] == str(15 * 1000 + 5 * 1000 + 8 * 2000)
    again = there.asked[1].body
    assert "previous_response_id" not in again
    assert [item["type"] for item in again["input"]] == [
        "message",
        "web_search_call",
        "reasoning",
        "message",
        "message",
    ]
    assert again["input"][2]["encrypted_content"] == "gAAA"
    assert [event.type for event in told] == [
        "response.created",
        "response.web_search_call.searching",
        "response.output_text.delta",
        "response.completed",
    ]
    assert [event.sequence_number for event in told] == [0, 1, 2, 3]
    assert (told[-1].response.previous_response_id, told[-1].response.store) == (first.id, True)


@pytest.mark.requirement("GW-02", "GW-06")
async def test_a_built_in_tool_is_a_clear_no_where_the_dialect_cannot_carry_it(tmp_path: Path) -> None:
    async with (
        vendor(answer) as there,
        house(tmp_path, files=files(there, responses=False)) as up,
        up.client() as client,
    ):
        with pytest.raises(openai.BadRequestError, match=r"tools\[0\].type cannot be carried"):
            await client.responses.create(model="support", input="Weather?", tools=[{"type": "web_search"}])
    assert there.asked == []
