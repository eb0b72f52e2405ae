"""What waits to be written wakes whoever writes it."""

import threading

from interlock.core.time import SystemClock
from interlock.ledger.queue import Job, Queue

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
