"""Changes of breakers get on record behind the calls, in their order, and a store that is away loses none of the newest."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from interlock.core.circuits import CircuitChange
from interlock.core.errors import StoreUnavailable
from interlock.ledger import Recorder, RecorderLimits
from interlock.ledger import circuits as module
from interlock.ledger.circuits import CircuitLog
from interlock.storage import SqliteStore

from .kit import Clock


class Away:
    """A store whose changes of breakers cannot be written for a while."""

    def __init__(self, store: SqliteStore) -> None:
        self.store, self.down, self.tries = store, False, 0
        self.circuits: Any = self

    def add(self, changes: tuple[CircuitChange, ...]) -> None:
        self.tries += 1
        if self.down:
            raise StoreUnavailable("the disk is full")
        self.store.circuits.add(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def told(store: SqliteStore) -> list[tuple[str, str, str]]:
    found = store.circuits.since("acme", 0, 2_000)
    return [(each.process, each.deployment, each.state) for each in reversed(found)]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def log(path: Path, process: str = "here:b:1:1") -> AsyncGenerator[tuple[Away, CircuitLog]]:
    clock, store = Clock(), SqliteStore.open(path)
    away = Away(store)
    limits = RecorderLimits(flush_window_s=0.001, append_wait_s=0.05)
    recorder = Recorder(away, clock, limits=limits)  # pyright: ignore[reportArgumentType]
    recorder.start()
    made = CircuitLog(recorder, clock, "acme", process=process)
    try:
        yield away, made
    finally:
        await made.close()
        await recorder.close()
        store.close()


async def test_changes_are_on_record_after_a_restart_and_one_that_was_open_ends_with_its_process(tmp_path: Path):
    for process in ("here:b:1:1", "here:b:2:1"):
        async with log(tmp_path / "a.db", process) as (_, changes):
            changes.changed("v/one", "open", "8 failures in a row, the last: upstream_timeout")
            changes.changed("v/one", "half_open", "cooled down for 2 s; one probe goes out")
            changes.changed("v/one", "closed", "its probe was answered")
            changes.changed("v/two", "open", "8 failures in a row")
    store = SqliteStore.open(tmp_path / "a.db")
    states = [("v/one", "open"), ("v/one", "half_open"), ("v/one", "closed"), ("v/two", "open"), ("v/two", "gone")]
    assert sorted(told(store), key=lambda each: each[0]) == [
        (process, *each) for process in ("here:b:1:1", "here:b:2:1") for each in states
    ]
    store.close()


async def test_what_waits_for_a_store_that_is_away_is_written_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    async with log(tmp_path / "a.db") as (away, changes):
        away.down = True
        changes.changed("v/one", "open", "8 failures in a row")
        await until(lambda: away.tries >= 2)
        changes.changed("v/one", "closed", "its probe was answered")
        away.down = False
        await until(lambda: len(told(away.store)) == 2)
        assert [each[2] for each in told(away.store)] == ["open", "closed"]
        assert changes.dropped == 0


async def test_a_store_that_stays_away_costs_a_bounded_memory_and_no_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    async with log(tmp_path / "a.db") as (away, changes):
        away.down = True
        for turn in range(12):
            changes.changed(f"v/{turn}", "closed", "its probe was answered")
        assert changes.dropped == 7
        away.down = False
    store = SqliteStore.open(tmp_path / "a.db")
    assert [each[1] for each in told(store)] == [f"v/{turn}" for turn in range(7, 12)]
    store.close()


async def test_deployments_whose_settings_changed_begin_closed(tmp_path: Path):
    async with log(tmp_path / "a.db") as (_, changes):
        changes.changed("v/one", "open", "8 failures in a row")
        changes.changed("v/two", "open", "8 failures in a row")
        changes.set_up_anew("acme", {"v/two"})
    store = SqliteStore.open(tmp_path / "a.db")
    assert [each[1:] for each in told(store)][2:] == [("v/one", "closed"), ("v/two", "gone")]
    store.close()
