"""Anthropic's messages, streamed: chunks → events in this dialect's order of blocks.

What a vendor of the same dialect sent is handed on as it came. Source: the page on streaming messages
(platform.claude.com/docs/en/build-with-claude/streaming), 2026-11.

Above: anthropic. Below: msgspec, anthropic_write, `core`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, structs

from interlock.core.chat import Chunk, ThoughtDelta, ToolCallDelta
from interlock.core.errors import InterlockError
from interlock.core.money import Usage
from interlock.core.ports import ChatReply
from interlock.core.shares import money_of
from interlock.core.unreadable import UNREADABLE

from .anthropic_blocks import DIALECT, SEALED_ELSEWHERE
from .anthropic_write import envelope, error_body, seal_of_call, stop_of, usage_of

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_json = msgspec.json.Encoder()


class _Event(Struct):
    type: str = ""
    index: int = 0


_event = msgspec.json.Decoder(_Event)


class StreamWriter:
    """Turns one stream's chunks into events. Keeps which block is open, and what is still owed at the end."""

    def __init__(self, call: str, model: str) -> None:
        self._call = call
        self._model = model
        self._id = ""
        self._begun = False
        self._told = False
        """Pieces were told in our words; from there on the blocks are numbered here, and no vendor's bytes fit any more."""
        self._relayed_end = False
        """The vendor's own end of the message went out as it came."""
        self._next = 0
        self._open: tuple[str, int] | None = None
        """Kind of the open block, and its number within its kind."""
        self._at = 0
        """Index of the open block."""
        self._stop_hit = self._refusal = ""
        self._tools: dict[int, int] = {}
        """Number of a tool call → index of its block."""

    def piece(self, chunk: Chunk) -> bytes:
        """The events of one chunk; empty when it holds nothing to show. The end of the message is `last`'s."""
        theirs = chunk.raw and chunk.raw_dialect == DIALECT and not self._told
        if theirs and not (self._begun and b"message_start" in chunk.raw):
            return self._relayed(chunk.raw)
        self._told = True
        self._model = chunk.model or self._model
        self._id = chunk.id or self._id
        self._stop_hit = chunk.stop_hit or self._stop_hit
        self._refusal += chunk.refusal
        events: list[bytes] = []
        for thought in chunk.thoughts:
            self._thought(thought, events)
        if text := chunk.text or ("" if chunk.finish else chunk.refusal):
            self._opened("text", 0, {"type": "text", "text": ""}, events)
            events.append(self._delta({"type": "text_delta", "text": text}))
        for delta in chunk.tool_calls:
            self._tool(delta, events)
        return b"".join(self._beginning(bool(events), chunk.usage) + events)

    def last(self, reply: ChatReply) -> bytes:
        """What ends the stream: why the answer ended and what it used, how the call settled, the end mark."""
        settled = reply.settled
        facts = {
            "call": settled.call,
            "model": settled.deployment,
            "cost_nano_usd": money_of(settled)[0],
            "simulated": settled.simulated,
            "degraded": settled.degraded,
            "cache": settled.cache,
        }
        # A comment, which every reader of server-sent events passes over; headers had to go out before this was known.
        comment = b": interlock %b\n\n" % _json.encode(facts)
        if self._relayed_end:
            return comment
        events = self._beginning(True)
        self._closed(events)
        response = structs.replace(reply.response, stop_hit=self._stop_hit, refusal=self._refusal)
        if self._tools and response.finish == "stop":
            response = structs.replace(response, finish="tool_calls")  # some servers say so of forced calls
        delta = _made("message_delta", delta=stop_of(response), usage=usage_of(response.usage))
        return b"".join([*events, delta, comment, _made("message_stop")])

    def error(self, error: InterlockError) -> bytes:
        """What ends a stream that broke: a typed error event and no end mark."""
        return b"event: error\ndata: %b\n\n" % error_body(error, self._call)

    def _beginning(self, wanted: bool, usage: Usage | None = None) -> list[bytes]:
        if self._begun or not wanted:
            return []
        self._begun = True
        message: dict[str, Any] = {
            **envelope(self._id or self._call, self._model),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_of(usage or Usage()),
        }
        return [_made("message_start", message=message), PING]

    def _thought(self, piece: ThoughtDelta, events: list[bytes]) -> None:
        sealed = piece.data or piece.signature
        if sealed and piece.origin != DIALECT:
            sealed = f"{SEALED_ELSEWHERE}{piece.origin}:{'data' if piece.data else 'seal'}:{piece.id}:{sealed}"
        if piece.data and self._open != ("thinking", piece.index):
            self._opened("redacted", piece.index, {"type": "redacted_thinking", "data": sealed}, events)
            return
        self._opened("thinking", piece.index, {"type": "thinking", "thinking": "", "signature": ""}, events)
        if piece.text:
            events.append(self._delta({"type": "thinking_delta", "thinking": piece.text}))
        if sealed:
            events.append(self._delta({"type": "signature_delta", "signature": sealed}))

    def _tool(self, piece: ToolCallDelta, events: list[bytes]) -> None:
        index = self._tools.get(piece.index)
        if index is None:
            call_id = piece.id or f"toolu_{self._call}_{piece.index}"
            if piece.signature:
                self._opened("seal", piece.index, seal_of_call(call_id, piece.signature), events)
            block: dict[str, Any] = {"type": "tool_use", "id": call_id, "name": piece.name, "input": {}}
            self._opened("tool", piece.index, block, events)
            index = self._tools[piece.index] = self._at
        if piece.arguments:
            delta = {"type": "input_json_delta", "partial_json": piece.arguments}
            events.append(_made("content_block_delta", index=index, delta=delta))

    def _opened(self, kind: str, number: int, block: dict[str, Any], events: list[bytes]) -> None:
        if self._open == (kind, number):
            return
        self._closed(events)
        self._open, self._at = (kind, number), self._next
        self._next += 1
        events.append(_made("content_block_start", index=self._at, content_block=block))

    def _closed(self, events: list[bytes]) -> None:
        if self._open is not None:
            events.append(_made("content_block_stop", index=self._at))
            self._open = None

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _made("content_block_delta", index=self._at, delta=delta)

    def _relayed(self, raw: bytes) -> bytes:
        """The vendor's bytes; which block they leave open is kept, in case the rest of the answer comes from somebody else."""
        self._begun = True
        if b"message_stop" in raw:
            self._relayed_end = True
        elif b"content_block_st" in raw:
            for line in raw.split(b"\n"):
                if line.startswith(b"data:") and b"content_block_st" in line:
                    self._follow(line[5:])
        return raw

    def _follow(self, data: bytes) -> None:
        try:
            event = _event.decode(data)
        except UNREADABLE:
            return
        if event.type == "content_block_start":
            self._at, self._next, self._open = event.index, event.index + 1, ("relayed", event.index)
        elif event.type == "content_block_stop":
            self._open = None


def _made(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _json.encode({"type": kind, **fields}))
