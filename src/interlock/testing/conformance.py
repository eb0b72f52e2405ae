"""What every provider has to do, as checks that a plug-in's own tests can run.

A plug-in's test hands in a `Vendor`-like server that speaks its wire and misbehaves by script, and a deployment that points at it:

    async def test_my_provider_conforms(case):      # parametrised over interlock.testing.conformance.CASES
        await case(Subject(build(env), deployment, serve))

Above: tests. Below: `core`, upstream (the vocabulary of scripts).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct

from interlock.core.chat import ChatRequest, Chunk, Message, OutputSchema, ToolSpec
from interlock.core.errors import (
    BadReply,
    InterlockError,
    InvalidRequest,
    RateLimited,
    UpstreamAuth,
    UpstreamCut,
    UpstreamError,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamStalled,
    UpstreamTimeout,
)
from interlock.core.ports import Deployment, Provider
from interlock.core.time import Clock, Deadline

from .upstream import Answer, Asked

WEATHER = ToolSpec(
    name="get_weather",
    description="The weather at a place.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


class Subject(Struct, frozen=True):
    """A provider under test, and the vendor it talks to."""

    provider: Provider
    deployment: Deployment
    clock: Clock
    script: Callable[[Answer], None]
    """Sets how the vendor answers from now on."""
    asked: Callable[[], Asked]
    """The newest request, as the vendor saw it."""

    def deadline(self, seconds: float = 5.0) -> Deadline:
        return Deadline.after(self.clock, seconds)

    async def chat(self, request: ChatRequest) -> Any:
        return await self.provider.chat(self.deployment, request, self.deadline(), "key-1")

    async def streamed(self, request: ChatRequest) -> list[Chunk]:
        pieces = self.provider.stream(
            self.deployment, msgspec.structs.replace(request, stream=True), self.deadline(), "key-1"
        )
        return [chunk async for chunk in pieces]


Case = Callable[[Subject], Awaitable[None]]


def plain(text: str = "How is the weather?", **fields: Any) -> ChatRequest:
    """A request of one user message."""
    return ChatRequest(model="m", messages=(Message("system", "Be brief."), Message("user", text)), **fields)


async def answers_with_text_and_usage(subject: Subject) -> None:
    subject.script(Answer(text="It rains.", input_tokens=100, output_tokens=40, cached_tokens=30))
    response = await subject.chat(plain(max_output_tokens=64))
    assert response.text == "It rains."
    assert response.finish == "stop"
    assert response.usage.input_total == 100, response.usage
    assert response.usage.cache_read == 30, "cached input is a bucket of its own"
    assert response.usage.input == 70, "buckets are disjoint"
    assert response.usage.output_total == 40, response.usage


async def thinking_is_no_text(subject: Subject) -> None:
    subject.script(Answer(text="It rains.", input_tokens=10, output_tokens=40, reasoning_tokens=25))
    for text, usage in await _both(subject, plain()):
        assert text == "It rains."
        assert usage.output_total == 40, "reasoning is billed, once"


async def streams_the_same_text_and_usage(subject: Subject) -> None:
    subject.script(Answer(text="It rains in the north today.", input_tokens=100, output_tokens=40, cached_tokens=30))
    chunks = await subject.streamed(plain())
    assert "".join(chunk.text for chunk in chunks) == "It rains in the north today."
    assert [chunk.finish for chunk in chunks if chunk.finish] == ["stop"]
    usage = [chunk.usage for chunk in chunks if chunk.usage][-1]
    assert (usage.input, usage.cache_read, usage.output_total) == (70, 30, 40)


async def carries_tool_calls(subject: Subject) -> None:
    subject.script(Answer(tool_calls=(("get_weather", '{"city":"Oslo"}'),)))
    response = await subject.chat(plain(tools=(WEATHER,)))
    assert response.finish == "tool_calls"
    (call,) = response.tool_calls
    assert (call.name, msgspec.json.decode(call.arguments)) == ("get_weather", {"city": "Oslo"})
    assert call.id


async def carries_parallel_tool_calls_in_pieces(subject: Subject) -> None:
    subject.script(Answer(tool_calls=(("get_weather", '{"city":"Oslo"}'), ("get_weather", '{"city":"Rome"}'))))
    chunks = await subject.streamed(plain(tools=(WEATHER,)))
    found: dict[int, list[str]] = {}
    ids: dict[int, str] = {}
    for chunk in chunks:
        for delta in chunk.tool_calls:
            found.setdefault(delta.index, []).append(delta.arguments)
            ids.setdefault(delta.index, delta.id)
    arguments = [msgspec.json.decode("".join(found[index])) for index in sorted(found)]
    assert arguments == [{"city": "Oslo"}, {"city": "Rome"}]
    assert len(set(ids.values())) == 2, "each call has an id of its own"
    assert [chunk.finish for chunk in chunks if chunk.finish] == ["tool_calls"]


async def sends_tool_answers_back(subject: Subject) -> None:
    subject.script(Answer(tool_calls=(("get_weather", '{"city":"Oslo"}'), ("get_weather", '{"city":"Rome"}'))))
    calls = (await subject.chat(plain(tools=(WEATHER,)))).tool_calls
    subject.script(Answer(text="Rain and sun."))
    answers = tuple(Message("tool", f'{{"sky":"{at}"}}', tool_call_id=call.id) for at, call in enumerate(calls))
    turns = (*plain().messages, Message("assistant", tool_calls=calls), *answers)
    response = await subject.chat(ChatRequest(model="m", messages=turns, tools=(WEATHER,)))
    assert response.text == "Rain and sun."
    assert "Rome" in str(subject.asked().body), "the earlier calls go along"
    assert "sky" in str(subject.asked().body), "and so do their answers"


async def carries_an_output_schema(subject: Subject) -> None:
    subject.script(Answer(text='{"sky":"rain"}'))
    schema = {"type": "object", "properties": {"sky": {"type": "string"}}, "required": ["sky"]}
    response = await subject.chat(plain(output_schema=OutputSchema("Weather", schema)))
    assert msgspec.json.decode(response.text) == {"sky": "rain"}
    assert "sky" in str(subject.asked().body), "the vendor is told the schema"


async def says_which_status_it_was(subject: Subject) -> None:
    kinds: dict[int, type[InterlockError]] = {
        400: UpstreamRejected,
        401: UpstreamAuth,
        404: UpstreamRejected,
        429: RateLimited,
        500: UpstreamRefused,
        503: UpstreamRefused,
    }
    for status, kind in kinds.items():
        subject.script(Answer(status=status, text=f"words of {status}"))
        for run in (subject.chat, subject.streamed):
            error = await failing(run(plain()))
            assert type(error) is kind, (status, error)
            assert f"words of {status}" in error.message, "the vendor's own words are kept"
            assert error.retryable == (status in (429, 500, 503))


async def honours_retry_after(subject: Subject) -> None:
    subject.script(Answer(status=429, text="slow down", headers=(("retry-after", "7"),)))
    error = await failing(subject.chat(plain()))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 7.0


async def says_no_to_what_it_cannot_carry(subject: Subject) -> None:
    """What a caller asked for in a field is carried or refused; an answer without it would pass for one with it."""
    subject.script(Answer(text="It rains."))
    asked = plain(extra={"a_field_of_another_dialect": 1}, raw_dialect="another dialect")
    error = await failing(subject.chat(asked))
    assert isinstance(error, InvalidRequest), repr(error)
    assert "a_field_of_another_dialect" in error.param
    try:
        answers = 1 + len((await subject.chat(plain(n=2))).others)
    except InvalidRequest:
        return
    assert answers == 2, "two answers were asked for"


async def a_stall_is_named(subject: Subject) -> None:
    subject.script(Answer(text="It rains in the north today.", stall_after=3))
    error = await failing(subject.streamed(plain()))
    assert isinstance(error, (UpstreamStalled, UpstreamTimeout)), repr(error)


async def a_cut_is_named(subject: Subject) -> None:
    subject.script(Answer(text="It rains in the north today.", cut_after=3))
    error = await failing(subject.streamed(plain()))
    assert isinstance(error, UpstreamCut), repr(error)
    subject.script(Answer(text="It rains in the north today.", cut_after=150))
    error = await failing(subject.chat(plain()))
    assert isinstance(error, (UpstreamCut, BadReply)), repr(error)


async def garbage_is_named(subject: Subject) -> None:
    body = b"<html>gateway</html>"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    subject.script(Answer(raw=head + body))
    error = await failing(subject.chat(plain()))
    assert isinstance(error, BadReply), repr(error)
    subject.script(Answer(raw=b"not even http\r\n\r\n"))
    error = await failing(subject.chat(plain()))
    assert isinstance(error, UpstreamError), repr(error)


async def closing_a_stream_cuts_the_vendor_off(subject: Subject) -> None:
    subject.script(Answer(text="one two three four five six", piece_delay_s=0.02))
    request = msgspec.structs.replace(plain(), stream=True)
    pieces: Any = subject.provider.stream(subject.deployment, request, subject.deadline(), "key-1")
    async for _ in pieces:
        break
    await asyncio.wait_for(pieces.aclose(), 30.0)


CASES: tuple[Case, ...] = (
    answers_with_text_and_usage,
    thinking_is_no_text,
    streams_the_same_text_and_usage,
    carries_tool_calls,
    carries_parallel_tool_calls_in_pieces,
    sends_tool_answers_back,
    carries_an_output_schema,
    says_which_status_it_was,
    honours_retry_after,
    says_no_to_what_it_cannot_carry,
    a_stall_is_named,
    a_cut_is_named,
    garbage_is_named,
    closing_a_stream_cuts_the_vendor_off,
)


async def failing(running: Awaitable[Any]) -> Any:
    """The error that `running` raises; it is a fault if it raises none."""
    try:
        got = await running
    except InterlockError as error:
        return error
    raise AssertionError(f"should have failed, but gave {got!r}")


async def _both(subject: Subject, request: ChatRequest) -> list[tuple[str, Any]]:
    whole = await subject.chat(request)
    chunks = await subject.streamed(request)
    usage = [chunk.usage for chunk in chunks if chunk.usage][-1]
    return [(whole.text, whole.usage), ("".join(chunk.text for chunk in chunks), usage)]


__all__ = ["CASES", "Case", "Subject", "failing", "plain"]
