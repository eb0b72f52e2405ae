"""The local vendor says what a vendor says, and counts what a vendor bills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from interlock.core.errors import UpstreamCut, UpstreamStalled
from interlock.core.ports import HttpRequest
from interlock.core.time import Deadline, SystemClock
from interlock.net import PooledClient
from interlock.testing.upstream import Answer, Upstream, in_turn

CLOCK = SystemClock()
MESSAGES: Any = [{"role": "user", "content": "Where is my order?"}]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(api_key="sk-test") as made:
        yield made


@pytest.fixture
async def official(upstream: Upstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="sk-test", base_url=upstream.base_url, max_retries=0) as made:
        yield made


async def test_the_official_client_reads_its_answers(upstream: Upstream, official: openai.AsyncOpenAI) -> None:
    upstream.script = in_turn(
        Answer(text="It shipped.", cached_tokens=3), Answer(tool_calls=(("orders.get", '{"id":1}'),))
    )
    text: Any = await official.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    tools: Any = await official.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert text.choices[0].message.content == "It shipped."
    assert tools.choices[0].message.tool_calls[0].function.arguments == '{"id":1}'
    assert tools.choices[0].finish_reason == "tool_calls"
    assert upstream.served.completed == 2
    assert upstream.served.input_tokens == text.usage.prompt_tokens + tools.usage.prompt_tokens


async def test_the_official_client_reads_its_streams(upstream: Upstream, official: openai.AsyncOpenAI) -> None:
    upstream.script = in_turn(Answer(text="It has shipped."), Answer(tool_calls=(("orders.get", '{"id":1}'),)))
    options: Any = {"model": "m", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    pieces: list[Any] = [piece async for piece in await official.chat.completions.create(**options)]
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == "It has shipped."
    assert pieces[-1].usage.completion_tokens == 3 == upstream.served.output_tokens
    deltas: list[Any] = [piece async for piece in await official.chat.completions.create(**options)]
    calls = [
        piece.choices[0].delta.tool_calls[0] for piece in deltas if piece.choices and piece.choices[0].delta.tool_calls
    ]
    assert "".join(call.function.arguments for call in calls) == '{"id":1}'


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError)],
)
async def test_errors_have_the_vendors_shape(
    upstream: Upstream, official: openai.AsyncOpenAI, status: int, error: type[openai.APIStatusError]
) -> None:
    upstream.script = in_turn(Answer(status=status, text="no", error_code="c", headers=(("retry-after", "7"),)))
    with pytest.raises(error) as raised:
        await official.chat.completions.create(model="m", messages=MESSAGES)
    assert raised.value.code == "c"
    assert raised.value.response.headers["retry-after"] == "7"
    assert upstream.served.refused == 1


async def test_a_wrong_key_is_refused(upstream: Upstream, official: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        await official.with_options(api_key="sk-other").chat.completions.create(model="m", messages=MESSAGES)


async def test_streams_are_cut_and_stall_where_the_script_says_and_are_billed_for_what_was_sent() -> None:
    client = PooledClient(CLOCK)
    body = b'{"model":"m","stream":true,"messages":[]}'
    cut, stall = Answer(text="a b c d", cut_after=3), Answer(text="a b c d", stall_after=3, input_tokens=10)
    async with Upstream(in_turn(cut, stall)) as upstream:
        request = HttpRequest("POST", f"{upstream.base_url}/chat/completions", (), body)
        for error in (UpstreamCut, UpstreamStalled):
            async with client.stream(request, Deadline.after(CLOCK, 30), stall_s=0.05) as stream:
                with pytest.raises(error):
                    await stream.read()
        async with asyncio.timeout(60):
            while upstream.served.open_connections:
                await asyncio.sleep(0)
        assert (upstream.served.aborted, upstream.served.input_tokens) == (1, 10)
        assert 0 < upstream.served.output_tokens < 8
    await client.close()
