"""Plain pieces go through the tap, everything else is read; together they are the stream, in its order, however it was cut."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from interlock.core.chat import ChatRequest, Message
from interlock.core.ports import Deployment
from interlock.gateway.through import text_inside
from interlock.plugins import openai_wire as codec
from interlock.plugins import wire
from interlock.plugins.openai_plain import Gate

AT = Deployment("mine", "small", "openai")
ASKED = ChatRequest("small", (Message("user", "hi"),), stream=True, include_usage=True, raw_dialect="openai")
TEXTS = st.sampled_from([" word", "é", 'say "no"', "back\\slash", "\n\n", '"usage":{', "data: ", "", "😀", "}"])


class Reply:
    """A body that comes in pieces."""

    status, headers = 200, dict[str, str]()

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.left = list(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        while self.left:
            yield self.left.pop(0)

    async def pour(self, sink: Any) -> bool:
        while self.left:
            if not sink(self.left.pop(0)):
                break
        return bool(self.left)

    async def read(self) -> bytes:
        return b"".join(self.left)


class Tap:
    def __init__(self, patience: int) -> None:
        self.out: list[bytes] = []
        self.text: list[str] = []
        self.patience = patience
        """Pieces after which it wants a rest; at the second rest it wants no more."""
        self.rests = 0

    def put(self, raw: bytes, texts: Sequence[bytes]) -> bool:
        self.out.append(raw)
        self.text.append(text_inside(texts))
        return len(self.out) % self.patience != 0

    async def ready(self) -> bool:
        self.rests += 1
        return self.rests < 2


def event(delta: dict[str, Any], escaped: bool, padding: str | None, finish: str | None = None) -> bytes:
    shown: dict[str, Any] = {
        "id": "c1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        "usage": None,
    }
    if padding is not None:
        shown["obfuscation"] = padding
    text = json.dumps(shown, ensure_ascii=escaped, separators=(",", ":"))
    return b"data: %b\n\n" % text.encode()


@given(
    texts=st.lists(TEXTS, max_size=12),
    escaped=st.booleans(),
    paddings=st.none() | st.lists(st.sampled_from(["a", "bc"]), min_size=12, max_size=12),
    tool_at=st.none() | st.integers(0, 11),
    cuts=st.lists(st.integers(1, 2_000), max_size=30),
    patience=st.integers(2, 20),
)
async def test_tapped_and_read_together_are_the_stream(texts, escaped, paddings, tool_at, cuts, patience) -> None:
    events = [event({"role": "assistant", "content": ""}, escaped, None)]
    for place, text in enumerate(texts):
        padding = paddings[place] if paddings else None
        if place == tool_at:
            call = {"index": 0, "id": "t", "function": {"name": "f", "arguments": text}}
            events.append(event({"tool_calls": [call]}, escaped, padding))
        events.append(event({"content": text}, escaped, padding))
    events += [event({}, escaped, None, "stop"), b"data: [DONE]\n\n"]
    whole = b"".join(events)
    edges = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    aligned = not cuts
    pieces = events if aligned else [whole[a:b] for a, b in pairwise(edges)]
    reply, gate, tap = Reply(pieces), Gate(ASKED, AT), Tap(patience)
    async for raw, data in wire.events(gate.through(reply), AT):
        chunk = codec.chunk_of(raw, data, ASKED, AT, relayed=True)
        tap.out.append(chunk.raw)
        tap.text.append(chunk.text)
        gate.learn(tap, raw, chunk)
    assert b"".join(tap.out) == whole
    assert "".join(tap.text) == "".join(texts)


async def test_all_but_the_first_of_equal_events_are_tapped() -> None:
    events = [event({"content": f" word{number}"}, False, None) for number in range(10)]
    reply, gate, tap = Reply(events), Gate(ASKED, AT), Tap(1_000)
    read = 0
    async for raw, data in wire.events(gate.through(reply), AT):
        read += 1
        gate.learn(tap, raw, codec.chunk_of(raw, data, ASKED, AT, relayed=True))
    assert (read, len(tap.out)) == (1, 9)
