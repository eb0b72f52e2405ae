"""The Responses face under any input and any stream."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.chat import ChatResponse, Chunk, Thought, ThoughtDelta, ToolCallDelta
from interlock.core.errors import InvalidRequest
from interlock.server.responses_items import sealed_of, thought_of
from interlock.server.responses_read import ResponsesReader
from interlock.server.responses_stream import ResponsesStream

READER = ResponsesReader()
PLAIN: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.sampled_from(["auto", "message", "user"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["message", "function_call", "function_call_output", "reasoning", "item_reference", "input_text", "input_image"]
)
FIELDS = ("role", "content", "id", "call_id", "name", "arguments", "output", "summary", "encrypted_content", "text")
SOME: Any = dict.fromkeys(FIELDS, PLAIN)
ITEM = st.fixed_dictionaries({"type": KINDS}, optional=SOME) | PLAIN
WISHES: Any = dict.fromkeys(
    ("tools", "tool_choice", "text", "reasoning", "include", "store", "metadata", "instructions", "other"), PLAIN
)
BODY = st.fixed_dictionaries(
    {"model": st.just("m"), "input": st.lists(ITEM, max_size=4) | st.text(max_size=5)}, optional=WISHES
)


@given(BODY)
@pytest.mark.requirement("GW-02")
def test_whatever_comes_in_is_a_request_or_a_refusal(body: Any) -> None:
    try:
        asked = READER.read(json.dumps(body).encode(), {})
        chat = asked.with_earlier(())
    except InvalidRequest:
        return
    assert chat.messages or chat.extra
    assert chat.raw


TEXT = st.text(alphabet="ab é", min_size=1, max_size=4)
CHUNK = st.one_of(
    TEXT.map(lambda text: Chunk(text=text)),
    TEXT.map(lambda text: Chunk(refusal=text)),
    st.builds(lambda at, text: Chunk(thoughts=(ThoughtDelta(at, text=text),)), st.integers(0, 2), TEXT),
    st.builds(
        lambda at, text: Chunk(tool_calls=(ToolCallDelta(at, f"call_{at}", f"tool{at}", text),)),
        st.integers(0, 2),
        TEXT,
    ),
)


def ids() -> Callable[[str], str]:
    numbers = itertools.count()
    return lambda prefix: f"{prefix}_{next(numbers)}"


@given(st.lists(CHUNK, max_size=12))
@pytest.mark.requirement("GW-02")
def test_every_item_of_a_stream_begins_grows_and_ends_and_the_last_event_holds_them_all(chunks: list[Chunk]) -> None:
    writer = ResponsesStream({"store": True, "previous_response_id": None}, "m", ids(), 1)
    data = b"".join(writer.piece(chunk) for chunk in chunks)
    reply = writer.end(ChatResponse("m"))
    data += writer.closing(reply)
    events = [json.loads(event.split(b"data: ")[1]) for event in data.split(b"\n\n") if event]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == "response.completed"
    output = events[-1]["response"]["output"]
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    done = {event["item"]["id"]: event["item"] for event in events if event["type"] == "response.output_item.done"}
    assert [item["id"] for item in output] == added
    assert [done[name] for name in added] == output
    said = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert said == "".join(chunk.text for chunk in chunks)
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    assert "".join(part["text"] for part in parts if part["type"] == "output_text") == said
    written: dict[str, str] = {}
    for chunk in chunks:
        for call in chunk.tool_calls:
            written[call.id] = written.get(call.id, "") + call.arguments
    assert {item["call_id"]: item["arguments"] for item in output if item["type"] == "function_call"} == written


@given(
    st.builds(
        Thought,
        text=st.text(max_size=9),
        signature=st.text(max_size=9),
        data=st.text(max_size=9),
        origin=st.sampled_from(["anthropic", "gemini"]),
    )
)
@pytest.mark.requirement("GW-02")
def test_a_wrapped_seal_opens_to_what_was_wrapped(thought: Thought) -> None:
    sealed = sealed_of(thought)
    if sealed is None:
        assert not thought.signature
        assert not thought.data
        return
    assert thought_of([], None, sealed, "") == thought
