"""OpenAI's Responses as a stream: chunks → typed events with sequence numbers, item by item.

Each item is announced (`response.output_item.added`), grows by deltas, and ends with its whole self (`….done`). What a vendor of the
same dialect sent is handed on event by event. Source: the reference of streaming events
(platform.openai.com/docs/api-reference/responses-streaming), 2026-11.

Above: responses. Below: responses_write, msgspec, `core`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from interlock.core.chat import ChatResponse, Chunk, Thought, ThoughtDelta, TokenLogprob, ToolCall, ToolCallDelta
from interlock.core.errors import InterlockError

from .responses_read import DIALECT
from .responses_write import (
    Item,
    NewId,
    Reply,
    call_item,
    logprob_of,
    made,
    message_item,
    native,
    reasoning_item,
    refusal_part,
    status_of,
    text_part,
)


class _Event(Struct, frozen=True):
    type: str
    response: Raw = Raw(b"")


_event = msgspec.json.Decoder(_Event)
_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, Raw])
_ENDS = frozenset(("response.completed", "response.incomplete", "response.failed"))


class ResponsesStream:
    """One stream's events. Keeps the items as they grow, since the last event holds them all."""

    def __init__(self, repeated: Mapping[str, Any], model: str, new_id: NewId, created_s: int) -> None:
        self._repeated = repeated
        self._model = model
        self._new_id = new_id
        self._created_s = created_s
        self._id = new_id("resp")
        self._next = 0
        self._begun = False
        self._items: list[Item] = []
        self._message: _Text | None = None
        self._thought: _Thinking | None = None
        self._calls: dict[int, _Call] = {}
        self._closed: list[bytes] = []
        self._ended: Reply | None = None
        """What a vendor's own last event said."""

    def piece(self, chunk: Chunk) -> bytes:
        """The events of one chunk; empty when it changes nothing."""
        if chunk.raw_dialect == DIALECT:
            return self._relayed(chunk.raw)
        self._model = chunk.model or self._model
        out: list[bytes] = [] if self._begun else self._opening()
        for thought in chunk.thoughts:
            out += self._think(thought)
        if chunk.text or chunk.refusal:
            out += self._say(chunk.text, chunk.refusal, chunk.logprobs)
        for call in chunk.tool_calls:
            out += self._call(call)
        return b"".join(out)

    def end(self, response: ChatResponse) -> Reply:
        """The whole response; `closing` tells it."""
        if self._ended is not None:
            return self._ended
        self._closed = [*([] if self._begun else self._opening()), *self._close_all()]
        if not self._items:  # an answer without a word is a message without a word
            self._closed += [*self._say("", "", ()), *self._close_all()]
        status, incomplete = status_of(response)
        model = response.model or self._model
        return made(self._id, self._created_s, model, self._repeated, status, self._items, response.usage, incomplete)

    def closing(self, reply: Reply) -> bytes:
        """What ends the stream. A vendor's own end was held back until the response was kept, and goes out here."""
        if self._ended is not None:
            return self._raw_event(f"response.{reply.status}", reply.body)
        last = self._event(f"response.{reply.status}", response=Raw(reply.body))
        return b"".join([*self._closed, last])

    def failed(self, error: InterlockError) -> bytes:
        """What ends a stream that broke."""
        body = made(self._id, self._created_s, self._model, self._repeated, "failed", self._items, error=error).body
        opening = [] if self._begun else self._opening()
        return b"".join([*opening, self._event("response.failed", response=Raw(body))])

    # --- a vendor's own events ---

    def _relayed(self, raw: bytes) -> bytes:
        """Whole events as they came, numbered as they came; the last one is held back, and those with the response say what is kept."""
        self._begun = True
        out: list[bytes] = []
        for event in raw.replace(b"\r\n", b"\n").split(b"\n\n"):
            data = b"".join(line[5:].lstrip() for line in event.split(b"\n") if line.startswith(b"data:"))
            if not data or data == b"[DONE]":
                continue
            self._next += 1
            known = _event.decode(data)
            if known.type in _ENDS:
                self._ended = native(bytes(known.response), self._repeated)
                self._next -= 1
            elif known.response:
                patched = native(bytes(known.response), self._repeated)
                self._id = patched.id
                fields = {**_fields.decode(data), "response": Raw(patched.body)}
                out.append(b"event: %b\ndata: %b\n\n" % (known.type.encode(), msgspec.json.encode(fields)))
            else:
                out.append(event + b"\n\n")
        return b"".join(out)

    def _raw_event(self, kind: str, response: bytes) -> bytes:
        return self._event(kind, response=Raw(response))

    # --- own events ---

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._next, **fields}
        self._next += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(body))

    def _delta(self, head: bytes, text: str) -> bytes:
        """One piece; most events of a stream are these, so what they share is written once."""
        number = self._next
        self._next += 1
        return b'%b%d,"delta":%b}\n\n' % (head, number, _encode(text))

    def _opening(self) -> list[bytes]:
        self._begun = True
        body = Raw(made(self._id, self._created_s, self._model, self._repeated, "in_progress", ()).body)
        return [self._event(f"response.{name}", response=body) for name in ("created", "in_progress")]

    def _add(self, item: Item) -> int:
        self._items.append(item)
        return len(self._items) - 1

    def _think(self, delta: ThoughtDelta) -> list[bytes]:
        out: list[bytes] = []
        if self._thought is not None and self._thought.index != delta.index:
            out += self._close_thought()
        if self._thought is None:
            item = reasoning_item(Thought(), delta.id or self._new_id("rs"), "in_progress")
            self._thought = _Thinking(delta.index, item["id"], self._add(item))
            out.append(self._event("response.output_item.added", output_index=self._thought.place, item=item))
        open_one = self._thought
        where = {"item_id": open_one.id, "output_index": open_one.place, "summary_index": 0}
        if delta.text:
            if not open_one.texts:
                part = {"type": "summary_text", "text": ""}
                out.append(self._event("response.reasoning_summary_part.added", **where, part=part))
            out.append(self._delta(open_one.head, delta.text))
        open_one.add(delta)
        return out

    def _close_thought(self) -> list[bytes]:
        open_one, self._thought = self._thought, None
        if open_one is None:
            return []
        thought = open_one.thought()
        item = self._items[open_one.place] = reasoning_item(thought, open_one.id)
        out: list[bytes] = []
        if thought.text:
            where = {"item_id": open_one.id, "output_index": open_one.place, "summary_index": 0}
            part = {"type": "summary_text", "text": thought.text}
            out.append(self._event("response.reasoning_summary_text.done", **where, text=thought.text))
            out.append(self._event("response.reasoning_summary_part.done", **where, part=part))
        return [*out, self._event("response.output_item.done", output_index=open_one.place, item=item)]

    def _say(self, text: str, refusal: str, logprobs: Sequence[TokenLogprob]) -> list[bytes]:
        out = self._close_thought()
        if self._message is not None and self._message.refuses != bool(refusal):
            out += self._close_message()
        if self._message is None:
            item = message_item(self._new_id("msg"), [], "in_progress")
            self._message = _Text(item["id"], self._add(item), refuses=bool(refusal))
            out.append(self._event("response.output_item.added", output_index=self._message.place, item=item))
            part = refusal_part("") if refusal else text_part("")
            out.append(self._event("response.content_part.added", **self._message.where(), part=part))
        self._message.texts.append(refusal or text)
        self._message.logprobs.extend(logprobs)
        if refusal:
            out.append(self._event("response.refusal.delta", **self._message.where(), delta=refusal))
        elif logprobs:
            likely = [logprob_of(each) for each in logprobs]
            out.append(self._event("response.output_text.delta", **self._message.where(), delta=text, logprobs=likely))
        elif text:
            out.append(self._delta(self._message.head, text))
        return out

    def _close_message(self) -> list[bytes]:
        open_one, self._message = self._message, None
        if open_one is None:
            return []
        text, where = "".join(open_one.texts), open_one.where()
        if open_one.refuses:
            part = refusal_part(text)
            said = self._event("response.refusal.done", **where, refusal=text)
        else:
            part = text_part(text, open_one.logprobs)
            said = self._event("response.output_text.done", **where, text=text, logprobs=part["logprobs"])
        item = self._items[open_one.place] = message_item(open_one.id, [part])
        return [
            said,
            self._event("response.content_part.done", **where, part=part),
            self._event("response.output_item.done", output_index=open_one.place, item=item),
        ]

    def _call(self, delta: ToolCallDelta) -> list[bytes]:
        out: list[bytes] = []
        open_one = self._calls.get(delta.index)
        if open_one is None:
            out += [*self._close_thought(), *self._close_message()]
            item = call_item(
                ToolCall(delta.id or self._new_id("call"), delta.name, ""), self._new_id("fc"), "in_progress"
            )
            open_one = self._calls[delta.index] = _Call(item["id"], item["call_id"], delta.name, self._add(item))
            out.append(self._event("response.output_item.added", output_index=open_one.place, item=item))
        elif delta.name:
            open_one.name = open_one.name or delta.name
        if delta.arguments:
            open_one.pieces.append(delta.arguments)
            out.append(self._delta(open_one.head, delta.arguments))
        return out

    def _close_all(self) -> list[bytes]:
        """Calls stay open until the end: pieces of parallel ones may come in any order."""
        out = [*self._close_thought(), *self._close_message()]
        for open_one in self._calls.values():
            call = ToolCall(open_one.call_id, open_one.name, "".join(open_one.pieces) or "{}")
            item = self._items[open_one.place] = call_item(call, open_one.id)
            where = {"item_id": open_one.id, "output_index": open_one.place}
            out.append(self._event("response.function_call_arguments.done", **where, arguments=call.arguments))
            out.append(self._event("response.output_item.done", output_index=open_one.place, item=item))
        self._calls = {}
        return out


def _head(kind: str, **fields: Any) -> bytes:
    """The beginning that all deltas of one item share, up to the sequence number."""
    shared = _encode({"type": kind, **fields})
    return b'event: %b\ndata: %b,"sequence_number":' % (kind.encode(), shared[:-1])


class _Text:
    """A message that is being written."""

    __slots__ = ("head", "id", "logprobs", "place", "refuses", "texts")

    def __init__(self, item_id: str, place: int, *, refuses: bool) -> None:
        self.id = item_id
        self.place = place
        self.refuses = refuses
        self.texts: list[str] = []
        self.logprobs: list[TokenLogprob] = []
        self.head = _head("response.output_text.delta", **self.where(), logprobs=[])

    def where(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.place, "content_index": 0}


class _Thinking:
    """A thought that is still coming."""

    __slots__ = ("data", "head", "id", "index", "origin", "place", "signature", "texts")

    def __init__(self, index: int, item_id: str, place: int) -> None:
        self.index = index
        self.id = item_id
        self.place = place
        self.texts: list[str] = []
        self.signature = self.data = self.origin = ""
        self.head = _head("response.reasoning_summary_text.delta", item_id=item_id, output_index=place, summary_index=0)

    def add(self, delta: ThoughtDelta) -> None:
        if delta.text:
            self.texts.append(delta.text)
        self.signature += delta.signature
        self.data += delta.data
        self.origin = delta.origin or self.origin

    def thought(self) -> Thought:
        return Thought("".join(self.texts), self.signature, self.data, self.origin, self.id)


class _Call:
    """A function call whose arguments are still coming."""

    __slots__ = ("call_id", "head", "id", "name", "pieces", "place")

    def __init__(self, item_id: str, call_id: str, name: str, place: int) -> None:
        self.id = item_id
        self.call_id = call_id
        self.name = name
        self.place = place
        self.pieces: list[str] = []
        self.head = _head("response.function_call_arguments.delta", item_id=item_id, output_index=place)
