"""Followers of tasks that another process works on: who follows what is told to all, and whoever writes tells it to them.

Above: `tasking`. Below: the agents' followers, `listening`, `core.wires`. Nothing is sent while nobody follows. What is lost on the way is missing from the live text alone,
and its reader sees so by the positions.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from interlock.agents.live import EXPECTED_S, Followers
from interlock.core.errors import StoreUnavailable
from interlock.core.live import Calling, Live, Said
from interlock.core.time import Clock
from interlock.core.wires import NOTHING, Wire

from .listening import Unread

EVERY_S = 0.1
"""Between two rounds of telling."""
AGAIN_S = 10.0
"""Between two words that somebody still follows; who has not heard of it for three times that tells no more."""
MOST_MESSAGES = 64
"""Of one round; what is over that is lost to readers elsewhere."""
MOST_TASKS = 1_000
"""Followed elsewhere, of which a process takes note."""
PIECE_CHARS = 1_200
"""Of a text in one message: six bytes each at most, as JSON, and the rest around them."""
TASKS_AT_ONCE = 100


class Follows(Struct, frozen=True, tag="follows"):
    """These tasks are followed where `by` is."""

    by: str
    tasks: tuple[str, ...]
    new: bool = False
    """By somebody who has just come, and has not heard what was written so far."""


class Asks(Struct, frozen=True, tag="asks"):
    """Who follows what? `by` has just begun to listen."""

    by: str


class Tells(Struct, frozen=True, tag="tells"):
    """What is being written of a task where `by` is."""

    by: str
    task: str
    piece: Live


Message = Follows | Asks | Tells
_read = msgspec.json.Decoder(Message)


class Elsewhere:
    """A task that is followed in other processes."""

    def __init__(self, followers: Followers, task: str, stirred: asyncio.Event) -> None:
        self.unread, self.until_s = Unread(), 0.0
        self._stirred, self._stack = stirred, ExitStack()
        self._stack.enter_context(followers.hearing(task, self._hear, hands_on=True))

    def _hear(self, piece: Live) -> None:
        self.unread.hear(piece)
        self._stirred.set()

    def close(self) -> None:
        self._stack.close()


class Afar:
    """One process's end. Belongs to the event loop that `running` is entered on."""

    def __init__(self, followers: Followers, wire: Wire, name: str, clock: Clock) -> None:
        """`name`: no other process's."""
        self._followers, self._wire, self._name, self._clock = followers, wire, name, clock
        self._new: dict[str, None] = {}
        """Tasks that somebody here has just begun to follow."""
        self._there: dict[str, Elsewhere] = {}
        self._asks = False
        self._stirred = asyncio.Event()
        self._told_s = 0.0
        self._ended = threading.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Hears and tells for as long as the block runs."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop,), name="interlock-live", daemon=True).start()
        self._followers.came = self.came
        telling = loop.create_task(self._tell())
        try:
            yield
        finally:
            self._followers.came = None
            self._ended.set()
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            for each in self._there.values():
                each.close()
            self._there.clear()
            await asyncio.to_thread(self._wire.close)

    def came(self, task: str) -> None:
        """Somebody here follows a task, or is about to."""
        self._new[task] = None
        self._stirred.set()

    def heard(self, message: str) -> None:
        """One message of whichever process."""
        if message == NOTHING:
            self._asks = True
            self._stirred.set()
            return
        try:
            said: Message = _read.decode(message)
        except msgspec.DecodeError:  # of a version that says it otherwise
            return
        if said.by == self._name:
            return
        match said:
            case Tells():
                self._followers.tell(said.task, said.piece, from_afar=True)
            case Asks():
                self._new |= dict.fromkeys(self._followers.near())
                self._stirred.set()
            case Follows():
                for task in said.tasks:
                    self._noted(task, new=said.new)

    def _noted(self, task: str, *, new: bool) -> None:
        known = self._there.get(task)
        if known is not None and new:
            for piece in self._followers.so_far(task):
                known.unread.hear(piece)
            self._stirred.set()
        if known is None:
            if len(self._there) >= MOST_TASKS:
                return
            known = self._there[task] = Elsewhere(self._followers, task, self._stirred)
        known.until_s = self._clock.monotonic_s() + max(EXPECTED_S, 3 * AGAIN_S)

    async def _tell(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S if self._followers.near() or self._there else None):
                    await self._stirred.wait()
            self._stirred.clear()
            messages = self.due()
            if messages:
                with suppress(StoreUnavailable):
                    await asyncio.to_thread(self._wire.send, messages)
            await asyncio.sleep(EVERY_S)

    def due(self) -> Sequence[str]:
        """What is to be sent now."""
        now_s, found = self._clock.monotonic_s(), list[Message]()
        if self._asks:
            self._asks = False
            found.append(Asks(self._name))
        new, self._new = tuple(self._new), {}
        if new:
            found += [Follows(self._name, some, new=True) for some in _some(new)]
        if now_s - self._told_s >= AGAIN_S:
            self._told_s = now_s
            found += [Follows(self._name, some) for some in _some(self._followers.near())]
        for task, there in tuple(self._there.items()):
            if there.until_s <= now_s:
                self._there.pop(task).close()
                continue
            found += [Tells(self._name, task, part) for piece in there.unread.take() for part in _parts(piece)]
        return [msgspec.json.encode(each).decode() for each in found[:MOST_MESSAGES]]

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._ended.is_set():
            for message in self._wire.wait(AGAIN_S):
                with suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(self.heard, message)


def _some(tasks: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(tasks[at : at + TASKS_AT_ONCE]) for at in range(0, len(tasks), TASKS_AT_ONCE)]


def _parts(piece: Live) -> list[Live]:
    """A piece as several that fit into a message each."""
    if not isinstance(piece, Said | Calling) or len(piece.text) <= PIECE_CHARS:
        return [piece]
    return [
        replace(piece, start=piece.start + at, text=piece.text[at : at + PIECE_CHARS])
        for at in range(0, len(piece.text), PIECE_CHARS)
    ]
