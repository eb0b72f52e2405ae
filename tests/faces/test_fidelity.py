"""What must not get lost on the way: bytes within a dialect, seals and thoughts across dialects, counts, several answers."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from interlock.testing.upstream import Answer

from .clients import PDF, PNG, Face, OpenAI, Result, Said, System, Tool, User, Wish
from .every import FACES
from .house import KEY, THINKING, VENDORS, House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("GW-06", "GW-01", "GW-03")]
EVERY = pytest.mark.parametrize("vendor", VENDORS)
ASK = (System("Be brief."), User("How is the weather?"))
LOOK = Tool("look", {"type": "object", "properties": {"at": {"type": "integer"}}})


@EVERY
async def test_thinking_is_shown_and_finds_its_way_back_to_whoever_sealed_it(
    face: Face, home: House, vendor: str
) -> None:
    model = f"{vendor}/{THINKING[vendor]}"
    wish = Wish(tools=(LOOK,), effort="low", max_tokens=4096)
    shown = "" if vendor == "oa" else "let me see"  # OpenAI shows none of it in chat completions
    answer = Answer(
        text="",
        tool_calls=(("look", '{"at":1}'),),
        reasoning_tokens=25,
        output_tokens=40,
        thought=shown,
        signature="c2VhbA",
    )
    home.script(vendor, answer)
    for ask in (face.ask, face.stream):
        got = await ask(model, ASK, wish)
        assert got.thought == shown
        assert got.output_tokens == 40
    said = await face.ask(model, ASK, wish)
    home.script(vendor, Answer(text="A cat."))
    turns = (*ASK, Said(said.echo), Result(said.calls[0][0], "a cat"))
    assert (await face.ask(model, turns, wish)).text == "A cat."
    if vendor in ("an", "ge"):
        assert "c2VhbA" in json.dumps(home.asked(vendor).body), "the seal comes back"
    asked = json.dumps(home.asked(vendor).body)
    assert "thinking" in asked.lower() or "reasoning_effort" in asked


@EVERY
async def test_what_one_vendor_sealed_is_not_sent_to_another(face: Face, home: House, vendor: str) -> None:
    wish = Wish(tools=(LOOK,), effort="low", max_tokens=4096)
    thought = "" if vendor == "oa" else "let me see"
    calls = (("look", "{}"),)
    home.script(vendor, Answer(text="", tool_calls=calls, reasoning_tokens=5, thought=thought, signature="c2VhbA"))
    said = await face.ask(f"{vendor}/{THINKING[vendor]}", ASK, wish)
    turns = (*ASK, Said(said.echo), Result(said.calls[0][0], "a cat"))
    for other in ("oa", "an", "ge"):
        if other == vendor:
            continue
        home.script(other, Answer(text="A cat."))
        assert (await face.ask(f"{other}/{THINKING[other]}", turns, wish)).text == "A cat."
        assert "c2VhbA" not in json.dumps(home.asked(other).body)


async def test_an_anthropic_callers_bytes_reach_its_vendor_as_they_are(home: House, claude: Any) -> None:
    home.script("an", Answer(text="ok", cached_tokens=3, input_tokens=9))
    system = [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    content = [
        {"type": "text", "text": "é 雨", "cache_control": {"type": "ephemeral"}},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
        {"type": "something_new", "data": {"deep": [1.50, None]}},
    ]
    thoughts = [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln=="},
        {"type": "redacted_thinking", "data": "eHh4"},
        {"type": "text", "text": "so"},
    ]
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": thoughts},
        {"role": "user", "content": "go"},
    ]
    home.vendors["an"].strict = False
    await claude.messages.create(
        model=home.model("an"),
        max_tokens=64,
        system=system,
        messages=messages,
        extra_body={"brand_new": {"a": 1}, "temperature": 1.0},
        extra_headers={"anthropic-beta": "tomorrow-2027-01-01"},
    )
    home.vendors["an"].strict = True
    asked = home.asked("an")
    assert asked.body["system"] == system
    assert asked.body["messages"] == messages
    assert asked.body["brand_new"] == {"a": 1}
    assert asked.body["model"] == "claude-sonnet-4-5"
    assert "stream" not in asked.body, "nothing is put in that was not asked for"
    assert asked.headers["anthropic-beta"] == "tomorrow-2027-01-01"
    assert asked.headers["anthropic-version"]


async def test_an_openai_callers_bytes_reach_its_vendor_as_they_are(home: House) -> None:
    home.script("own", Answer(text="ok"))
    face = OpenAI(home.url)
    extra = {"brand_new": {"a": 1}, "guided_regex": "[a-z]+"}
    tools = [{"type": "custom", "custom": {"name": "sh"}}]
    await face.client.chat.completions.create(
        model=home.model("own"),
        messages=[
            {
                "role": "user",
                "content": [{"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}],
            }
        ],
        tools=tools,
        extra_body=extra,
    )
    body = home.asked("own").body
    assert {name: body[name] for name in extra} == extra
    assert body["tools"] == tools
    assert body["messages"][0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    await face.close()


async def test_the_vendors_own_answer_comes_back_byte_for_byte(home: House, claude: Any) -> None:
    home.script("an", Answer(text="ok", reasoning_tokens=3, output_tokens=9))
    for client, vendor in ((claude, "an"),):
        raw = await client.messages.with_raw_response.create(
            model=home.model(vendor), max_tokens=64, messages=[{"role": "user", "content": "x"}]
        )
        body = json.loads(await raw.text())
        assert body["content"][0] == {"type": "thinking", "thinking": "let me see", "signature": "c2ln"}
        assert body["usage"]["output_tokens_details"] == {"thinking_tokens": 3}
        assert raw.headers["request-id"].startswith("cal")
        assert raw.headers["x-interlock-model"] == "an/claude-sonnet-4-5"


async def test_cache_marks_and_stop_sequences_survive_where_the_dialects_match(home: House, claude: Any) -> None:
    home.script("an", Answer(text="one", stop_hit="two"))
    got = await claude.messages.create(
        model=home.model("an"), max_tokens=9, stop_sequences=["two"], messages=[{"role": "user", "content": "x"}]
    )
    assert (got.stop_reason, got.stop_sequence) == ("stop_sequence", "two")
    home.script("own", Answer(text="one", stop_hit="two"))
    got = await claude.messages.create(
        model=home.model("own"), max_tokens=9, stop_sequences=["two"], messages=[{"role": "user", "content": "x"}]
    )
    assert (got.stop_reason, got.stop_sequence) == ("stop_sequence", "two")


@EVERY
async def test_tokens_are_counted_by_the_vendor_or_by_an_estimate_that_says_so(
    home: House, claude: Any, vendor: str
) -> None:
    home.script(vendor, Answer(input_tokens=123))
    raw = await claude.messages.with_raw_response.count_tokens(
        model=home.model(vendor),
        system="Be brief.",
        messages=[{"role": "user", "content": "How many are these?"}],
        tools=[{"name": "look", "input_schema": {"type": "object"}}],
    )
    counted = (await raw.parse()).input_tokens
    if vendor in ("an", "ge"):
        assert (counted, raw.headers["x-interlock-count"]) == (123, "vendor")
    else:
        assert raw.headers["x-interlock-count"] == "estimate"
        assert 5 < counted < 60


async def test_counting_that_fails_is_an_estimate_and_a_request_at_fault_is_told(home: House, claude: Any) -> None:
    messages: Any = [{"role": "user", "content": "x"}]
    home.script("an", Answer(status=529, text="overloaded"))
    raw = await claude.messages.with_raw_response.count_tokens(model=home.model("an"), messages=messages)
    assert raw.headers["x-interlock-count"] == "estimate"
    home.script("an", Answer(status=400, text="no such tool"))
    with pytest.raises(anthropic.BadRequestError, match="no such tool"):
        await claude.messages.count_tokens(model=home.model("an"), messages=messages)


async def test_instructions_in_the_middle_and_empty_turns_are_no_stumbling_block(home: House) -> None:
    face = OpenAI(home.url)
    messages: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "y"}]},
        {"role": "system", "content": "Answer in French."},
    ]
    for vendor in VENDORS:
        home.script(vendor, Answer(text="Oui."))
        got = await face.client.chat.completions.create(model=home.model(vendor), messages=messages)
        assert got.choices[0].message.content == "Oui."
        assert "French" in json.dumps(home.asked(vendor).body)
        only: Any = [{"role": "system", "content": "Say hello."}]
        assert (await face.client.chat.completions.create(model=home.model(vendor), messages=only)).choices
    await face.close()


async def test_ids_that_one_vendor_would_refuse_are_written_so_that_it_does_not(home: House) -> None:
    face = OpenAI(home.url)
    call = {"id": "call:1/α", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages: Any = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call:1/α", "content": "a cat"},
    ]
    for vendor in ("an", "ge"):
        home.script(vendor, Answer(text="A cat."))
        assert (await face.client.chat.completions.create(model=home.model(vendor), messages=messages)).choices
    await face.close()


@EVERY
async def test_a_tools_answer_with_a_picture_is_seen_everywhere(home: House, claude: Any, vendor: str) -> None:
    home.script(vendor, Answer(text="A dot."))
    result: Any = [
        {"type": "text", "text": "here"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ]
    messages: Any = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": result}]},
    ]
    got = await claude.messages.create(model=home.model(vendor), max_tokens=9, messages=messages)
    assert got.content[0].text == "A dot."
    assert PNG in json.dumps(home.asked(vendor).body)


@EVERY
async def test_documents_of_every_form(home: House, claude: Any, vendor: str) -> None:
    home.script(vendor, Answer(text="ok"))
    sources: list[Any] = [
        {"type": "base64", "media_type": "application/pdf", "data": PDF},
        {"type": "text", "media_type": "text/plain", "data": "plain words"},
        {"type": "content", "content": [{"type": "text", "text": "inner words"}]},
    ]
    content = [{"type": "document", "source": source, "title": "A"} for source in sources]
    await claude.messages.create(
        model=home.model(vendor), max_tokens=9, messages=[{"role": "user", "content": content}]
    )
    sent = json.dumps(home.asked(vendor).body)
    assert PDF in sent
    assert vendor == "ge" or ("plain words" in sent and "inner words" in sent)
    cited: Any = [{"type": "document", "source": sources[0], "citations": {"enabled": True}}]
    asking = claude.messages.create(
        model=home.model(vendor), max_tokens=9, messages=[{"role": "user", "content": cited}]
    )
    if vendor == "an":
        await asking
    else:
        with pytest.raises(anthropic.BadRequestError, match="citations"):
            await asking


async def test_sound_goes_where_it_can_be_heard(home: House) -> None:
    face = FACES["openai"](home.url)
    turns = (User(parts=(("text", "Who is it?"), ("audio", "UklGRg=="))),)
    for vendor in ("oa", "ge"):
        home.script(vendor, Answer(text="A dog."))
        assert (await face.ask(home.model(vendor), turns)).text == "A dog."
        assert "UklGRg==" in json.dumps(home.asked(vendor).body)
    with pytest.raises(face.bad_request, match="audio"):
        await face.ask(home.model("an"), turns)
    await face.close()


@EVERY
async def test_a_coding_agents_request_is_carried_whole(home: House, vendor: str) -> None:
    """The shape in which Claude Code asks: beta address, marks everywhere, instructions between turns, adaptive thinking."""
    marked: Any = {"cache_control": {"type": "ephemeral"}}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": {}}
    body: dict[str, Any] = {
        "model": f"{vendor}/{THINKING[vendor]}",
        "max_tokens": 32_000,
        "system": [{"type": "text", "text": "You are an agent."}, {"type": "text", "text": "Rules.", **marked}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "List the files.", **marked}]},
            {"role": "system", "content": [{"type": "text", "text": "The date is 21 November."}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "text", "text": "Looking."},
                    {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {}, **marked},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a.py", **marked}],
            },
        ],
        "tools": [
            {"name": "ls", "description": "Lists.", "input_schema": schema, "eager_input_streaming": True, **marked}
        ],
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "medium"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": json.dumps({"device_id": "d" * 64, "account_uuid": "", "session_id": "s" * 36})},
    }
    home.script(vendor, Answer(text="One file: a.py."))
    claude: Any = anthropic.AsyncAnthropic(auth_token=KEY, base_url=home.url, max_retries=0)
    async with claude.beta.messages.stream(**body, betas=["context-management-2025-06-27"]) as stream:
        got = await stream.get_final_message()
    assert got.content[-1].text == "One file: a.py."
    sent = json.dumps(home.asked(vendor).body)
    for piece in ("You are an agent.", "Rules.", "21 November", "List the files.", "Looking.", "a.py", "Lists."):
        assert piece in sent
    await claude.close()


@EVERY
async def test_an_unfinished_message_is_gone_on_with_or_refused(home: House, claude: Any, vendor: str) -> None:
    home.script(vendor, Answer(text='"sky":"rain"}'))
    messages: Any = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]
    asking = claude.messages.create(model=home.model(vendor), max_tokens=9, messages=messages)
    if vendor == "an":
        await asking
        assert home.asked("an").body["messages"][-1] == {"role": "assistant", "content": "{"}
    else:
        with pytest.raises(anthropic.BadRequestError, match="unfinished"):
            await asking
