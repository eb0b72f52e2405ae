"""Replies that no vendor sends: JSON nested without end, waits that are none. They are the vendor's fault and no defect of ours."""

from contextlib import suppress

import pytest

from interlock.core.chat import ChatRequest, Message
from interlock.core.errors import UpstreamError
from interlock.core.ports import Deployment
from interlock.plugins import (
    anthropic_turns,
    anthropic_wire,
    gemini_ask,
    gemini_wire,
    openai_wire,
    responses_wire,
    wire,
)
from interlock.testing.clock import FakeClock

AT = Deployment("mine", "small", "openai")
ASK = ChatRequest("small", (Message("user", "hi"),))


@pytest.mark.parametrize(
    ("headers", "body", "wait_s"),
    [
        ({"retry-after": "²"}, b"", None),
        ({"retry-after": "9" * 400}, b"", wire.LONGEST_WAIT_S),
        ({"retry-after": "2026-13-45T00:00:00Z"}, b"", None),
        ({}, b'{"error":{"details":[{"retryDelay": "1.2.3s"}]}}', None),
    ],
)
def test_a_wait_that_is_none_is_none_and_an_endless_one_ends(headers, body, wait_s):
    assert wire.wait_of(headers, body, FakeClock()) == wait_s


@pytest.mark.requirement("GW-07")
@pytest.mark.parametrize("depth", [900, 50_000])
def test_a_reply_that_is_nested_deep_is_the_vendors_fault(depth):
    deep = b"[" * depth + b"]" * depth
    for field in (b"choices", b"content", b"candidates", b"output", b"usage", b"error"):
        body = b'{"%b":%b}' % (field, deep)
        for read in (
            lambda body: openai_wire.response_of(body, ASK, AT),
            lambda body: openai_wire.chunk_of(b"data: " + body + b"\n\n", [body], ASK, AT, relayed=False),
            lambda body: anthropic_wire.response_of(body, ASK, AT, anthropic_turns.Thoughts()),
            lambda body: gemini_wire.response_of(body, ASK, AT, gemini_ask.Signatures()),
            lambda body: responses_wire.response_of(body, AT),
        ):
            with suppress(UpstreamError):
                read(body)
        assert wire.said(body)
