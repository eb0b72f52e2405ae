"""A stream of OpenAI's chat completions read in the callbacks of its socket, as far as nothing unusual is in it.

Above: providers/openai, openai_short. Below: openai_plain, openai_wire, rooms, wire, `core.short`. Whatever is unusual (a refusal, an error among the events, an end that is none, a reader
that is slow) is left unread to the long way, which goes on where this one stopped.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager

from interlock.core.chat import ChatRequest, Chunk
from interlock.core.errors import InterlockError
from interlock.core.ports import Deployment, HttpStream, PluginEnv, Tap
from interlock.core.short import Flowing, Hearer, HttpLine
from interlock.core.time import Deadline

from . import openai_wire as codec
from . import rooms, wire
from .openai_plain import Gate


class Read:
    """How far one stream has been read."""

    __slots__ = ("deployment", "events", "finished", "gate", "relayed")

    def __init__(self, request: ChatRequest, deployment: Deployment) -> None:
        self.deployment = deployment
        self.events = wire.Events(deployment)
        self.gate = Gate(request, deployment)
        self.relayed = False
        """A piece has been handed out."""
        self.finished = False
        """It has said why it ends, or that it has ended."""

    def took(self, chunk: Chunk, data: list[bytes]) -> None:
        """A piece made of events with these `data` is about to be handed out."""
        self.relayed = True
        self.finished = self.finished or chunk.finish is not None or data[-1:] == [b"[DONE]"]


Pieces = Callable[[AbstractAsyncContextManager[HttpStream], ChatRequest, Read], AsyncGenerator[Chunk, Tap | None]]
"""(reply, request, how far it has been read) → the pieces that are left."""


class Flow:
    """`core.short.Streaming`, and the `Taker` of its reply."""

    __slots__ = ("_env", "_flowing", "_hearer", "_pieces", "_read", "_request")

    def __init__(self, env: PluginEnv, read: Read, request: ChatRequest, pieces: Pieces, hearer: Hearer) -> None:
        self._env = env
        self._read = read
        self._request = request
        self._pieces = pieces
        self._hearer: Hearer | None = hearer
        """Until it hears nothing any more."""
        self._flowing: Flowing | None = None

    def begin(self, line: HttpLine, key: str, body: bytes, deadline: Deadline, late_s: float) -> None:
        at = self._read.deployment
        self._flowing = line.open(key, body, deadline, at.stall_s, at.timeout_s, late_s, self)

    def took(self, piece: bytes) -> bool:
        read, hearer = self._read, self._hearer
        if hearer is None:
            return False
        events = read.events
        if read.gate.open and not events.left:
            left = read.gate.take(piece)
            if left is None:
                return self._over()
            if not left:
                return True
            piece = left
        elif not read.relayed and not self._proper():
            return self._unread(piece)
        whole = events.left + piece if events.left else piece
        try:
            found = events.feed(piece)
            if found is None:  # a vendor that has said nothing yet is waited for by a task, under its deployment's time
                return read.relayed or self._unread(whole)
            raw, data = found
            if len(data) > 1 and b'"error"' in raw:
                return self._unread(whole)
            chunk = codec.chunk_of(raw, data, self._request, read.deployment, relayed=read.relayed)
        except InterlockError:
            return self._unread(whole)
        read.took(chunk, data)
        more = hearer.piece(chunk)
        read.gate.learn(hearer.tap, raw, chunk)
        return more or self._over()

    def ended(self) -> None:
        hearer, read, flowing = self._hearer, self._read, self._flowing
        if hearer is None:
            return
        if flowing is None or not flowing.whole or not read.finished or read.events.left:
            self._over()
            return
        self._hearer = self._flowing = None  # which know this one, too
        read.gate.close()
        flowing.close()
        hearer.ended()

    def rest(self) -> AsyncGenerator[Chunk, Tap | None]:
        self._silence(b"")
        assert self._flowing is not None, "it was begun"
        return self._pieces(self._flowing.rest(), self._request, self._read)

    # --- inside ---

    def _proper(self) -> bool:
        """The head is that of an answer."""
        flowing = self._flowing
        if flowing is None or flowing.status != 200 or "content-encoding" in flowing.headers:
            return False
        rooms.hear(self._env, self._read.deployment, flowing.headers)
        return True

    def _unread(self, piece: bytes) -> bool:
        """As `_over`, with what has come and has not been handed out."""
        self._read.events.left = b""
        return self._over(piece)

    def _over(self, left: bytes = b"") -> bool:
        """The rest goes the long way, and begins with `left`. Always False."""
        hearer = self._hearer
        self._silence(left)
        if hearer is not None:
            hearer.over()
        return False

    def _silence(self, left: bytes) -> None:
        if self._hearer is not None and self._flowing is not None:
            self._hearer = None
            self._read.gate.close()
            self._flowing.take_over(left)
