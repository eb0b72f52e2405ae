"""Resilience through the whole of a running Interlock: files, provider, wire."""

import asyncio

import pytest

from interlock.app.compose import Interlock
from interlock.config.load import load
from interlock.core.errors import CircuitOpen
from interlock.testing.upstream import Answer, Upstream

FILES = """\
providers:
  one: {{dialect: openai, base_url: "{one}"}}
  two: {{dialect: openai, base_url: "{two}"}}
models:
  support: [one/m, two/m]
  alone: one/m
{more}
"""


async def opened(tmp_path, one, two, more=""):
    (tmp_path / "interlock.yaml").write_text(FILES.format(one=one.base_url, two=two.base_url, more=more))
    return Interlock(load(tmp_path, {}))


@pytest.mark.requirement("GW-27")
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_vendor_that_says_its_bucket_is_empty_is_left_alone_until_it_is_full(tmp_path, streamed):
    empty = (
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1m0s"),
    )
    async with Upstream(Answer(headers=empty)) as one, Upstream() as two:
        async with await opened(tmp_path, one, two) as il:
            for _ in range(4):
                if streamed:
                    async for _ in il.stream("support", "Where is it?"):
                        pass
                else:
                    await il.chat("support", "Where is it?")
        assert (one.served.requests, two.served.requests) == (1, 3)
        assert one.served.refused + two.served.refused == 0


@pytest.mark.requirement("GW-25", "GW-26")
async def test_a_full_outage_over_real_sockets_is_not_amplified(tmp_path):
    down = Answer(status=503, text="overloaded")
    async with Upstream(down) as one, Upstream(down) as two:
        async with await opened(tmp_path, one, two) as il:
            for _ in range(5):
                await asyncio.gather(*(il.chat("support", "Where is it?") for _ in range(40)), return_exceptions=True)
            with pytest.raises(CircuitOpen, match="status 503"):
                await il.chat("alone", "Where is it?")
        assert one.served.requests + two.served.requests <= 1.1 * 200


@pytest.mark.requirement("GW-18", "GW-32")
async def test_caps_and_shapes_of_the_files_are_seen_upstream(tmp_path):
    more = "shaping:\n  support:\n    input_cap: {tokens: 600, then: summarise, model: two/m}\n    temperature: 0\n    max_output_tokens: 40\n"
    async with Upstream() as one, Upstream(Answer(text="In short: it has not come.")) as two:
        async with await opened(tmp_path, one, two, more) as il:
            reply = await il.chat("support", "My order FH-10234 has not come. " * 400, temperature=1.0)
        (seen,) = one.asked
        assert len(str(seen.body["messages"])) < 3_000
        assert (seen.body["temperature"], seen.body["max_tokens"]) == (0.0, 40)
        assert two.served.requests >= 1
        assert reply.settled.input_cap.startswith("summarised ")
        assert reply.settled.usage.input_total == one.served.input_tokens + two.served.input_tokens, "to the token"
