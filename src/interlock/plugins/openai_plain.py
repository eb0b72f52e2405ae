"""Plain pieces of a stream, known by their outside: events that differ from one another in the text they bring and in nothing else.

Above: providers/openai. Below: openai_wire, `core`. Nearly every event of a stream is one of these. The first is read like any event; from
then on one that has the same bytes before and after its text is not taken apart, and goes through a `core.ports.Tap` in the callback that read it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from interlock.core.chat import ChatRequest, Chunk
from interlock.core.errors import InterlockError
from interlock.core.ports import Deployment, HttpStream, Tap

from . import openai_wire as codec

_FIELD = b'"content":'
_PROBE, _PROBED = b"\\u0041 \\\\", "A \\"
"""Put into a form to see that it is the text that stands there."""
BACKSLASH = 0x5C


class Gate:
    """What of one stream goes through its reader's tap."""

    def __init__(self, request: ChatRequest, deployment: Deployment) -> None:
        self._request = request
        self._deployment = deployment
        self._tap: Tap | None = None
        self._before = self._after = b""
        self.open = False
        """It is known who takes plain pieces, and what one looks like."""
        self._left = b""
        self._refused = False
        """The tap, or what stood in a piece, ended the pouring."""

    async def through(self, reply: HttpStream) -> AsyncIterator[bytes]:
        """The reply's pieces, but for those that went through the tap. Raises as `HttpStream.chunks`."""
        pieces = reply.chunks()
        more = True
        while more:
            if self._tap is None or not self._before:
                piece = await anext(pieces, b"")
                if not piece:
                    return
                yield piece
                continue
            self._refused = False
            more = await reply.pour(self._take)
            if self._left:
                left, self._left = self._left, b""
                yield left
            elif more and not (self._refused and await self._tap.ready()):
                self._tap = None  # not refused: its reader was cancelled, and the rest of what was on its way stands in `chunks`

    def take(self, piece: bytes) -> bytes | None:
        """As `through`, for one piece: what of it has to be read in the usual way; `None` where the tap has had it all, and takes no more."""
        before, after, tap = self._before, self._after, self._tap
        if tap is not None and piece.startswith(before) and piece.endswith(after):
            text = piece[len(before) : -len(after)]
            if b'"' not in text and not text.endswith(b"\\"):
                return b"" if tap.put(piece, (text,)) else None
        if self._put(piece):
            return b""
        left, self._left = self._left, b""
        return left or None

    def close(self) -> None:
        """Nothing goes through any more, until it has learnt anew."""
        self._tap, self.open = None, False

    def learn(self, tap: Tap | None, raw: bytes, chunk: Chunk) -> None:
        """Takes note of who takes plain pieces, and of what one looks like."""
        self._tap = tap
        if tap is not None:
            self._look_at(raw, chunk)
        self.open = tap is not None and bool(self._before)

    def _look_at(self, raw: bytes, chunk: Chunk) -> None:
        if chunk != Chunk(chunk.text, model=chunk.model, id=chunk.id, raw=chunk.raw, raw_dialect=codec.DIALECT):
            return
        at = raw.find(_FIELD) + len(_FIELD)
        begin = raw.find(b'"', at) + 1
        end = raw.find(b'"', begin)
        if not chunk.text or raw[at : begin - 1].strip() or end < 0 or not raw.endswith(b"}\n\n"):
            return
        before, after = raw[:begin], raw[end:]
        if (before, after) != (self._before, self._after) and self._fits(before, after):
            self._before, self._after = before, after

    def _fits(self, before: bytes, after: bytes) -> bool:
        """Whether the text, and the text alone, stands between these."""
        event = before + _PROBE + after
        try:
            data = event.removeprefix(b"data:").strip()
            chunk = codec.chunk_of(event, [data], self._request, self._deployment, relayed=True)
        except InterlockError:
            return False
        return chunk == Chunk(_PROBED, model=chunk.model, id=chunk.id, raw=event, raw_dialect=codec.DIALECT)

    def _take(self, piece: bytes) -> bool:
        """Puts the plain events at the beginning of `piece` through the tap; the rest goes the usual way."""
        before, after, tap = self._before, self._after, self._tap
        if (
            tap is not None and piece.startswith(before) and piece.endswith(after)
        ):  # mostly there is one, and no quotation mark in it
            text = piece[len(before) : -len(after)]
            if b'"' not in text and not text.endswith(b"\\"):
                self._refused = not tap.put(piece, (text,))
                return not self._refused
        taken = self._put(piece)
        self._refused = not taken
        return taken

    def _put(self, piece: bytes) -> bool:
        before, after = self._before, self._after
        texts: list[bytes] = []
        at, size = 0, len(piece)
        while at < size and piece.startswith(before, at):
            begin = at + len(before)
            end = piece.find(b'"', begin)
            if end < 0 or piece[end - 1] == BACKSLASH or not piece.startswith(after, end):
                break
            texts.append(piece[begin:end])
            at = end + len(after)
        if at == size:
            return self._tap is not None and self._tap.put(piece, texts)
        self._left = piece[at:]
        if texts and self._tap is not None:
            self._tap.put(piece[:at], texts)
        return False
