"""The official client's own calls, unchanged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from interlock.core.chat import ChatResponse, Chunk, Part, ToolCall, ToolCallDelta
from interlock.core.errors import (
    DeadlineMissed,
    Exhausted,
    InterlockError,
    InvalidRequest,
    LedgerFull,
    LimitReached,
    OutputInvalid,
    RateLimited,
    Shed,
    UnknownModel,
    UpstreamCut,
    UpstreamRejected,
)
from interlock.core.events import Escalation
from interlock.core.money import Usage
from interlock.core.ports import ChatReply
from interlock.server.openai_read import RequestReader

from .door import KEY, Door, answered, opened, settled

MESSAGES: Any = [{"role": "user", "content": "Where is my order?"}]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as made:
        yield made


@pytest.fixture
async def official(door: Door) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{door.url}/v1", max_retries=0) as made:
        yield made


@pytest.mark.requirement("GW-01")
async def test_a_text_comes_back_with_its_usage_and_how_the_call_settled(
    door: Door, official: openai.AsyncOpenAI
) -> None:
    door.gateway.reply = answered("It shipped.", degraded="smaller_model", escalations=(Escalation("a", "b", "why"),))
    raw = await official.chat.completions.with_raw_response.create(model="support", messages=MESSAGES, temperature=0.2)
    got: Any = raw.parse()
    assert got.choices[0].message.content == "It shipped."
    assert got.choices[0].finish_reason == "stop"
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (9, 3, 12)
    assert raw.headers["x-interlock-call-id"] == raw.headers["x-request-id"] == "call_1"
    assert raw.headers["x-interlock-model"] == "openai/gpt-4o-mini"
    assert raw.headers["x-interlock-cost-nano-usd"] == "4500"
    assert raw.headers["x-interlock-degraded"] == "smaller_model"
    assert raw.headers["x-interlock-escalations"] == "1"
    caller, request = door.gateway.asked[0]
    assert (caller.tenant, caller.key_id) == ("acme", "server")
    assert (request.model, request.temperature, request.messages[0].text) == ("support", 0.2, "Where is my order?")
    assert json.loads(request.raw)["messages"] == MESSAGES


async def test_a_simulated_answer_costs_no_real_money_and_says_that_it_is_simulated(
    door: Door, official: openai.AsyncOpenAI
) -> None:
    door.gateway.reply = answered("It shipped.", simulated=True)
    door.gateway.pieces = [Chunk(text="It shipped.", finish="stop"), answered("It shipped.", simulated=True)]
    whole = await official.chat.completions.with_raw_response.create(model="support", messages=MESSAGES)
    streamed: Any = await official.chat.completions.with_raw_response.create(
        model="support", messages=MESSAGES, stream=True
    )
    text: bytes = await streamed.http_response.aread()
    facts = json.loads(text.split(b": interlock ")[1].split(b"\n\n")[0])
    assert (whole.headers["x-interlock-cost-nano-usd"], whole.headers["x-interlock-simulated"]) == ("0", "true")
    assert (facts["cost_nano_usd"], facts["simulated"]) == (0, True)


async def test_an_answer_of_the_same_dialect_is_handed_on_byte_for_byte(
    door: Door, official: openai.AsyncOpenAI
) -> None:
    raw = b'{"id":"chatcmpl-1","choices":[],  "system_fingerprint":"fp_x", "new_field": 1}'
    door.gateway.reply = ChatReply(ChatResponse(model="m", raw=raw, raw_dialect="openai"), settled())
    got = await official.chat.completions.with_raw_response.create(model="support", messages=MESSAGES)
    assert got.content == raw


async def test_a_simulated_answer_says_so(door: Door, official: openai.AsyncOpenAI) -> None:
    door.gateway.reply = answered(simulated=True)
    raw = await official.chat.completions.with_raw_response.create(model="support", messages=MESSAGES)
    assert raw.headers["x-interlock-simulated"] == "true"


@pytest.mark.requirement("GW-01")
async def test_tools_go_in_and_calls_come_out(door: Door, official: openai.AsyncOpenAI) -> None:
    calls = (ToolCall("c1", "orders.get", '{"id": 1}'), ToolCall("c2", "orders.get", '{"id": 2}'))
    response = ChatResponse(model="m", tool_calls=calls, finish="tool_calls", usage=Usage(input=1, output=1))
    door.gateway.reply = ChatReply(response, settled())
    tool: Any = {
        "type": "function",
        "function": {"name": "orders.get", "parameters": {"type": "object"}, "description": "d", "strict": True},
    }
    history: Any = [
        *MESSAGES,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c0", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c0", "content": "done"},
    ]
    choice: Any = {"type": "function", "function": {"name": "orders.get"}}
    got: Any = await official.chat.completions.create(
        model="support", messages=history, tools=[tool], tool_choice=choice, parallel_tool_calls=True
    )
    made = got.choices[0].message.tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in made] == [
        ("c1", "orders.get", '{"id": 1}'),
        ("c2", "orders.get", '{"id": 2}'),
    ]
    assert got.choices[0].message.content is None
    request = door.gateway.asked[0][1]
    assert (request.tools[0].name, request.tools[0].strict, request.tool_choice) == ("orders.get", True, "orders.get")
    assert request.messages[1].tool_calls == (ToolCall("c0", "f", "{}"),)
    assert (request.messages[2].tool_call_id, request.messages[2].text) == ("c0", "done")


@pytest.mark.requirement("GW-01")
async def test_schemas_media_and_everything_else_are_understood(door: Door, official: openai.AsyncOpenAI) -> None:
    content: Any = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:x", "filename": "a.pdf"}},
    ]
    await official.chat.completions.create(
        model="support",
        messages=[{"role": "user", "content": content}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "S", "schema": {"type": "object"}, "strict": True},
        },
        max_completion_tokens=50,
        stop=["a", "b"],
        seed=7,
        logprobs=True,
        top_logprobs=2,
        n=1,
        user="u7",
        extra_body={"top_k": 5},
        extra_headers={
            "x-interlock-facts": '{"account_tier":"enterprise","risk":0.5}',
            "x-interlock-workflow": "refunds",
        },
    )
    caller, request = door.gateway.asked[0]
    assert isinstance(request.messages[0].content, tuple)
    assert [part.type for part in request.messages[0].content] == ["text", "image", "audio", "file"]
    assert request.messages[0].content[2] == Part("audio", data="AA==", media_type="audio/wav")
    assert request.output_schema is not None
    assert (request.output_schema.name, request.output_schema.strict) == ("S", True)
    assert (request.max_output_tokens, request.stop, request.seed, request.logprobs) == (50, ("a", "b"), 7, True)
    assert (request.extra, request.top_k, request.n) == ({"top_logprobs": 2}, 5, 1)
    assert request.tenant == "acme"
    assert request.facts == {"account_tier": "enterprise", "risk": 0.5}
    assert (caller.workflow, caller.user, caller.tenant) == ("refunds", "u7", "acme")


@pytest.mark.requirement("GW-01")
@pytest.mark.parametrize("include_usage", [False, True])
async def test_a_stream_of_own_making_reads_like_the_vendors(
    door: Door, official: openai.AsyncOpenAI, include_usage: bool
) -> None:
    door.gateway.pieces = [
        Chunk(text="It ", model="gpt-4o-mini"),
        Chunk(text="shipped."),
        Chunk(tool_calls=(ToolCallDelta(0, id="c1", name="orders.get", arguments='{"id"'),)),
        Chunk(tool_calls=(ToolCallDelta(0, arguments=": 1}"),)),
        Chunk(finish="stop", usage=Usage(input=9, output=3)),
        answered("It shipped."),
    ]
    options: Any = {"stream_options": {"include_usage": True}} if include_usage else {}
    stream: Any = await official.chat.completions.create(model="support", messages=MESSAGES, stream=True, **options)
    pieces: list[Any] = [piece async for piece in stream]
    deltas = [piece.choices[0].delta for piece in pieces if piece.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == "It shipped."
    calls = [delta.tool_calls[0] for delta in deltas if delta.tool_calls]
    assert (calls[0].id, calls[0].function.name) == ("c1", "orders.get")
    assert "".join(call.function.arguments for call in calls) == '{"id": 1}'
    assert [piece.choices[0].finish_reason for piece in pieces if piece.choices][-1] == "stop"
    assert [piece.usage.completion_tokens for piece in pieces if piece.usage] == ([3] if include_usage else [])


@pytest.mark.requirement("GW-01")
@pytest.mark.parametrize("include_usage", [False, True])
async def test_a_stream_of_the_same_dialect_is_handed_on_and_usage_only_to_who_asked(
    door: Door, official: openai.AsyncOpenAI, include_usage: bool
) -> None:
    one = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":null,"odd":1}\n\n'
    end = b'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
    usage = b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}\n\n'
    door.gateway.pieces = [
        Chunk(raw=one, raw_dialect="openai", text="Hi"),
        Chunk(
            raw=end + usage + b"data: [DONE]\n\n", raw_dialect="openai", finish="stop", usage=Usage(input=9, output=3)
        ),
        answered("Hi"),
    ]
    options: Any = {"stream_options": {"include_usage": True}} if include_usage else {}
    raw: Any = await official.chat.completions.with_raw_response.create(
        model="support", messages=MESSAGES, stream=True, **options
    )
    text: bytes = await raw.http_response.aread()
    facts = json.loads(text.split(b": interlock ")[1].split(b"\n\n")[0])
    assert (facts["call"], facts["cost_nano_usd"], facts["simulated"]) == ("call_1", 4500, False)
    events = [event for event in text.split(b"\n\n") if not event.startswith(b":")]
    assert b"\n\n".join(events) == one + end + (usage if include_usage else b"") + b"data: [DONE]\n\n"


async def test_a_stream_that_fails_before_its_first_piece_has_an_honest_status(
    door: Door, official: openai.AsyncOpenAI
) -> None:
    door.gateway.pieces = [Shed("too busy", retry_after_s=2.2)]
    with pytest.raises(openai.RateLimitError) as raised:
        await official.chat.completions.create(model="support", messages=MESSAGES, stream=True)
    assert raised.value.response.headers["retry-after"] == "3"


@pytest.mark.requirement("GW-30")
async def test_a_stream_that_breaks_ends_in_a_typed_error_and_never_silently(
    door: Door, official: openai.AsyncOpenAI
) -> None:
    door.gateway.pieces = [Chunk(text="It "), UpstreamCut("the vendor broke off")]
    stream: Any = await official.chat.completions.create(model="support", messages=MESSAGES, stream=True)
    assert (await anext(stream)).choices[0].delta.role == "assistant"
    assert (await anext(stream)).choices[0].delta.content == "It "
    with pytest.raises(openai.APIError, match="broke off"):
        await anext(stream)


@pytest.mark.requirement("GW-01")
@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        (InvalidRequest("no", param="messages[0]"), openai.BadRequestError, "invalid_request"),
        (UnknownModel("no such model"), openai.NotFoundError, "model_not_found"),
        (OutputInvalid("not the schema"), openai.UnprocessableEntityError, "output_schema_violation"),
        (LimitReached("max_cost", used=1, asked=1, maximum=1), openai.RateLimitError, "limit_reached"),
        (Shed("busy", retry_after_s=1), openai.RateLimitError, "overloaded"),
        (LedgerFull("full"), openai.InternalServerError, "ledger_unavailable"),
        (DeadlineMissed("late"), openai.InternalServerError, "deadline_missed"),
        (UpstreamRejected("bad image", upstream_status=422), openai.UnprocessableEntityError, "upstream_rejected"),
        (
            Exhausted([RateLimited("slow down", upstream_status=429, retry_after_s=6.5)]),
            openai.InternalServerError,
            "all_candidates_failed",
        ),
    ],
)
async def test_errors_reach_the_client_as_its_own_kinds(
    door: Door, official: openai.AsyncOpenAI, error: InterlockError, raised: type[openai.APIStatusError], code: str
) -> None:
    door.gateway.reply = error
    with pytest.raises(raised) as seen:
        await official.chat.completions.create(model="support", messages=MESSAGES)
    body: Any = seen.value.body
    assert set(body) == {"message", "type", "param", "code"}
    assert body["code"] == code == seen.value.code
    assert seen.value.request_id
    assert seen.value.request_id.startswith("req_")
    if isinstance(error, Exhausted):
        assert seen.value.response.headers["retry-after"] == "7"
        assert seen.value.response.headers["x-should-retry"] == "false"


async def test_a_wrong_key_is_told_so_and_reaches_no_gateway(door: Door, official: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as seen:
        await official.with_options(api_key="il-wrong").chat.completions.create(model="support", messages=MESSAGES)
    assert "il-wrong" not in str(seen.value)
    with pytest.raises(openai.AuthenticationError):
        await official.with_options(api_key="il-wrong").models.list()
    assert not door.gateway.asked


async def test_models_are_listed(official: openai.AsyncOpenAI) -> None:
    listed: Any = await official.models.list()
    assert [model.id for model in listed.data] == ["support", "openai/gpt-4o-mini"]
    assert (await official.models.retrieve("support")).id == "support"
    with pytest.raises(openai.NotFoundError):
        await official.models.retrieve("nope")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        ({"messages": []}, "messages"),
        ({"temperature": "hot"}, "temperature"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0]"),
    ],
)
async def test_a_field_at_fault_is_named(
    door: Door, official: openai.AsyncOpenAI, change: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as seen:
        await official.chat.completions.create(model="support", messages=MESSAGES, extra_body=change)
    assert seen.value.param == param
    assert not door.gateway.asked


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", -1_000_000),
        ("max_completion_tokens", -5),
        ("n", 0),
        ("n", 129),
        ("temperature", -1),
        ("top_p", 1.5),
    ],
)
def test_what_no_model_can_do_and_no_limit_could_hold_is_refused(field: str, value: float) -> None:
    body = {"model": "support", "messages": [{"role": "user", "content": "hi"}], field: value}
    with pytest.raises(InvalidRequest) as caught:
        RequestReader().read(json.dumps(body).encode(), {})
    assert field in str(caught.value)
