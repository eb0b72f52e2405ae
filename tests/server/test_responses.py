"""The official client's `responses` calls, unchanged, against a gateway that does what a test tells it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from interlock.core.chat import ChatResponse, Chunk, Message, Thought, ThoughtDelta, ToolCall, ToolCallDelta
from interlock.core.errors import LimitReached, UpstreamCut
from interlock.core.money import Usage
from interlock.core.ports import ChatReply
from interlock.server.responses_items import messages_of
from interlock.server.responses_read import ResponsesReader

from .door import KEY, Door, answered, opened, settled

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as made:
        yield made


@pytest.fixture
async def official(door: Door) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{door.url}/v1", max_retries=0) as made:
        yield made


def reply(**fields: Any) -> ChatReply:
    return ChatReply(
        ChatResponse(model="gpt-4o-mini", usage=Usage(input=9, output=3, reasoning=2), **fields), settled()
    )


@pytest.mark.requirement("GW-02")
async def test_a_text_comes_back_with_its_usage_and_how_the_call_settled(
    door: Door, official: openai.AsyncOpenAI
) -> None:
    raw = await official.responses.with_raw_response.create(
        model="support",
        input="Where is my order?",
        instructions="Be kind.",
        max_output_tokens=50,
        temperature=0.2,
        metadata={"case": "7"},
        store=False,
    )
    got: Any = raw.parse()
    assert (got.output_text, got.status, got.object) == ("Hello there.", "completed", "response")
    assert (got.usage.input_tokens, got.usage.output_tokens, got.usage.total_tokens) == (9, 3, 12)
    assert (got.instructions, got.metadata, got.max_output_tokens) == ("Be kind.", {"case": "7"}, 50)
    assert raw.headers["x-request-id"] == "call_1"
    assert raw.headers["x-interlock-cost-nano-usd"] == "4500"
    _, request = door.gateway.asked[0]
    assert request.messages == (Message("system", "Be kind."), Message("user", "Where is my order?"))
    assert (request.model, request.max_output_tokens, request.temperature) == ("support", 50, 0.2)


@pytest.mark.requirement("GW-02")
async def test_parallel_tool_calls_and_their_outputs_go_both_ways(door: Door, official: openai.AsyncOpenAI) -> None:
    calls = (ToolCall("call_a", "weather", '{"city":"Oslo"}'), ToolCall("call_b", "weather", '{"city":"Rome"}'))
    door.gateway.reply = reply(tool_calls=calls, finish="tool_calls")
    first = await official.responses.create(
        model="support", input="Oslo and Rome?", tools=[WEATHER], tool_choice="auto"
    )
    called: Any = [item for item in first.output if item.type == "function_call"]
    assert [(each.call_id, each.name, each.arguments) for each in called] == [
        (c.id, c.name, c.arguments) for c in calls
    ]
    door.gateway.reply = answered("Cold and warm.")
    outputs: Any = [{"type": "function_call_output", "call_id": each.call_id, "output": "12"} for each in called]
    second = await official.responses.create(
        model="support", previous_response_id=first.id, input=outputs, tools=[WEATHER], parallel_tool_calls=False
    )
    assert second.output_text == "Cold and warm."
    assert second.previous_response_id == first.id
    _, request = door.gateway.asked[1]
    assert [message.role for message in request.messages] == ["user", "assistant", "tool", "tool"]
    assert request.messages[1].tool_calls == calls
    assert request.messages[3] == Message("tool", "12", tool_call_id="call_b")
    assert (request.tools[0].name, request.tools[0].strict, request.parallel_tool_calls) == ("weather", True, False)


@pytest.mark.requirement("GW-02")
async def test_a_stream_tells_every_item_in_typed_numbered_events(door: Door, official: openai.AsyncOpenAI) -> None:
    whole = reply(
        text="It is cold.", tool_calls=(ToolCall("call_a", "weather", '{"city":"Oslo"}'),), finish="tool_calls"
    )
    door.gateway.pieces = [
        Chunk(thoughts=(ThoughtDelta(0, text="Look "),), model="gpt-4o-mini"),
        Chunk(thoughts=(ThoughtDelta(0, text="it up."),)),
        Chunk(thoughts=(ThoughtDelta(0, signature="sig", origin="anthropic"),)),
        Chunk(text="It is "),
        Chunk(text="cold."),
        Chunk(tool_calls=(ToolCallDelta(0, "call_a", "weather", '{"city"'),)),
        Chunk(tool_calls=(ToolCallDelta(0, arguments=':"Oslo"}'),)),
        Chunk(finish="tool_calls"),
        whole,
    ]
    async with official.responses.stream(model="support", input="Cold?", tools=[WEATHER]) as stream:
        events: list[Any] = [event async for event in stream]
        final = await stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert final.output_text == "It is cold."
    assert final.usage is not None
    assert final.usage.output_tokens_details.reasoning_tokens == 2
    kept = await official.responses.retrieve(final.id)
    assert kept.model_dump() == events[-1].response.model_dump() | {"output": kept.model_dump()["output"]}
    items: Any = await official.responses.input_items.list(final.id)
    assert [item.content for item in items.data] == ["Cold?"]


@pytest.mark.requirement("GW-02")
async def test_a_seal_on_reasoning_comes_back_to_the_vendor_as_it_was(door: Door, official: openai.AsyncOpenAI) -> None:
    thought = Thought("Think.", signature="sealed", data="", origin="anthropic")
    door.gateway.reply = reply(text="Yes.", thoughts=(thought,))
    include: Any = ["reasoning.encrypted_content"]
    first = await official.responses.create(
        model="support", input="Is it?", store=False, include=include, reasoning={"effort": "low", "summary": "auto"}
    )
    history: Any = [{"role": "user", "content": "Is it?"}, *(item.model_dump() for item in first.output)]
    await official.responses.create(model="support", input=[*history, {"role": "user", "content": "Sure?"}])
    _, request = door.gateway.asked[1]
    (back,) = request.messages[1].thoughts
    assert (back.text, back.signature, back.origin) == ("Think.", "sealed", "anthropic")
    assert request.messages[1].text == "Yes."
    asked = door.gateway.asked[0][1].thinking
    assert asked is not None
    assert (asked.effort, asked.shown) == ("low", True)
    turns, _ = messages_of([b'{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}'])
    assert turns[0].thoughts == (Thought(data="gAAA", origin="openai_responses", id="rs_1"),)


class Parcel(BaseModel):
    city: str


@pytest.mark.requirement("GW-02")
async def test_parse_sends_the_schema_and_gets_the_value(door: Door, official: openai.AsyncOpenAI) -> None:
    door.gateway.reply = answered('{"city":"Oslo"}')
    got = await official.responses.parse(model="support", input="Where?", text_format=Parcel)
    assert got.output_parsed == Parcel(city="Oslo")
    schema = door.gateway.asked[0][1].output_schema
    assert schema is not None
    assert (schema.name, schema.strict, schema.schema["required"]) == ("Parcel", True, ["city"])


@pytest.mark.requirement("GW-02")
async def test_a_cut_answer_is_incomplete_and_a_broken_stream_ends_as_failed(
    door: Door, official: openai.AsyncOpenAI
) -> None:
    door.gateway.reply = reply(text="It is c", finish="length")
    cut = await official.responses.create(model="support", input="Cold?")
    assert cut.incomplete_details is not None
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    door.gateway.pieces = [Chunk(text="It is"), UpstreamCut("the vendor broke off")]
    stream: Any = await official.responses.create(model="support", input="Cold?", stream=True)
    events = [event async for event in stream]
    assert (events[-1].type, events[-1].response.status) == ("response.failed", "failed")
    assert events[-1].response.error.type == "upstream_cut"


@pytest.mark.requirement("GW-02")
async def test_a_refused_call_is_an_error_of_the_clients_own_kind(door: Door, official: openai.AsyncOpenAI) -> None:
    door.gateway.reply = LimitReached("max_cost_usd", used=1, asked=1, maximum=1)
    with pytest.raises(openai.RateLimitError) as seen:
        await official.responses.create(model="support", input="Cold?")
    assert seen.value.request_id
    with pytest.raises(openai.BadRequestError, match="conversation") as bad:
        await official.responses.create(model="support", input="Cold?", conversation="conv_1")
    assert bad.value.param == "conversation"
    with pytest.raises(openai.BadRequestError, match=r"input\[0\]"):
        await official.responses.create(model="support", input=[{"type": "function_call_output", "output": "1"}])


@pytest.mark.requirement("GW-02", "SG-05")
async def test_a_response_is_there_for_its_own_key_only_and_until_it_is_deleted(
    door: Door, official: openai.AsyncOpenAI
) -> None:
    made = await official.responses.create(model="support", input="Remember 7.")
    assert (await official.responses.retrieve(made.id)).output_text == "Hello there."
    async with openai.AsyncOpenAI(api_key="il-other", base_url=f"{door.url}/v1", max_retries=0) as other:
        with pytest.raises(openai.NotFoundError, match="is kept for this key"):
            await other.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError, match="is kept for this key") as seen:
            await other.responses.create(model="support", input="Which?", previous_response_id=made.id)
    assert seen.value.param == "previous_response_id"
    await official.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await official.responses.create(model="support", input="Which?", previous_response_id=made.id)
    assert len(door.gateway.asked) == 1
    unkept = await official.responses.create(model="support", input="Forget.", store=False)
    with pytest.raises(openai.NotFoundError):
        await official.responses.retrieve(unkept.id)


def test_what_no_other_dialect_can_carry_is_named_by_its_path() -> None:
    body: dict[str, Any] = {
        "model": "m",
        "input": [{"type": "computer_call_output", "call_id": "c", "output": {}}, {"role": "user", "content": "hi"}],
        "tools": [WEATHER, {"type": "web_search"}],
        "prompt": {"id": "p"},
        "truncation": "auto",
        "service_tier": "flex",
    }
    asked = ResponsesReader().read(json.dumps(body).encode(), {})
    assert asked.with_earlier(()).extra == {
        "tools[1].type": "web_search",
        "body.prompt": {"id": "p"},
        "body.truncation": "auto",
        "service_tier": "flex",
        "input[0].type": "computer_call_output",
    }


@pytest.mark.requirement("GW-02")
async def test_tokens_of_a_request_are_counted_without_asking_a_model(door: Door, official: openai.AsyncOpenAI) -> None:
    count = await official.responses.input_tokens.count(model="support", input="How long is this?")
    assert (count.object, count.input_tokens > 0) == ("response.input_tokens", True)
