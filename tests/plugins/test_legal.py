"""No conversation that one vendor allows becomes one that another refuses, whatever turns it takes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.chat import ChatRequest, Message, Part, Thinking, Thought, ToolCall, ToolSpec
from interlock.core.errors import InvalidRequest
from interlock.plugins import anthropic_ask, anthropic_turns, gemini_ask, openai_ask, profiles
from interlock.testing.anthropic_rules import anthropic_fault
from interlock.testing.gemini_rules import gemini_fault
from interlock.testing.openai_rules import openai_fault

TEXTS = st.sampled_from(["", " \n", "x", "Grüße 雨", "two\nlines"])
PARTS = st.one_of(
    st.builds(Part, st.just("text"), text=TEXTS, cache=st.sampled_from(["", "5m", "1h"])),
    st.just(Part("image", data="QUJD", media_type="image/png")),
    st.just(Part("image", url="https://example.com/a.png")),
    st.just(Part("file", url="data:application/pdf;base64,QUJD", name="a.pdf")),
    st.just(Part("file", text="plain", media_type="text/plain", name="a.txt")),
)
CONTENT = st.one_of(TEXTS, st.lists(PARTS, max_size=3).map(tuple))
IDS = st.sampled_from(["call_1", "toolu_2", "call:3/α", "call_resp9_0"])
THOUGHTS = st.lists(
    st.builds(
        Thought,
        text=st.sampled_from(["", "hm"]),
        signature=st.sampled_from(["", "c2ln"]),
        data=st.sampled_from(["", "eHh4"]),
        origin=st.sampled_from(["anthropic", "gemini", "openai"]),
    ),
    max_size=2,
).map(tuple)
ARGUMENTS = st.sampled_from(["", "{}", '{"at":1}', "[1]", "not json"])


@st.composite
def rounds(draw: st.DrawFn) -> list[Message]:
    """What a user says, and a model's answer: text, or calls of tools with what they brought."""
    said = [Message("user", draw(CONTENT))]
    ids = draw(st.lists(IDS, unique=True, max_size=3))
    calls = tuple(ToolCall(each, "look", draw(ARGUMENTS), draw(st.sampled_from(["", "c2ln"]))) for each in ids)
    said.append(Message("assistant", draw(CONTENT), tool_calls=calls, thoughts=draw(THOUGHTS)))
    said += [Message("tool", draw(CONTENT), tool_call_id=each.id, failed=draw(st.booleans())) for each in calls]
    if draw(st.booleans()):
        said.append(Message(draw(st.sampled_from(["system", "developer"])), draw(TEXTS)))
    return said


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    messages = [Message("system", draw(TEXTS))] if draw(st.booleans()) else []
    for each in draw(st.lists(rounds(), max_size=3)):
        messages += each
    messages.append(Message("user", draw(CONTENT)))
    tools = (ToolSpec("look", {"type": "object"}),) if draw(st.booleans()) else ()
    return ChatRequest(
        "m",
        tuple(messages),
        tools=tools,
        tool_choice=draw(st.sampled_from(["", "auto", "none", "required", "look"])) if tools else "",
        parallel_tool_calls=draw(st.sampled_from([None, False])) if tools else None,
        max_output_tokens=draw(st.sampled_from([None, 9, 5000])),
        temperature=draw(st.sampled_from([None, 0.5])),
        thinking=draw(st.sampled_from([None, Thinking("low"), Thinking(budget=2048, shown=True), Thinking(budget=0)])),
    )


def _assistant_texts_only(request: ChatRequest) -> bool:
    """What the OpenAI dialect has no form for at all: media in an assistant's own words, which no vendor's model gives."""
    return all(
        isinstance(each.content, str) or all(part.type == "text" for part in each.content)
        for each in request.messages
        if each.role == "assistant"
    )


def _unless_silent(request: ChatRequest) -> AbstractContextManager[Any]:
    """A request in which nobody says or does anything may be refused; every other one has to be carried."""
    says = any(each.text.strip() or each.tool_calls for each in request.messages)
    media = (each.content for each in request.messages if not isinstance(each.content, str))
    shows = any(part.type != "text" for parts in media for part in parts)
    return nullcontext() if says or shows else suppress(InvalidRequest)


@pytest.mark.requirement("GW-06")
@settings(max_examples=200, deadline=None)
@given(requests())
def test_a_conversation_is_legal_in_every_dialect(request: ChatRequest) -> None:
    shipped = profiles.shipped()
    for model in ("claude-3-5-haiku", "claude-sonnet-4-5", "claude-opus-5-5"):
        profile = shipped.of("anthropic", model)
        with _unless_silent(request):
            body = anthropic_ask.encoded(request, model, profile, anthropic_turns.Thoughts(), stream=False)
            assert anthropic_fault(msgspec.json.decode(body)) == ""
    for model in ("gemini-2.5-flash", "gemini-3-pro"):
        with _unless_silent(request):
            body = gemini_ask.encoded(request, shipped.of("gemini", model), gemini_ask.Signatures())
            assert gemini_fault(msgspec.json.decode(body)) == ""
    if _assistant_texts_only(request):
        for model in ("gpt-4o-mini", "gpt-5-mini"):
            profile = shipped.of("openai", model)
            body = openai_ask.encoded(request, model, profile, "max_tokens", stream=False, usage=False)
            assert openai_fault(msgspec.json.decode(body)) == ""
