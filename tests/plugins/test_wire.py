"""What the HTTP dialects share, and the bytes that leave."""

import asyncio
import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.caller import Secret
from interlock.core.chat import (
    ChatRequest,
    Message,
    Part,
    ToolCall,
    ToolSpec,
)
from interlock.core.errors import BadReply, InvalidRequest, RateLimited, UpstreamAuth, UpstreamRefused
from interlock.core.money import Usage
from interlock.core.ports import Deployment
from interlock.plugins import (
    anthropic_ask,
    anthropic_turns,
    anthropic_wire,
    gemini_ask,
    gemini_wire,
    openai_ask,
    openai_wire,
    profiles,
    wire,
)
from interlock.testing.clock import FakeClock

AT = Deployment("openai", "gpt-4o-mini", "openai", base_url="http://127.0.0.1:1/v1", api_key=Secret("sk-secret"))
CLOCK = FakeClock(wall_ns=1_795_262_400_000_000_000)  # 2026-11-21T12:00:00Z
BUDGETED = profiles.ModelProfile(("*",), max_output=64_000, thinking="budget")
ASK = ChatRequest("m", (Message("system", "Be brief."), Message("user", "Hi")))


def decoded(body: bytes):
    return msgspec.json.decode(body)


@pytest.mark.requirement("GW-07", "GW-25")
@pytest.mark.parametrize(
    ("headers", "body", "wait_s"),
    [
        ({"retry-after": "7"}, b"", 7.0),
        ({"retry-after-ms": "1500"}, b"", 1.5),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, b"", 30.0),
        ({"retry-after": "soon"}, b"", None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s"}, b"", 62.5),
        ({"x-ratelimit-remaining-tokens": "12", "x-ratelimit-reset-tokens": "6m0s"}, b"", None),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-21T12:00:20Z",
            },
            b"",
            20.0,
        ),
        ({}, b'{"error":{"details":[{"retryDelay": "34s"}]}}', 34.0),
        ({}, b"", None),
    ],
)
def test_the_wait_is_read_wherever_vendors_put_it(headers, body, wait_s):
    assert wire.wait_of(headers, body, CLOCK) == wait_s


@pytest.mark.requirement("GW-07")
@pytest.mark.parametrize("word", ["insufficient_quota", "enforced_spend_limit_reached"])
def test_a_quota_that_is_used_up_is_not_waited_for(word):
    body = b'{"error":{"message":"You exceeded your quota","code":"%b"}}' % word.encode()
    error = wire.refusal(AT, 429, {}, body, CLOCK)
    assert isinstance(error, UpstreamAuth)
    assert not error.retryable


def test_an_overloaded_vendor_is_worth_another_try():
    error = wire.refusal(AT, 529, {"retry-after": "2"}, b'{"type":"error","error":{"message":"Overloaded"}}', CLOCK)
    assert type(error) is UpstreamRefused
    assert (error.retryable, error.retry_after_s, error.upstream_status) == (True, 2.0, 529)
    assert "Overloaded" in error.message


def test_a_redirect_or_an_odd_status_is_an_error_with_its_body():
    error = wire.refusal(AT, 302, {}, b"<html>moved</html>", CLOCK)
    assert "302" in error.message
    assert "moved" in error.message


def test_an_error_shows_no_credential():
    error = wire.refusal(AT, 401, {}, b"", CLOCK)
    assert "sk-secret" not in f"{error!r} {error} {AT!r}"
    assert isinstance(wire.refusal(AT, 429, {}, b"", CLOCK), RateLimited)


@pytest.mark.requirement("GW-07")
@given(
    texts=st.lists(st.text(max_size=20), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 400), max_size=12),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_events_come_out_whole_however_the_bytes_are_cut(texts, cuts, newline):
    payloads = [msgspec.json.encode({"t": text}) for text in texts]
    end = newline.encode()
    stream = b"".join(b"event: x" + end + b"data: " + each + end + end for each in payloads) + b": ping" + end + end
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})

    async def pieces():
        for start, stop in itertools.pairwise(edges):
            yield stream[start:stop]

    async def read():
        return [(raw, data) async for raw, data in wire.events(pieces(), AT)]

    found = asyncio.run(read())
    relayed = b"".join(raw for raw, _ in found)
    ping = b": ping" + end + end
    assert relayed.removesuffix(ping) == stream.removesuffix(ping), (
        "every byte but a comment that comes alone is relayed"
    )
    assert [each for _, data in found for each in data] == payloads


@pytest.mark.requirement("GW-12")
def test_the_callers_own_bytes_are_forwarded_with_a_minimal_patch():
    raw = (
        b'{ "model":"support", "messages":[{"role":"user","content":"\\u00e9  x"}], "odd":{"a" : 1.50}, "max_tokens":9}'
    )
    request = ChatRequest("support", ASK.messages, max_output_tokens=9, raw=raw, raw_dialect="openai")
    sent = openai_ask.patched(request, "gpt-4o-mini", BUDGETED, "max_tokens", stream=False, usage=False)
    assert decoded(sent) == {**decoded(raw), "model": "gpt-4o-mini"}
    assert b'"\\u00e9  x"' in sent, "values are the caller's bytes, not re-encoded"
    assert b"1.50" in sent


def test_a_patched_request_carries_the_cap_where_the_caller_had_it():
    raw = b'{"model":"m","messages":[],"max_completion_tokens":900}'
    request = ChatRequest("m", (), max_output_tokens=50, raw=raw, raw_dialect="openai")
    assert decoded(openai_ask.patched(request, "x", BUDGETED, "max_tokens", stream=False, usage=False)) == {
        "model": "x",
        "messages": [],
        "max_completion_tokens": 50,
    }


def test_usage_is_asked_for_on_streams_and_hidden_from_callers_who_did_not():
    request = ChatRequest("m", (), raw=b'{"model":"m","messages":[],"stream":true}', raw_dialect="openai")
    sent = decoded(openai_ask.patched(request, "x", BUDGETED, "max_tokens", stream=True, usage=True))
    assert sent["stream_options"] == {"include_usage": True}
    event = b'{"id":"c","model":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    usage = b'{"id":"c","model":"x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
    raw = b"data: " + event + b"\n\ndata: " + usage + b"\n\ndata: [DONE]\n\n"
    chunk = openai_wire.chunk_of(raw, wire.data_of(raw), request, AT, relayed=True)
    assert chunk.usage == Usage(input=3, output=4)
    assert chunk.raw == b"data: " + event + b"\n\ndata: [DONE]\n\n"
    wanted = msgspec.structs.replace(request, include_usage=True)
    assert openai_wire.chunk_of(raw, wire.data_of(raw), wanted, AT, relayed=True).raw == raw


def test_reasoning_models_are_spared_what_they_refuse():
    shipped = profiles.shipped()
    assert shipped.of("openai", "gpt-5-mini").output_cap == "max_completion_tokens"
    assert not shipped.of("openai", "o3").sampling
    assert shipped.of("openai", "gpt-4o-mini").logprobs
    assert shipped.of("mine", "llama-3").output_cap == "max_tokens"
    assert shipped.of("openrouter", "openai/gpt-4o").context_window == 128_000
    sent = decoded(
        openai_ask.encoded(
            msgspec.structs.replace(ASK, temperature=0.2, top_p=0.5, max_output_tokens=5),
            "o3",
            shipped.of("openai", "o3"),
            "max_completion_tokens",
            stream=False,
            usage=False,
        )
    )
    assert set(sent) == {"model", "messages", "max_completion_tokens"}


def test_usage_of_openai_falls_into_disjoint_buckets():
    body = msgspec.json.encode(
        {
            "choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {
                    "cached_tokens": 50,
                    "cache_write_tokens": 10,
                    "audio_tokens": 10,
                    "image_tokens": None,
                },
                "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 5},
            },
        }
    )
    usage = openai_wire.response_of(body, ASK, AT).usage
    assert usage == Usage(
        input=30, cache_read=50, cache_write=10, input_audio=10, output=25, reasoning=20, output_audio=5
    )
    assert (usage.input_total, usage.output_total) == (100, 50)


def test_a_body_that_is_cut_still_gives_up_its_usage():
    body = b'{"id":"c","usage":{"prompt_tokens":12,"completion_tokens":7,"total_tokens":19},"choices":[{"index":0,"mess'
    with pytest.raises(BadReply, match="not a chat completion") as bad:
        openai_wire.response_of(body, ASK, AT)
    assert bad.value.usage == Usage(input=12, output=7)


TURNS = (
    Message("system", "Be brief."),
    Message("user", (Part("text", "What is this?"), Part("image", url="data:image/png;base64,QUJD"))),
    Message("assistant", tool_calls=(ToolCall("c1", "look", '{"at":1}'), ToolCall("c2", "look", "not json"))),
    Message("tool", '{"seen":"a cat"}', tool_call_id="c1"),
    Message("tool", "plain words", tool_call_id="c2"),
    Message("user", "Thanks"),
)
LOOK = ToolSpec("look", {"type": "object"}, "Looks.")


@pytest.mark.requirement("GW-07")
def test_anthropic_turns_alternate_and_parallel_answers_share_one():
    request = ChatRequest("m", TURNS, tools=(LOOK,), tool_choice="look", parallel_tool_calls=False, stop=("x",))
    sent = decoded(
        anthropic_ask.encoded(request, "claude", BUDGETED, anthropic_turns.Thoughts(), cache="1h", stream=True)
    )
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in sent["messages"][2]["content"]] == ["tool_result", "tool_result", "text"]
    assert [block["input"] for block in sent["messages"][1]["content"]] == [{"at": 1}, {"arguments": "not json"}]
    assert sent["messages"][0]["content"][1]["source"] == {"type": "base64", "media_type": "image/png", "data": "QUJD"}
    assert sent["system"] == [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]
    assert sent["tool_choice"] == {"type": "tool", "name": "look", "disable_parallel_tool_use": True}
    assert (sent["max_tokens"], sent["stream"], sent["stop_sequences"]) == (32_000, True, ["x"])


def test_an_anthropic_callers_bytes_keep_their_cache_control():
    raw = b'{"model":"a","max_tokens":9,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[]}'
    request = ChatRequest("a", (), max_output_tokens=5, raw=raw, raw_dialect="anthropic")
    sent = decoded(anthropic_ask.patched(request, "claude", stream=False))
    assert sent == {**decoded(raw), "model": "claude", "max_tokens": 5}


def test_anthropic_cache_writes_are_told_apart_by_lifetime():
    body = msgspec.json.encode(
        {
            "content": [{"type": "text", "text": "x"}],
            "stop_reason": "end_turn",
            "usage": {
                "input_tokens": 5,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "output_tokens": 7,
            },
        }
    )
    usage = anthropic_wire.response_of(body, ASK, AT, anthropic_turns.Thoughts()).usage
    assert usage == Usage(input=5, cache_read=100, cache_write=10, cache_write_1h=20, output=7)


@pytest.mark.requirement("GW-07")
def test_gemini_calls_go_back_with_the_signatures_that_came_with_them():
    signatures = gemini_ask.Signatures()
    signatures.keep("", "c1", "c2ln")
    sent = decoded(gemini_ask.encoded(ChatRequest("m", TURNS, tools=(LOOK,), tool_choice="look"), BUDGETED, signatures))
    assert [turn["role"] for turn in sent["contents"]] == ["user", "model", "user"]
    first, second = sent["contents"][1]["parts"]
    assert first["thoughtSignature"] == "c2ln"
    assert "thoughtSignature" not in second
    answers = [part["functionResponse"] for part in sent["contents"][2]["parts"][:2]]
    assert [each["name"] for each in answers] == ["look", "look"]
    assert [each["response"] for each in answers] == [{"seen": "a cat"}, {"result": "plain words"}]
    assert sent["toolConfig"]["functionCallingConfig"] == {"mode": "ANY", "allowedFunctionNames": ["look"]}
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    unknown = decoded(gemini_ask.encoded(ChatRequest("m", TURNS), BUDGETED, gemini_ask.Signatures()))
    assert unknown["contents"][1]["parts"][0]["thoughtSignature"] == gemini_ask.NO_SIGNATURE


@pytest.mark.parametrize("encode", ["anthropic", "gemini"])
def test_what_a_dialect_cannot_carry_is_refused_by_name_and_what_changes_nothing_is_not(encode):
    def sent(**fields):
        request = msgspec.structs.replace(ASK, **fields)
        if encode == "anthropic":
            return anthropic_ask.encoded(request, "m", BUDGETED, anthropic_turns.Thoughts(), stream=False)
        return gemini_ask.encoded(request, BUDGETED, gemini_ask.Signatures())

    with pytest.raises(InvalidRequest, match="logit_bias"):
        sent(extra={"logit_bias": {"1": 2}})
    assert b"Hi" in sent(extra={"store": False, "metadata": {"a": "b"}})
    with pytest.raises(InvalidRequest):
        sent(messages=(Message("user", (Part("image", file_id="file-1"),)),), raw_dialect="openai")


def test_gemini_usage_falls_into_disjoint_buckets():
    body = msgspec.json.encode(
        {
            "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 40,
                "candidatesTokenCount": 8,
                "thoughtsTokenCount": 12,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 70},
                    {"modality": "IMAGE", "tokenCount": 30},
                ],
            },
        }
    )
    usage = gemini_wire.response_of(body, ASK, AT, gemini_ask.Signatures()).usage
    assert usage == Usage(input=30, cache_read=40, input_image=30, output=8, reasoning=12)


def test_a_prompt_that_gemini_blocks_is_a_refusal_and_no_garbage():
    body = b'{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4}}'
    response = gemini_wire.response_of(body, ASK, AT, gemini_ask.Signatures())
    assert (response.finish, response.text) == ("content_filter", "")
    assert "SAFETY" in response.refusal


def test_every_profile_row_has_a_source_and_a_date():
    rows = msgspec.json.decode(profiles.Path(profiles.__file__).with_name("profiles.json").read_bytes())
    assert all(row["source"] and row["date"] for row in rows)


@pytest.mark.requirement("GW-07")
@pytest.mark.parametrize("streamed", [False, True])
def test_anthropic_thinking_goes_back_unchanged_with_the_calls_it_led_to(streamed):
    thoughts = anthropic_turns.Thoughts()
    thinking = {"type": "thinking", "thinking": "let me see", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "eHh4"}
    call = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
    if streamed:
        reading = anthropic_wire.Reading(AT, ASK, thoughts)
        events = [
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "let me "}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "see"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
            {"type": "content_block_start", "index": 1, "content_block": hidden},
            {"type": "content_block_start", "index": 2, "content_block": call},
        ]
        reading.chunk(b"", [msgspec.json.encode(event) for event in events])
    else:
        body = msgspec.json.encode({"content": [thinking, hidden, call], "stop_reason": "tool_use"})
        anthropic_wire.response_of(body, ASK, AT, thoughts)
    request = ChatRequest("m", (*ASK.messages, Message("assistant", tool_calls=(ToolCall("c1", "look"),))))
    sent = decoded(anthropic_ask.encoded(request, "m", BUDGETED, thoughts, stream=False))
    assert sent["messages"][1]["content"] == [thinking, hidden, call]
    elsewhere = msgspec.structs.replace(request, tenant="somebody else")
    sent = decoded(anthropic_ask.encoded(elsewhere, "m", BUDGETED, thoughts, stream=False))
    assert sent["messages"][1]["content"] == [call], "what one tenant's model thought is no other tenant's"


def test_models_that_take_tools_only_without_reasoning_get_them_so():
    request = msgspec.structs.replace(ASK, tools=(LOOK,))

    def sent(tools, **fields):
        made = msgspec.structs.replace(request, **fields)
        profile = msgspec.structs.replace(BUDGETED, tools=tools)
        make = openai_ask.patched if made.raw else openai_ask.encoded
        return decoded(make(made, "m", profile, "c", stream=False, usage=False))

    raw = {"raw": b'{"model":"m","tools":[]}', "raw_dialect": "openai"}
    assert "reasoning_effort" not in sent("yes")
    assert sent("without_reasoning")["reasoning_effort"] == "none"
    assert sent("without_reasoning", **raw)["reasoning_effort"] == "none"
    assert sent("without_reasoning", extra={"reasoning_effort": "low"})["reasoning_effort"] == "low"
    for fields in ({}, raw):
        with pytest.raises(InvalidRequest, match="another interface"):
            sent("no", **fields)


def test_a_callers_bytes_lose_what_the_model_refuses_and_nothing_else():
    request = ChatRequest("m", (), raw=b'{"model":"m","temperature":0.3,"top_p":1,"odd":[1]}', raw_dialect="openai")
    profile = profiles.shipped().of("openai", "gpt-5")
    sent = openai_ask.patched(request, "gpt-5", profile, "c", stream=False, usage=False)
    assert sent == b'{"model":"gpt-5","odd":[1]}'


def test_models_that_refuse_sampling_are_not_sent_any():
    request = msgspec.structs.replace(ASK, temperature=0.3)
    for sampling in (True, False):
        profile = msgspec.structs.replace(BUDGETED, sampling=sampling)
        sent = decoded(anthropic_ask.encoded(request, "m", profile, anthropic_turns.Thoughts(), stream=False))
        assert ("temperature" in sent) is sampling
    shipped = profiles.shipped()
    assert shipped.of("anthropic", "claude-sonnet-4-5").sampling
    assert not shipped.of("anthropic", "claude-opus-5-5").sampling
    assert shipped.of("anthropic", "claude-opus-5-5").context_window == 1_000_000
    assert shipped.of("openai", "gpt-6-astra").tools == "no"
    assert shipped.of("openai", "gpt-6-luna").tools == "without_reasoning"
