"""One look for all that other processes change: what is asked, what is told, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from interlock.app.looks import Looks
from interlock.app.stores import open_store
from interlock.config.load import load
from interlock.core.errors import StoreUnavailable
from interlock.core.keys import KeyRecord

from .conftest import Folder

WAIT_S = 60.0


class Turns:
    """A sleep that ends when the test says so."""

    def __init__(self) -> None:
        self.slept: asyncio.Queue[float] = asyncio.Queue()
        self._on: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        self.slept.put_nowait(seconds)
        await self._on.get()

    async def one(self) -> float:
        """Lets the next look happen; how long was slept before it."""
        slept = await asyncio.wait_for(self.slept.get(), WAIT_S)
        self._on.put_nowait(None)
        return slept


class Asked:
    """A question that counts, and fails while `away`."""

    def __init__(self, looks, what="the keys", every_s=0.25, **how):
        self.times, self.heard, self.away = 0, [], False
        self.question = looks.add(what, every_s, self.ask, self.take_in, **how)

    def ask(self):
        self.times += 1
        if self.away:
            raise StoreUnavailable("shop.db: could not be read.", hint="See that it is there.")
        return self.times

    async def take_in(self, answer):
        self.heard.append(answer)


async def until_done(turns):
    """Returns when the look that was let go has ended: the loop sleeps again."""
    slept = await asyncio.wait_for(turns.slept.get(), WAIT_S)
    turns.slept.put_nowait(slept)


async def test_nothing_is_asked_of_a_store_to_which_nothing_was_committed():
    turns = Turns()
    at: list[int | None] = [7]
    looks = Looks(lambda: at[0], sleep=turns.sleep)
    keys, elsewhere = Asked(looks), Asked(looks, "the counts", in_store=False)
    looks.start()
    for _ in range(4):
        await turns.one()
        await until_done(turns)
    assert (keys.times, elsewhere.times) == (1, 4)
    at[0] = 8
    await turns.one()
    await until_done(turns)
    assert keys.heard == [1, 2]
    at[0] = None
    for _ in range(2):
        await turns.one()
        await until_done(turns)
    assert keys.times == 4, "where the store cannot say, it is asked"
    await looks.close()


async def test_each_question_has_its_own_time_and_what_is_due_together_shares_a_thread():
    turns, threads = Turns(), []
    looks = Looks(None, sleep=turns.sleep)

    async def take_in(_answer):
        pass

    for every_s in (0.25, 0.5):
        looks.add(f"each {every_s}", every_s, lambda: threads.append(threading.get_ident()), take_in)
    done = []
    looks.also("tidy", 60.0, lambda: done.append(1))
    looks.start()
    slept = [await turns.one() for _ in range(5)]
    await until_done(turns)
    assert slept == [0.0, 0.25, 0.25, 0.25, 0.25]
    assert len(threads) == 5 + 3, "both at first, then one every time and the other every second time"
    assert (threads[0] == threads[1], threading.get_ident() in threads, done) == (True, False, [1])
    await looks.close()


async def test_what_fails_is_told_once_and_once_that_it_works_again(caplog):
    turns = Turns()
    looks = Looks(None, sleep=turns.sleep)
    keys, others = Asked(looks), Asked(looks, "erasures")
    keys.away = True
    looks.start()
    with caplog.at_level(logging.WARNING, "interlock.looks"):
        for _ in range(5):
            await turns.one()
            await until_done(turns)
        keys.away = False
        for _ in range(3):
            await turns.one()
            await until_done(turns)
    assert [each.getMessage() for each in caplog.records] == [
        "the keys could not be looked at, what is at hand goes on: shop.db: could not be read. See that it is there.",
        "the keys can be looked at again",
    ]
    assert (keys.heard, len(others.heard)) == ([6, 7, 8], 8), "the others were told all the while"
    await looks.close()


async def test_a_defect_of_one_question_ends_no_other(caplog):
    turns = Turns()
    looks = Looks(None, sleep=turns.sleep)

    async def broken(_answer):
        raise ZeroDivisionError

    looks.add("incidents", 0.25, lambda: 1, broken)
    keys = Asked(looks)
    looks.start()
    for _ in range(3):
        await turns.one()
        await until_done(turns)
    assert keys.times == 3
    assert [each.levelname for each in caplog.records if each.name == "interlock.looks"] == ["ERROR"]
    await looks.close()


async def test_a_store_that_stands_still_holds_one_thread_and_its_answer_is_taken_in_when_it_comes(caplog):
    turns, gate, begun = Turns(), threading.Event(), asyncio.Event()
    looks, heard = Looks(None, sleep=turns.sleep, within_s=0.01), []
    loop = asyncio.get_running_loop()

    def ask():
        loop.call_soon_threadsafe(begun.set)
        assert gate.wait(WAIT_S)
        return "late"

    async def take_in(answer):
        heard.append(answer)

    looks.add("the keys", 0.25, ask, take_in)
    looks.start()
    await turns.one()
    await asyncio.wait_for(begun.wait(), WAIT_S)
    async with asyncio.timeout(WAIT_S):
        while not caplog.records:
            await asyncio.sleep(0.001)
    assert (
        caplog.records[0].getMessage() == "the keys: no answer for 0.01 s; what is at hand goes on until there is one"
    )
    assert (heard, turns.slept.qsize()) == ([], 0), "no further look is begun meanwhile"
    gate.set()
    await until_done(turns)
    assert (heard, caplog.records[-1].getMessage()) == (["late"], "the keys can be looked at again")
    await looks.close()


async def test_who_asks_now_is_told_what_is_wrong_and_nothing_of_an_older_look_comes_after_it():
    looks = Looks(None)
    keys = Asked(looks)
    await looks.now(keys.question)
    keys.away = True
    with pytest.raises(StoreUnavailable, match="could not be read"):
        await looks.now(keys.question)
    keys.away = False
    await asyncio.gather(looks.look(), looks.now(keys.question), looks.look())
    assert keys.heard == sorted(keys.heard)


def test_a_store_of_one_file_says_whether_anything_was_committed(tmp_path):
    folder = Folder(tmp_path)
    folder.write("interlock.yaml", "tenant: acme\n")
    one, other = (open_store(load(folder.root)) for _ in range(2))
    changes = one.changes()
    assert changes is not None
    at = changes()
    assert (at, changes()) == (at, at)
    other.keys.put_key(KeyRecord("key_1", "ann", "acme", "", "", 0))
    after = changes()
    assert at is not None
    assert after not in (at, None)
    one.keys.put_key(KeyRecord("key_2", "bob", "acme", "", "", 0))
    assert changes() != after, "commits of this process are commits"
    one.close()
    assert changes() is None
    other.close()
