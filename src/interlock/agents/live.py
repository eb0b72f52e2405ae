"""Who follows which task of this process, and what they are told while its models write.

Above: `run` asks for ears, `app` and cli hear. Below: `core.live`, `contract`, `state`. Belongs to one event loop. Nothing of it is kept: what is being written of a call is
held until the call has settled, for those who come in its middle, and nothing here can fail a task.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from interlock.core.budget import Budget
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest
from interlock.core.live import Calling, Ear, Held, Live, Said, Writing
from interlock.core.ports import ChatReply
from interlock.core.time import Clock, Deadline

from .contract import TIER0_MODEL, Contract
from .converse import wire_names
from .state import State

EXPECTED_S = 30.0
"""How long a task whose beginner says that it will follow is streamed though nobody follows yet."""
MOST_EXPECTED = 1_000
MOST_KEPT = 1_000_000
"""Characters of one call that are held for those who come late; they hear what comes behind that, and see by its position what they lack."""
WITHHOLDS = "its information-flow terms decide what may leave of an answer"

Hears = Callable[[Live], object]
"""Takes one piece; does not block and does not raise."""


class Aloud(Protocol):
    """`Gateway.chat` with somebody who hears the answer while it is written. Raises as that."""

    async def __call__(
        self,
        caller: Caller,
        request: ChatRequest,
        *,
        budget: Budget | None = None,
        deadline: Deadline | None = None,
        fence: int = 0,
        ear: Ear | None = None,
    ) -> ChatReply: ...


class Followers:
    """Those of one process, and what they hear."""

    def __init__(self, aloud: Aloud, clock: Clock) -> None:
        self.aloud = aloud
        self._clock = clock
        self._hearers: dict[str, list[tuple[Hears, bool]]] = {}
        """By task, each with whether it hands on to other processes."""
        self._open: dict[str, Telling] = {}
        """By task, the call that is being written."""
        self._expected: OrderedDict[str, float] = OrderedDict()
        self.came: Callable[[str], object] | None = None
        """Told of each task that somebody here begins to follow, or says that they will."""

    @contextmanager
    def hearing(self, task: str, hears: Hears, *, hands_on: bool = False) -> Generator[None]:
        """`hears` is told what is written of the task for as long as the block runs, first what has been written of a call under way.

        `hands_on`: it tells other processes, and so hears nothing that came from one.
        """
        entry = (hears, hands_on)
        self._hearers.setdefault(task, []).append(entry)
        if self.came is not None and not hands_on:
            self.came(task)
        try:
            for piece in self.so_far(task):
                hears(piece)
            yield
        finally:
            left = self._hearers[task]
            left.remove(entry)
            if not left:
                del self._hearers[task]

    def expect(self, task: str) -> None:
        """Somebody has said that they will follow it."""
        self._expected[task] = self._clock.monotonic_s() + EXPECTED_S
        if self.came is not None:
            self.came(task)
        if len(self._expected) > MOST_EXPECTED:
            self._expected.popitem(last=False)

    def near(self) -> list[str]:
        """The tasks that somebody follows in this process."""
        return [task for task, hearers in self._hearers.items() if not all(hands_on for _, hands_on in hearers)]

    def so_far(self, task: str) -> list[Live]:
        """What has been written of a call of the task that is under way here."""
        return self._open[task].so_far() if task in self._open else []

    def followed(self, task: str) -> bool:
        """Whether anybody hears it, or will."""
        if task in self._hearers:
            return True
        until_s = self._expected.get(task)
        return until_s is not None and until_s > self._clock.monotonic_s()

    def ear(self, state: State, contract: Contract, step: int, model: str) -> Telling | None:
        """What hears a call of the task for its followers; `None` where nobody does, or nothing of it may be heard."""
        if model.startswith(TIER0_MODEL) or not (contract.stream or self.followed(state.task)):
            return None
        attempt = next((action.tries for action in state.actions if action.step == step), 1)
        if contract.information is not None:
            self.tell(state.task, Writing(step, attempt, held=WITHHOLDS))
            return None
        names = {wire: name for name, wire in wire_names(contract).items()}
        return Telling(self, state.task, step, attempt, names)

    def tell(self, task: str, piece: Live, *, from_afar: bool = False) -> None:
        """To everybody who hears the task. `from_afar`: another process has told it."""
        for hears, hands_on in tuple(self._hearers.get(task, ())):
            if not (from_afar and hands_on):
                hears(piece)

    def begin(self, task: str, telling: Telling) -> None:
        self._open[task] = telling
        self._expected.pop(task, None)

    def end(self, task: str, telling: Telling) -> None:
        if self._open.get(task) is telling:
            del self._open[task]


class Telling:
    """One call of one task: `core.live.Ear`, with places for its pieces. A context manager around the call."""

    def __init__(self, followers: Followers, task: str, step: int, attempt: int, names: Mapping[str, str]) -> None:
        """`attempt`: of its first try. `names`: tools by the names that models know them by."""
        self._followers, self._task, self._step, self._names = followers, task, step, names
        self._next = attempt
        self._writing: Writing | None = None
        self._text, self._calls = _Kept(), dict[int, tuple[str, _Kept]]()

    def __enter__(self) -> Self:
        self._followers.begin(self._task, self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._followers.end(self._task, self)

    def begins(self, why: str, *, provisional: bool, held: Held = "") -> None:
        self._writing = Writing(self._step, self._next, why, provisional, held)
        self._next += 1
        self._text, self._calls = _Kept(), {}
        self._tell(self._writing)

    def text(self, piece: str) -> None:
        if self._writing is not None:
            self._tell(Said(self._step, self._writing.attempt, self._text.add(piece), piece))

    def call(self, place: int, name: str, arguments: str) -> None:
        if self._writing is None:
            return
        if place not in self._calls:
            self._calls[place] = (self._names.get(name, name), _Kept())
        known, kept = self._calls[place]
        self._tell(Calling(self._step, self._writing.attempt, place, known, kept.add(arguments), arguments))

    def so_far(self) -> list[Live]:
        """What has been told of the try that is being told, as far as it is held."""
        writing = self._writing
        if writing is None:
            return []
        found: list[Live] = [writing]
        if text := self._text.whole():
            found.append(Said(self._step, writing.attempt, 0, text))
        for place, (name, kept) in self._calls.items():
            found.append(Calling(self._step, writing.attempt, place, name, 0, kept.whole()))
        return found

    def _tell(self, piece: Live) -> None:
        self._followers.tell(self._task, piece)


class _Kept:
    """A text that grows, of which the beginning is held."""

    __slots__ = ("_length", "_parts")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0

    def add(self, piece: str) -> int:
        """Where it begins."""
        start, self._length = self._length, self._length + len(piece)
        if self._length <= MOST_KEPT:
            self._parts.append(piece)
        return start

    def whole(self) -> str:
        return "".join(self._parts)
