"""What crosses between dialects in which words: thoughts, seals, schemas, how much to think, and servers' own ways of writing."""

import msgspec
import pytest

from interlock.core.chat import (
    ChatRequest,
    Message,
    OutputSchema,
    Thinking,
    Thought,
    ToolCall,
    ToolSpec,
)
from interlock.core.ports import Deployment
from interlock.plugins import anthropic_ask, anthropic_turns, gemini_ask, openai_ask, openai_wire, profiles

AT = Deployment("openai", "gpt-4o-mini", "openai")
BUDGETED = profiles.ModelProfile(("*",), max_output=64_000, thinking="budget")
ASK = ChatRequest("m", (Message("system", "Be brief."), Message("user", "Hi")))
LOOK = ToolSpec("look", {"type": "object"}, "Looks.")


def decoded(body: bytes):
    return msgspec.json.decode(body)


def test_servers_that_write_a_calls_arguments_as_an_object_or_an_empty_finish_are_understood():
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": {"at": 1}}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = msgspec.json.encode({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    response = openai_wire.response_of(body, ASK, AT)
    assert response.tool_calls == (ToolCall("c1", "look", '{"at":1}'),)
    assert response.finish == "tool_calls"
    event = b'{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":""}]}'
    chunk = openai_wire.chunk_of(b"", [event], ASK, AT, relayed=False)
    assert (chunk.text, chunk.finish) == ("x", None)


def test_thoughts_and_several_answers_are_read_from_servers_of_openais_dialect():
    said = {"role": "assistant", "content": "x", "reasoning": "hm"}
    other = {"role": "assistant", "content": "y", "refusal": "no"}
    choices = [
        {"index": 1, "message": other},
        {"index": 0, "message": said, "finish_reason": "stop", "stop_reason": "END"},
    ]
    response = openai_wire.response_of(msgspec.json.encode({"choices": choices}), ASK, AT)
    assert (response.text, response.thoughts[0].text, response.stop_hit) == ("x", "hm", "END")
    assert [(each.text, each.refusal) for each in response.others] == [("y", "no")]


@pytest.mark.requirement("GW-07")
def test_seals_that_come_with_the_conversation_need_no_memory():
    call = ToolCall("c1", "look", "{}", signature="c2ln")
    thought = Thought("hm", "s1", origin="anthropic")
    turns = (
        *ASK.messages,
        Message("assistant", tool_calls=(call,), thoughts=(thought,)),
        Message("tool", "x", tool_call_id="c1"),
    )
    request = ChatRequest("m", turns, tools=(LOOK,))
    gemini = decoded(gemini_ask.encoded(request, BUDGETED, gemini_ask.Signatures()))
    assert gemini["contents"][1]["parts"][0]["thoughtSignature"] == "c2ln"
    claude = decoded(anthropic_ask.encoded(request, "m", BUDGETED, anthropic_turns.Thoughts(), stream=False))
    assert claude["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "s1"}


def test_schemas_go_natively_where_the_vendor_takes_them_and_into_the_prompt_where_not():
    closed = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    bounded = {**closed, "properties": {"a": {"type": "string", "maxLength": 3}}}
    native = msgspec.structs.replace(BUDGETED, native_schema=True)
    for schema, profile, natively in ((closed, native, True), (bounded, native, False), (closed, BUDGETED, False)):
        request = msgspec.structs.replace(ASK, output_schema=OutputSchema("a", schema))
        sent = decoded(anthropic_ask.encoded(request, "m", profile, anthropic_turns.Thoughts(), stream=False))
        assert ("output_config" in sent) is natively
        assert ("JSON Schema" in sent["system"]) is not natively
    theirs = msgspec.structs.replace(ASK, output_schema=OutputSchema("a", bounded), raw_dialect="anthropic")
    open_schema = msgspec.structs.replace(theirs, output_schema=OutputSchema("a", {"type": "object", "properties": {}}))
    for request, strict in ((theirs, True), (open_schema, False)):
        sent = decoded(openai_ask.encoded(request, "m", BUDGETED, "max_tokens", stream=False, usage=False))
        assert sent["response_format"]["json_schema"]["strict"] is strict


def test_thinking_is_asked_for_in_the_words_that_each_model_takes():
    def claude(profile, **wish):
        request = msgspec.structs.replace(ASK, thinking=Thinking(**wish), max_output_tokens=9_000)
        return decoded(anthropic_ask.encoded(request, "m", profile, anthropic_turns.Thoughts(), stream=False))

    adaptive = msgspec.structs.replace(BUDGETED, thinking="adaptive")
    assert claude(BUDGETED, effort="low", shown=True)["thinking"] == {"type": "enabled", "budget_tokens": 2_048}
    assert claude(BUDGETED, budget=50_000, shown=True)["thinking"]["budget_tokens"] == 8_999
    assert claude(adaptive, budget=20_000, shown=True)["output_config"] == {"effort": "high"}
    assert "thinking" not in claude(msgspec.structs.replace(BUDGETED, thinking="no"), effort="high")
    assert "thinking" not in claude(BUDGETED, budget=0)

    def gemini(model, **wish):
        request = msgspec.structs.replace(ASK, thinking=Thinking(**wish))
        sent = decoded(gemini_ask.encoded(request, profiles.shipped().of("gemini", model), gemini_ask.Signatures()))
        return sent.get("generationConfig", {}).get("thinkingConfig")

    assert gemini("gemini-2.5-flash", effort="none") == {"thinkingBudget": 0}
    assert gemini("gemini-2.5-flash", budget=3_000, shown=True) == {"includeThoughts": True, "thinkingBudget": 3_000}
    assert gemini("gemini-3-pro", effort="max") == {"thinkingLevel": "high"}
    assert gemini("gemini-2.0-flash", effort="high") is None
    for model, effort in (("gpt-5-mini", "medium"), ("gpt-4o-mini", None), ("llama-4", "medium")):
        request = msgspec.structs.replace(ASK, thinking=Thinking(budget=10_000))
        profile = profiles.shipped().of("openai", model)
        sent = decoded(openai_ask.encoded(request, model, profile, "c", stream=False, usage=False))
        assert sent.get("reasoning_effort") == effort


def test_a_cap_of_ours_below_the_callers_budget_for_thinking_makes_no_request_that_the_vendor_refuses():
    raw = b'{"model":"m","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":4000,"display":"omitted"},"messages":[]}'
    for allowed, left in ((8_000, 4_000), (3_000, 2_999), (500, None)):
        wish = Thinking(budget=4_000)
        request = ChatRequest("m", (), max_output_tokens=allowed, thinking=wish, raw=raw, raw_dialect="anthropic")
        sent = decoded(anthropic_ask.patched(request, "m", stream=False))
        assert sent["max_tokens"] == allowed
        assert sent.get("thinking", {}).get("budget_tokens") == left
        assert left is None or sent["thinking"]["display"] == "omitted"
