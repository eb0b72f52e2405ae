"""What other processes changed, looked for by one loop, with one hop to a thread for all that is due at that moment.

Above: compose; limiting, forgetting and alerting bring their questions. Below: `Store.changes`. Where the store can say that nothing was committed,
nothing is asked of it: an idle process does no more than that. While a question fails what is at hand goes on, and it is told once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from interlock.core.errors import InterlockError
from interlock.core.outage import Outage

Answer = TypeVar("Answer")
WITHIN_S = 5.0
"""An answer that takes longer is told as missing; the next look waits for it all the same, so that one thread is held at most."""
_log = logging.getLogger("interlock.looks")


class Question:
    """One thing that is looked at."""

    def __init__(
        self,
        what: str,
        every_s: float,
        ask: Callable[[], Any] | None,
        take_in: Callable[[Any], Awaitable[object]],
        *,
        in_store: bool,
    ) -> None:
        self.what, self.every_s, self.ask, self.take_in, self.in_store = what, every_s, ask, take_in, in_store
        self.left_s = 0.0
        """Until it is due; a new one is due at once."""
        self.seen: int | None = None
        """What the store's `changes` was before the last answer that was taken in."""
        self.outage = Outage()


class Looks:
    """Belongs to the event loop that serves. Answers are taken in one after the other, in the order in which they were read."""

    def __init__(
        self,
        changes: Callable[[], int | None] | None,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        within_s: float = WITHIN_S,
    ) -> None:
        """`changes`: the store's, see `core.store.Store.changes`."""
        self._changes, self._sleep, self._within_s = changes, sleep, within_s
        self._questions: list[Question] = []
        self._one_look = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None

    def add(
        self,
        what: str,
        every_s: float,
        ask: Callable[[], Answer],
        take_in: Callable[[Answer], Awaitable[object]],
        *,
        in_store: bool = True,
    ) -> Question:
        """Another question. `what` as the log names it ("the keys"); `ask` is called on a thread, `take_in` on the loop with what it said.

        `in_store`: the answer stands in the store, so it need not be asked while nothing was committed there.
        """
        return self._added(Question(what, every_s, ask, take_in, in_store=in_store))

    def also(self, what: str, every_s: float, do: Callable[[], object]) -> Question:
        """Something that takes no time, done on the loop itself."""

        async def done(_: object) -> None:
            do()

        return self._added(Question(what, every_s, None, done, in_store=False))

    def start(self) -> None:
        """Goes on looking, until `close`."""
        if self._running is None:
            self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """No answer is taken in any more; a thread that still asks ends within the store's own bounds."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def now(self, question: Question) -> None:
        """Asks this one at once, whether it is due or not. Raises what asking or taking in raises."""
        async with self._one_look:
            await _taken_in(question, *await self._asked([question]))

    async def look(self) -> None:
        """Asks what is due."""
        due = [each for each in self._questions if each.left_s <= 0]
        for each in due:
            each.left_s = each.every_s
        async with self._one_look:
            at = None if self._changes is None else self._changes()
            worth = [each for each in due if not each.in_store or at is None or each.seen != at]
            for each, answer in zip(worth, await self._asked(worth), strict=True):
                if await self._told(each, answer):
                    each.seen = at

    # --- inside ---

    def _added(self, question: Question) -> Question:
        self._questions.append(question)
        return question

    async def _run(self) -> None:
        while True:
            wait_s = max(0.0, min((each.left_s for each in self._questions), default=1.0))
            await self._sleep(wait_s)
            for each in self._questions:
                each.left_s -= wait_s
            await self.look()

    async def _asked(self, questions: Sequence[Question]) -> list[object]:
        """What each says, or the exception that it ended with."""
        if not any(each.ask for each in questions):
            return [None] * len(questions)
        hop = asyncio.ensure_future(asyncio.to_thread(lambda: [_said(each) for each in questions]))
        done, _ = await asyncio.wait({hop}, timeout=self._within_s)
        if not done:
            for each in questions:
                if each.outage.begins():
                    _log.warning(
                        "%s: no answer for %g s; what is at hand goes on until there is one", each.what, self._within_s
                    )
        return await hop

    async def _told(self, question: Question, answer: object) -> bool:
        """Takes the answer in; whether it could be."""
        try:
            await _taken_in(question, answer)
        except InterlockError as error:  # the store is away
            if question.outage.begins():
                _log.warning("%s could not be looked at, what is at hand goes on: %s", question.what, error)
            return False
        except Exception:  # noqa: BLE001 - a defect that one question shows must not end the others
            if question.outage.begins():
                _log.exception("%s could not be looked at, what is at hand goes on", question.what)
            return False
        if question.outage.ends():
            _log.warning("%s can be looked at again", question.what)
        return True


def _said(question: Question) -> object:
    try:
        return None if question.ask is None else question.ask()
    except Exception as error:  # noqa: BLE001 - handed to the loop, which tells it
        return error


async def _taken_in(question: Question, answer: object) -> None:
    if isinstance(answer, Exception):
        raise answer
    await question.take_in(answer)
