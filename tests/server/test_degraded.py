"""A reply that is less than was asked for says so: in a header, and beside the vendor's own fields."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import msgspec
import openai
import pytest

from interlock.core.chat import ChatResponse
from interlock.core.errors import CircuitOpen, Exhausted, RateLimited, Shed
from interlock.core.ports import ChatReply
from interlock.gateway.settings import RUNGS
from interlock.server.degraded import REFINE, extended

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


@pytest.mark.requirement("GW-17")
@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("raw", [False, True])
async def test_each_rung_shows_in_the_header_and_in_the_body_with_a_way_to_more(
    door: Door, official: openai.AsyncOpenAI, rung: str, raw: bool
) -> None:
    door.gateway.reply = answered("It shipped.", degraded=rung, input_cap="summarised 9000>800")
    if raw:
        body = b'{"id":"c1","choices":[{"index":0,"message":{"role":"assistant","content":"It shipped."}}],"new": 1}\n'
        response = ChatResponse("gpt-4o-mini", "It shipped.", raw=body, raw_dialect="openai")
        door.gateway.reply = ChatReply(response, settled(degraded=rung, input_cap="summarised 9000>800"))
    got = await official.chat.completions.with_raw_response.create(model="support", messages=MESSAGES)
    assert got.headers["x-interlock-degraded"] == rung
    assert got.headers["x-interlock-input-cap"] == "summarised 9000>800"
    parsed: Any = got.parse()
    said = parsed.model_extra["interlock"]
    assert (said["degraded"], said["refine"], said["input_cap"]) == (rung, REFINE[rung], "summarised 9000>800")
    assert parsed.choices[0].message.content == "It shipped."
    if raw:
        assert parsed.model_extra["new"] == 1, "the vendor's own fields are all there"


@pytest.mark.requirement("GW-17")
async def test_messages_say_so_too(door: Door) -> None:
    door.gateway.reply = answered("It shipped.", degraded="best_effort")
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=door.url + "/anthropic", max_retries=0) as official:
        got = await official.messages.with_raw_response.create(model="support", messages=MESSAGES, max_tokens=50)
    assert got.headers["x-interlock-degraded"] == "best_effort"
    parsed: Any = await got.parse()
    assert parsed.model_extra["interlock"]["refine"] == REFINE["best_effort"]


def test_a_full_answers_bytes_are_left_alone() -> None:
    body = b'{"a": 1}'
    assert extended(body, settled()) is body
    assert (
        msgspec.json.decode(extended(b"{}", settled(degraded="best_effort")))["interlock"]["degraded"] == "best_effort"
    )


@pytest.mark.requirement("GW-26", "GW-28")
@pytest.mark.parametrize(
    ("error", "status", "wait"),
    [
        (CircuitOpen("not asked: circuit open for another 4.2 s.", retry_after_s=4.2), 503, 5),
        (Shed("the line is full.", retry_after_s=3.0), 429, 4),
        (RateLimited("slow down.", upstream_status=429, retry_after_s=7.0), 429, 8),
        (
            Exhausted([CircuitOpen("not asked.", retry_after_s=9.0), CircuitOpen("not asked.", retry_after_s=2.0)]),
            502,
            3,
        ),
    ],
)
async def test_a_refusal_that_passes_says_when(
    door: Door, official: openai.AsyncOpenAI, error: Exception, status: int, wait: int
) -> None:
    door.gateway.reply = error
    with pytest.raises(openai.APIStatusError) as refused:
        await official.chat.completions.create(model="support", messages=MESSAGES)
    assert refused.value.status_code == status
    assert abs(int(refused.value.response.headers["retry-after"]) - wait) <= 1
