"""What is exchanged in a caller's bytes by search is what taking them apart would exchange, and nothing else changes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.chat import ChatRequest, Message
from interlock.plugins import splice

WORDS = st.sampled_from(
    ["model", "stream", "max_tokens", "max_completion_tokens", '"model":"x"', '\\"model\\"', "x", "é", "stream_options"]
)
VALUES = st.recursive(
    WORDS | st.integers(-5, 400) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


def request(raw: bytes, **fields: Any) -> ChatRequest:
    given: dict[str, Any] = {"model": "support", "messages": (Message("user", "hi"),), **fields}
    return ChatRequest(**given, raw=raw, raw_dialect="openai")


@given(
    extra=st.dictionaries(WORDS, VALUES, max_size=3),
    cap=st.none() | st.integers(1, 400),
    streamed=st.booleans(),
    spaced=st.booleans(),
    ascii_only=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_only_the_model_and_the_wish_for_usage_change(extra, cap, streamed, spaced, ascii_only, order) -> None:
    own: dict[str, Any] = {"model": "support", "messages": [extra], **({"stream": True} if streamed else {})}
    if cap is not None:
        own["max_tokens"] = cap
    items = [*own.items(), *((name, value) for name, value in extra.items() if name not in own and name != "stream")]
    order.shuffle(items)
    body = dict(items)
    raw = json.dumps(body, separators=None if spaced else (",", ":"), ensure_ascii=ascii_only).encode()
    found = splice.forwarded(request(raw, max_output_tokens=cap), 'other/"model"', stream=streamed, usage=True)
    if found is None:
        return
    wish = {"stream_options": {"include_usage": True}} if streamed else {}
    assert msgspec.json.decode(found) == {**wish, **body, "model": 'other/"model"'}


def test_everything_else_stays_byte_for_byte() -> None:
    raw = b'{ "messages" : [ {"role":"user","content":"hi"} ],\n "model":"support", "new_field": 1.0e2 }'
    assert splice.forwarded(request(raw), "gpt-4o", stream=False, usage=True) == raw.replace(b"support", b"gpt-4o")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"\\u006dodel":"support","messages":[{"model":"dear"}]}',
        b'{"model":"support","model":"dear","messages":[]}',
        b'{"messages":[{"model":"dear"}],"model":"support"}',
    ],
)
def test_a_model_that_could_be_mistaken_is_not_exchanged_by_search(raw: bytes) -> None:
    assert splice.forwarded(request(raw), "cheap", stream=False, usage=False) is None


def test_a_cap_that_is_not_the_callers_is_left_to_the_codec() -> None:
    raw = b'{"model":"support","messages":[],"max_tokens":300}'
    assert splice.forwarded(request(raw, max_output_tokens=300), "m", stream=False, usage=False) is not None
    assert splice.forwarded(request(raw, max_output_tokens=200), "m", stream=False, usage=False) is None
    assert splice.forwarded(request(raw[:-17] + b"}", max_output_tokens=200), "m", stream=False, usage=False) is None
