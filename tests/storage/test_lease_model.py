"""Lease and fence as a small model: every state that two workers and a clock can bring a task to is walked through, each step is made on the real stores as well, and both have to agree.

A worker here may always be one that stalled: it acts on what it believes, however long ago that was true.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import pytest

from interlock.core.events import Noted, Record
from interlock.core.store import Store
from tests.ledger.kit import T0, finished, started

TICK_NS = 10_000_000_000
LEASE = 2
"""Ticks."""
MOST_FENCES, MOST_RECORDS = 3, 2
WORKERS = ("a", "b")
Action = tuple[str, str]
"""What happens, and to which worker; the clock's is nobody's."""
Outcome = int | bool | None


class Held(NamedTuple):
    """A task and what each worker believes of it."""

    owner: str = "a"
    left: int = LEASE
    fence: int = 1
    finished: bool = False
    believed: tuple[int, int] = (1, 0)
    """The fence that each worker holds, zero for none."""
    written: tuple[int, ...] = ()
    """The fences under which records were written, in their order."""

    def believes(self, worker: str, fence: int) -> tuple[int, int]:
        a, b = self.believed
        return (fence, b) if worker == "a" else (a, fence)


def actions(held: Held) -> Iterator[Action]:
    """What may be tried next."""
    if held.left:
        yield "tick", ""
    for worker, fence in zip(WORKERS, held.believed, strict=True):
        if held.fence < MOST_FENCES:
            yield "claim", worker
        if fence:
            yield "renew", worker
            yield "release", worker
            if len(held.written) < MOST_RECORDS:
                yield "write", worker
            yield "finish", worker


def after(held: Held, action: Action) -> tuple[Held, Outcome]:
    """How it stands then, and what whoever acted is told."""
    what, worker = action
    fence = 0 if not worker else held.believed[WORKERS.index(worker)]
    current = fence == held.fence
    if what == "tick":
        return held._replace(left=held.left - 1), None
    if what == "claim":
        if held.finished or (held.owner and held.left):
            return held, None
        new = held.fence + 1
        return held._replace(owner=worker, left=LEASE, fence=new, believed=held.believes(worker, new)), new
    if what == "renew":
        kept = held.owner == worker and not held.finished
        return held._replace(left=LEASE if kept else held.left), kept
    if what == "release":
        gone = held._replace(believed=held.believes(worker, 0))
        return (gone._replace(owner="", left=0), True) if current else (gone, False)
    if not current:  # a write under an old fence
        return held._replace(believed=held.believes(worker, 0)), False
    if what == "write":
        return held._replace(written=(*held.written, fence)), True
    ended = held._replace(owner="", left=0, finished=True, believed=held.believes(worker, 0))
    return ended._replace(written=(*held.written, fence)), True


@cache
def reached() -> dict[Held, tuple[Action, ...]]:
    """Every state, with a shortest way to it."""
    ways: dict[Held, tuple[Action, ...]] = {Held(): ()}
    left = deque(ways)
    while left:
        held = left.popleft()
        if held.finished:
            continue
        for action in actions(held):
            then, _ = after(held, action)
            if then not in ways:
                ways[then] = (*ways[held], action)
                left.append(then)
    return ways


def every_step() -> Iterator[tuple[Held, Action, Held, Outcome]]:
    for held in reached():
        for action in actions(held):
            yield held, action, *after(held, action)


def test_in_no_state_do_two_workers_hold_a_task_or_an_old_one_write_after_a_newer():
    assert len(reached()) > 200
    for held, (what, worker), then, told in every_step():
        assert sum(fence == held.fence for fence in held.believed) <= 1, held
        assert list(held.written) == sorted(held.written), held
        if then.written != held.written:
            assert held.believed[WORKERS.index(worker)] == held.fence, (held, what)
        if what == "claim" and told is not None:
            assert not held.left or not held.owner, "nobody who keeps its lease loses its task"


class Real:
    """The same actions on a task of a store."""

    def __init__(self, store: Store, task: str) -> None:
        self._store, self._task, self._now_ns, self._seq = store, task, T0, 1
        self._fences = {"a": store.tasks.begin(started(task), "a", T0 + LEASE * TICK_NS), "b": 0}

    def do(self, action: Action) -> Outcome:
        what, worker = action
        until_ns = self._now_ns + LEASE * TICK_NS
        tasks, task = self._store.tasks, self._task
        if what == "tick":
            self._now_ns += TICK_NS
            return None
        if what == "claim":
            fence = tasks.claim(task, worker, now_ns=self._now_ns, lease_until_ns=until_ns)
            self._fences[worker] = fence or self._fences[worker]
            return fence
        fence = self._fences[worker]
        if what == "renew":
            return not tasks.renew([task], worker, lease_until_ns=until_ns)
        if what == "release":
            self._fences[worker] = 0
            return tasks.release(task, fence)
        ending = what == "finish"
        record = Record(task, self._seq, "acme", self._now_ns, Noted("x", "y"), None, fence)
        [no] = self._store.write([[finished(task, self._seq, fence=fence) if ending else record]])
        if no is not None or ending:
            self._fences[worker] = 0
        self._seq += no is None
        return no is None

    def standing(self) -> tuple[str, bool, int, bool, int]:
        row = self._store.tasks.get(self._task)
        assert row is not None
        held = bool(row.owner) and row.lease_until_ns > self._now_ns
        return row.owner, held, row.fence, row.status == "finished", row.events


def agree(store: Store, portion: Callable[[int], bool]) -> int:
    """Makes the steps of `portion` on the store, each from its state on a task of its own; how many they were."""
    made = 0
    for number, (held, action, then, told) in enumerate(every_step()):
        if held.finished or not portion(number):
            continue
        real = Real(store, f"tsk_{number:026d}")
        for step in reached()[held]:
            real.do(step)
        assert real.do(action) == told, (reached()[held], action)
        expected = then.owner, bool(then.owner) and then.left > 0, then.fence, then.finished, len(then.written) + 1
        assert real.standing() == expected, (reached()[held], action)
        made += 1
    return made


@pytest.mark.requirement("AG-04")
def test_the_stores_do_in_every_state_what_the_model_says(store: Store, request: pytest.FixtureRequest):
    """On SQLite every step from every state; on PostgreSQL every eleventh, since each costs it ten round trips."""
    every = 11 if "postgres" in request.node.name else 1
    assert agree(store, lambda number: number % every == 0) > 50
