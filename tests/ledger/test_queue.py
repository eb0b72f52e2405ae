"""What waits to be written wakes whoever writes it."""

import asyncio
import threading

import pytest

from interlock.core.time import SystemClock
from interlock.ledger.queue import Job, Queue
from interlock.ledger.written import Waits, Written, tell

SOON_S = 60.0


def job():
    return Job(lambda _: None, None)


def test_what_comes_after_an_urgent_one_was_withdrawn_still_wakes_the_writer():
    queue = Queue(SystemClock(), hurry=256)
    first, second = job(), job()
    queue.put(first, urgent=True)
    assert queue.withdraw(first)
    taken = []
    writer = threading.Thread(target=lambda: taken.extend(queue.take(512, 0.0)))
    writer.start()
    queue.put(second)
    writer.join(SOON_S)
    assert taken == [second]


def test_an_urgent_one_wakes_a_writer_that_waits_for_company():
    queue = Queue(SystemClock(), hurry=256)
    ordinary, urgent = job(), job()
    queue.put(ordinary)
    taken = []
    writer = threading.Thread(target=lambda: taken.extend(queue.take(512, SOON_S * 60)))
    writer.start()
    queue.put(urgent, urgent=True)
    writer.join(SOON_S)
    assert ordinary in taken
    queue.close()
    writer.join(SOON_S)


def test_those_who_wait_on_a_loop_share_a_timer_and_are_woken_each_in_time():
    async def waiting():
        loop = asyncio.get_running_loop()
        waits = Waits(loop)
        late, soon, answered = Written(waits), Written(waits), Written(waits)
        all_of_them = [
            asyncio.ensure_future(each.within(wait_s))
            for each, wait_s in ((late, 0.02), (soon, 0.01), (answered, SOON_S))
        ]
        threading.Thread(target=lambda: tell([(answered, "there", None)])).start()
        await asyncio.wait_for(asyncio.gather(*all_of_them), SOON_S)
        return late.done, soon.done, answered.done, answered.result()

    assert asyncio.run(waiting()) == (False, False, True, "there")


def test_whoever_is_told_after_time_was_up_has_the_answer_all_the_same():
    async def waiting():
        written = Written(Waits(asyncio.get_running_loop()))
        await written.within(0.0)
        assert not written.done
        tell([(written, None, KeyError("why"))])
        await asyncio.wait_for(written.within(SOON_S), SOON_S)
        written.result()

    with pytest.raises(KeyError):
        asyncio.run(waiting())


def test_a_pause_ends_when_the_queue_is_closed_and_whatever_comes_meanwhile_does_not_end_it():
    queue = Queue(SystemClock(), hurry=256)
    writer = threading.Thread(target=lambda: queue.pause(SOON_S * 60))
    writer.start()
    for _ in range(3):
        queue.put(job(), urgent=True)
    assert writer.is_alive()
    queue.close()
    writer.join(SOON_S)
    assert not writer.is_alive()
    assert len(queue.take(512, SOON_S * 60)) == 3
    assert queue.take(512, SOON_S * 60) == []
