"""The Anthropic face by itself: what it reads, what it writes, and the order of its events whatever comes in."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.chat import ChatResponse, Chunk, Finish, Part, Thought, ThoughtDelta, ToolCall, ToolCallDelta
from interlock.core.errors import InvalidRequest, LimitReached, Shed, UpstreamCut, UpstreamRefused
from interlock.core.money import Usage
from interlock.core.ports import ChatReply
from interlock.server.anthropic_read import RequestReader
from interlock.server.anthropic_stream import StreamWriter
from interlock.server.anthropic_write import whole

from .door import KEY, Door, answered, opened, post, settled

pytestmark = pytest.mark.requirement("GW-03")
ASK = b'{"model":"support","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
USER: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def door() -> AsyncGenerator[Door]:
    async with opened() as up:
        yield up


@pytest.fixture
async def official(door: Door) -> AsyncGenerator[Any]:
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=f"{door.url}/anthropic", max_retries=0) as client:
        yield client


def read(body: dict[str, Any]) -> Any:
    return RequestReader().read(json.dumps(body).encode(), {})


def test_every_block_has_a_place_in_the_vocabulary() -> None:
    blocks = [
        {"type": "text", "text": "look", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}, "title": "T"},
    ]
    said = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1.0}},
    ]
    done = [
        {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": [{"type": "text", "text": "no"}]},
        {"type": "text", "text": "go on"},
    ]
    request = read(
        {
            "model": "m",
            "max_tokens": 50,
            "system": [{"type": "text", "text": "s1"}, {"type": "text", "text": "s2"}],
            "messages": [
                {"role": "user", "content": blocks},
                {"role": "assistant", "content": said},
                {"role": "user", "content": done},
            ],
            "tools": [{"name": "look", "input_schema": {"type": "object"}, "strict": True}],
            "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
            "thinking": {"type": "enabled", "budget_tokens": 2000},
            "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            "metadata": {"user_id": "u7"},
            "stop_sequences": ["a"],
            "top_k": 3,
            "stream": True,
        }
    )
    system, user, assistant, result, more = request.messages
    assert system.text == "s1\ns2"
    assert user.content == (
        Part("text", text="look", cache="1h"),
        Part("image", url="https://x/y.png"),
        Part("image", file_id="file_1"),
        Part("file", text="plain", media_type="text/plain", name="T"),
    )
    assert assistant.thoughts == (Thought("hm", "s", origin="anthropic"), Thought(data="d", origin="anthropic"))
    assert (assistant.text, assistant.tool_calls) == ("so", (ToolCall("t1", "look", '{"at": 1.0}'),))
    assert (result.role, result.tool_call_id, result.text, result.failed) == ("tool", "t1", "no", True)
    assert (more.role, more.text) == ("user", "go on")
    assert (request.tools[0].strict, request.tool_choice, request.parallel_tool_calls) == (True, "look", False)
    assert (request.thinking.budget, request.thinking.effort, request.thinking.shown) == (2000, "high", True)
    assert request.output_schema.schema == {"type": "object"}
    assert (request.user, request.stop, request.top_k, request.stream) == ("u7", ("a",), 3, True)
    assert request.extra == {}


def test_what_has_no_place_in_it_is_written_down_by_its_path_and_two_of_those_are_never_the_same() -> None:
    def lost(data: str) -> dict[str, Any]:
        strange = {"type": "something_new", "data": {"deep": data}}
        body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [strange]}], "zork": 1}
        return read(body).extra

    assert set(lost("a")) == {"messages[0].content[0].type", "zork"}
    assert lost("a") != lost("b")
    tools = [{"type": "web_search_20250305", "name": "web_search"}, {"name": "x", "input_schema": {"type": "object"}}]
    request = read({"model": "m", "max_tokens": 9, "messages": USER, "tools": tools})
    assert (list(request.extra), [tool.name for tool in request.tools]) == (["tools[0].type"], ["x"])


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "messages[0].content[0]"),
        ({"temperature": 1.5}, "temperature"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
    ],
)
async def test_a_field_at_fault_is_named(official: Any, change: dict[str, Any], param: str) -> None:
    body = {"model": "support", "max_tokens": 9, "messages": USER, **change}
    with pytest.raises(InvalidRequest) as found:
        read({name: value for name, value in body.items() if value is not None})
    assert found.value.param == param
    with pytest.raises(anthropic.BadRequestError) as seen:
        await official.messages.create(model="support", max_tokens=9, messages=USER, extra_body=change)
    error: Any = seen.value
    assert error.type == "invalid_request_error"
    assert error.body["error"]["details"]["param"] == param
    assert error.request_id == error.body["request_id"]
    assert error.request_id.startswith("req_")


async def test_errors_are_of_the_vendors_types(door: Door, official: Any) -> None:
    overloaded = UpstreamRefused("no room", upstream_status=529)
    cases: list[tuple[Exception, type[Exception], str]] = [
        (Shed("full", retry_after_s=3.0), anthropic.RateLimitError, "rate_limit_error"),
        (LimitReached("max_tokens", used=1, asked=2, maximum=2), anthropic.RateLimitError, "rate_limit_error"),
        (UpstreamCut("cut"), anthropic.InternalServerError, "api_error"),
        (overloaded, anthropic.ServiceUnavailableError, "overloaded_error"),
    ]
    for error, kind, name in cases:
        door.gateway.reply = error
        with pytest.raises(kind) as seen:
            await official.messages.create(model="support", max_tokens=9, messages=USER)
        found: Any = seen.value
        assert found.type == name
    with pytest.raises(anthropic.AuthenticationError):
        await official.with_options(api_key="wrong").messages.create(model="m", max_tokens=9, messages=USER)


async def test_a_credential_may_come_either_way(door: Door) -> None:
    for path in ("/v1/messages", "/anthropic/v1/messages", "/v1/messages?beta=true"):
        for line in (f"x-api-key: {KEY}", f"authorization: Bearer {KEY}"):
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\n{line}\r\ncontent-length: {len(ASK)}\r\n\r\n"
            wire = await door.send(head.encode() + ASK)
            assert (await wire.reply())[0] == 200
    wire = await door.send(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
    status, headers, body = await wire.reply()
    assert (status, json.loads(body)["error"]["type"]) == (401, "authentication_error")
    assert headers["request-id"] == json.loads(body)["request_id"]


async def test_workflow_user_and_facts_travel_with_the_caller(door: Door, official: Any) -> None:
    await official.messages.create(
        model="support",
        max_tokens=9,
        messages=USER,
        metadata={"user_id": "u7"},
        extra_headers={"x-interlock-workflow": "refunds", "x-interlock-facts": '{"risk":0.5}'},
    )
    caller, request = door.gateway.asked[0]
    assert (caller.tenant, caller.workflow, caller.user) == ("acme", "refunds", "u7")
    assert (request.facts, request.tenant) == ({"risk": 0.5}, "acme")


async def test_a_count_says_whether_it_is_the_vendors(door: Door, official: Any) -> None:
    raw = await official.messages.with_raw_response.count_tokens(model="support", messages=USER)
    assert (await raw.parse()).input_tokens == 7
    assert raw.headers["x-interlock-count"] == "estimate"


async def test_a_stream_that_breaks_ends_in_an_error_event_and_no_end_mark(door: Door) -> None:
    door.gateway.pieces = [Chunk(text="It "), UpstreamCut("the vendor is gone")]
    wire = await door.send(post(ASK.replace(b'"max_tokens"', b'"stream":true,"max_tokens"'), path="/v1/messages"))
    await wire.head()
    text = (await wire.reader.readuntil(b"0\r\n\r\n")).decode()
    assert "event: error" in text
    assert "the vendor is gone" in text
    assert "message_stop" not in text


# --- the order of events, whatever comes in ---

USAGE = Usage(input=9, output=3, reasoning=2, cache_read=4, cache_write=1)
TEXTS = st.sampled_from(["a", "b c", "雨"])


@st.composite
def chunks(draw: st.DrawFn) -> list[Chunk]:
    """A stream as vendors send it: thoughts, text and calls in any order, each call's pieces one after another."""
    found: list[Chunk] = []
    calls = thoughts = 0
    for kind in draw(st.lists(st.sampled_from(["text", "thought", "sealed", "call"]), max_size=8)):
        if kind == "text":
            found.append(Chunk(text=draw(TEXTS)))
        elif kind == "sealed":
            found.append(Chunk(thoughts=(ThoughtDelta(thoughts, data="eHh4", origin="anthropic"),)))
            thoughts += 1
        elif kind == "thought":
            found.append(Chunk(thoughts=(ThoughtDelta(thoughts, draw(TEXTS), origin="anthropic"),)))
            found.append(Chunk(thoughts=(ThoughtDelta(thoughts, signature="c2ln", origin="anthropic"),)))
            thoughts += 1
        else:
            found.append(
                Chunk(tool_calls=(ToolCallDelta(calls, f"c{calls}", "look", draw(st.sampled_from(["", "{"]))),))
            )
            rest = '"at":1}' if found[-1].tool_calls[0].arguments else '{"at":1}'
            found.append(Chunk(tool_calls=(ToolCallDelta(calls, arguments=rest),)))
            calls += 1
    return found


@settings(max_examples=150, deadline=None)
@given(chunks(), st.sampled_from(["stop", "length", "tool_calls"]))
def test_events_come_in_the_vendors_order_and_say_what_the_whole_answer_says(
    pieces: list[Chunk], finish: Finish
) -> None:
    writer = StreamWriter("req_1", "m")
    said = ChatResponse("m", finish=finish, usage=USAGE)
    out = b"".join([*map(writer.piece, pieces), writer.last(ChatReply(said, settled()))]).decode()
    events = [json.loads(line[6:]) for line in out.split("\n") if line.startswith("data: ")]
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    blocks: list[dict[str, Any]] = []
    is_open = False
    for event in events:
        if event["type"] == "content_block_start":
            assert not is_open
            assert event["index"] == len(blocks)
            blocks.append(event["content_block"])
            is_open = True
        elif event["type"] == "content_block_delta":
            assert is_open
            assert event["index"] == len(blocks) - 1
            _grow(blocks[-1], event["delta"])
        elif event["type"] == "content_block_stop":
            assert event["index"] == len(blocks) - 1
            is_open = False
    assert not is_open
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    assert "".join(texts) == "".join(piece.text for piece in pieces)
    assert all(json.loads(block["input"]) == {"at": 1} for block in blocks if block["type"] == "tool_use")
    assert all(block["signature"] == "c2ln" for block in blocks if block["type"] == "thinking")
    end = next(event for event in events if event["type"] == "message_delta")
    assert end["usage"] == json.loads(whole(ChatReply(said, settled())))["usage"]


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if delta["type"] == "input_json_delta":
        block["input"] = (block["input"] or "") + delta["partial_json"]
    elif delta["type"] == "signature_delta":
        block["signature"] = delta["signature"]
    else:
        name = delta["type"].removesuffix("_delta")
        block[name] += delta[name]


def test_an_answer_that_another_vendor_goes_on_with_stays_one_message() -> None:
    writer = StreamWriter("req_1", "m")
    start = b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
    begun = b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n' + start
    out = writer.piece(Chunk(text="It ", raw=begun, raw_dialect="anthropic"))
    out += writer.piece(Chunk(text="rains."))
    out += writer.last(answered("It rains."))
    events = [json.loads(line[6:]) for line in out.decode().split("\n") if line.startswith("data: ")]
    assert [(each["type"], each.get("index")) for each in events] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("message_delta", None),
        ("message_stop", None),
    ]


def test_an_answer_that_is_begun_anew_elsewhere_is_told_once_and_in_order() -> None:
    def raw(*events: dict[str, Any]) -> bytes:
        return b"".join(b"event: x\ndata: %b\n\n" % json.dumps(event).encode() for event in events)

    message: dict[str, Any] = {"type": "message_start", "message": {"id": "a"}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "rains."}}
    writer = StreamWriter("req_1", "m")
    out = writer.piece(Chunk(raw=raw(message, block), raw_dialect="anthropic"))
    out += writer.piece(Chunk(text="It ", raw=raw(message, block, {**delta, "index": 0}), raw_dialect="anthropic"))
    out += writer.piece(Chunk(text="rains.", raw=raw(delta), raw_dialect="anthropic"))
    out += writer.last(answered("It rains."))
    events = [json.loads(line[6:]) for line in out.decode().split("\n") if line.startswith("data: ")]
    assert [each["type"] for each in events].count("message_start") == 1
    said = [(each["index"], each["delta"]["text"]) for each in events if each["type"] == "content_block_delta"]
    assert said == [(1, "It "), (1, "rains.")]
    assert [each["index"] for each in events if each["type"] == "content_block_stop"] == [0, 1]
