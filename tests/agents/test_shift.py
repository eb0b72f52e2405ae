"""One process's share of the work: bounded, woken at once, never stopped by one bad task, and let go in order."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from interlock.agents.shift import Listening, Shift, Terms
from interlock.core.due import Wanted
from interlock.core.errors import Fenced, StoreUnavailable
from interlock.core.store import TaskRow
from tests.ledger.kit import Clock


class Due:
    """A journal that only hands out tasks."""

    def __init__(self, *tasks: str) -> None:
        self.tasks = [TaskRow(id=task, tenant="acme", kind="task", workflow="w", fence=2) for task in tasks]
        self.asked: list[Wanted] = []
        self.away = False

    async def take(self, wanted: Wanted) -> Sequence[TaskRow]:
        self.asked.append(wanted)
        if self.away:
            raise StoreUnavailable("away")
        ready = [row for row in self.tasks if row.id not in wanted.but][: wanted.limit]
        self.tasks = [row for row in self.tasks if row not in ready]
        return ready


class Place:
    """A shift over a list of tasks, each of which ends when the test says so."""

    def __init__(self, *tasks: str, concurrency: int = 2, every_s: float = 60.0) -> None:
        self.due, self.clock, self.nudged, self.stopped = Due(*tasks), Clock(), asyncio.Event(), False
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Future[None]] = {}
        self.shift = Shift(
            self._work,
            self.due,  # type: ignore[arg-type]
            [("acme", "w")],
            self.clock,
            Terms(concurrency, per_tenant=7, priorities={"w": 1}, every_s=every_s),
            nudged=self.nudged,
            stopping=lambda: self.stopped,
        )

    async def _work(self, row: TaskRow) -> None:
        self.begun.append(row.id)
        await self.ends.setdefault(row.id, asyncio.get_running_loop().create_future())

    def end(self, task: str, error: BaseException | None = None) -> None:
        if error is None:
            self.ends[task].set_result(None)
        else:
            self.ends[task].set_exception(error)

    def stop(self) -> None:
        self.stopped = True
        self.nudged.set()


async def until(met: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not met():
            await asyncio.sleep(0)


@pytest.mark.requirement("OP-04", "AG-11")
async def test_no_more_is_taken_than_there_is_room_for_and_the_next_one_when_there_is():
    place = Place("a", "b", "c")
    working = asyncio.create_task(place.shift.run())
    await until(lambda: place.begun == ["a", "b"])
    assert place.due.asked[0] == Wanted((("acme", "w"),), 2, 7, {"w": 1}, ())
    place.end("a")
    await until(lambda: place.begun == ["a", "b", "c"])
    assert place.due.asked[-1].limit == 1
    place.stop()
    place.end("b")
    place.end("c")
    await working
    assert place.shift.worked == 3
    assert place.shift.under_way == 0


async def test_a_task_that_was_let_go_is_not_taken_again_in_the_same_moment():
    place = Place("a")
    working = asyncio.create_task(place.shift.run())
    await until(lambda: place.begun == ["a"])
    row = TaskRow(id="a", tenant="acme", kind="task")
    place.due.tasks = [row]
    place.end("a", Fenced("taken over"))
    await until(lambda: place.shift.under_way == 0)
    place.nudged.set()
    await until(lambda: place.due.asked[-1].but == ("a",))
    assert place.begun == ["a"]
    place.clock.forward(2.0)
    place.ends.clear()
    place.nudged.set()
    await until(lambda: place.begun == ["a", "a"])
    place.stop()
    place.end("a")
    await working


async def test_a_bad_task_and_a_store_that_is_away_keep_nobody_waiting(caplog: pytest.LogCaptureFixture):
    place = Place("bad", "good", every_s=0.001)
    working = asyncio.create_task(place.shift.run())
    await until(lambda: len(place.begun) == 2)
    place.end("bad", RuntimeError("a defect"))
    place.due.away = True
    looks = len(place.due.asked)
    await until(lambda: len(place.due.asked) > looks + 2)
    place.due.away = False
    place.due.tasks = [replace(TaskRow(id="later", tenant="acme", kind="task"), fence=3)]
    await until(lambda: "later" in place.begun)
    place.stop()
    place.end("good")
    place.end("later")
    await working
    assert "task bad could not be worked on" in caplog.text


async def test_what_is_under_way_is_waited_for_at_the_end():
    place = Place("a")
    working = asyncio.create_task(place.shift.run())
    await until(lambda: place.begun == ["a"])
    place.stop()
    await asyncio.sleep(0)
    assert not working.done()
    place.end("a")
    await working


class Word:
    """A waker whose words come from the test."""

    def __init__(self) -> None:
        self.said = threading.Semaphore(0)
        self.closed = False

    def wait(self, timeout_s: float) -> bool:
        return self.said.acquire(timeout=timeout_s) and not self.closed

    def close(self) -> None:
        self.closed = True
        self.said.release()


async def test_a_word_from_another_process_is_heard_on_the_event_loop():
    word, heard = Word(), asyncio.Event()
    listening = Listening(word, heard.set)
    listening.start()
    word.said.release()
    async with asyncio.timeout(60):
        await heard.wait()
    listening.stop()
