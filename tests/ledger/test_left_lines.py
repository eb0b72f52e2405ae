"""Lines of a batch that a process had asked when it died: they settle once, with the truth where they are asked again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from interlock.core.batches import BatchRow, BatchStatus, call_of
from interlock.core.caller import Caller
from interlock.core.events import Settled
from interlock.core.time import SystemClock
from interlock.ledger import BatchLog, Recorder, RecorderLimits
from interlock.storage import SqliteStore
from interlock.storage.blobs import Folder
from tests.ledger.kit import call, crashed, die

SMALL = RecorderLimits(calls=32, group=8, flush_window_s=0.001)
ROW = BatchRow("batch_01", "acme", Caller("acme"), "/v1/chat/completions", "file_01", "24h", status="in_progress")
LINE = call_of(ROW.id, 1, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(path)
    opened.batches.create(ROW)
    yield opened
    opened.close()


def begun(store: SqliteStore, path: Path) -> Recorder:
    recorder = Recorder(store, SystemClock(), path=path, limits=SMALL)
    recorder.start()
    return recorder


def killed(store: SqliteStore, path: Path) -> None:
    """A process asks the line and dies before the answer."""
    first = begun(store, path)
    first.open(crashed(ROW.id, call_id=LINE))
    die(first)


def said(store: SqliteStore) -> list[tuple[str, str]]:
    events = [record.event for record in store.records(ROW.id)]
    return [(event.call, event.status) for event in events if isinstance(event, Settled)]


def over(store: SqliteStore, status: BatchStatus) -> None:
    store.batches.save(structs.replace(ROW, status=status, ended_ns=1), "")


@pytest.mark.requirement("GW-05")
async def test_a_line_that_is_asked_again_settles_with_what_it_used_however_often_its_process_was_killed(
    store: SqliteStore, path: Path
) -> None:
    for _ in range(3):
        killed(store, path)
    again = begun(store, path)
    assert said(store) == [], "it waits to be asked again"
    assert again.health().open == 0, "and is no call under way"
    slot = again.open(crashed(ROW.id, call_id=LINE))
    again.settle(slot, call(ROW.id, call_id=LINE))
    await again.close()
    assert said(store) == [(LINE, "ok")]
    assert list(path.parent.glob(f"{path.name}.flight*")) == []
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd


@pytest.mark.requirement("GW-05")
async def test_a_line_that_nobody_asks_again_settles_with_the_most_it_may_have_used_when_its_batch_ends(
    store: SqliteStore, path: Path
) -> None:
    killed(store, path)
    again = begun(store, path)
    log = BatchLog(again, store, Folder(path.parent / "files"), SystemClock())
    await log.settle_left()
    assert again.adopted == {("acme", ROW.id)}, "the batch goes on"
    over(store, "cancelled")
    await log.settle_left()
    await again.close()
    assert said(store) == [(LINE, "crashed")]


@pytest.mark.requirement("GW-05")
async def test_a_line_of_a_batch_that_is_over_settles_at_the_start(store: SqliteStore, path: Path) -> None:
    killed(store, path)
    over(store, "expired")
    await begun(store, path).close()
    assert said(store) == [(LINE, "crashed")]


@pytest.mark.requirement("GW-05")
async def test_a_line_that_another_process_asked_again_meanwhile_is_booked_once(store: SqliteStore, path: Path) -> None:
    killed(store, path)
    holds = begun(store, path)
    beside = begun(store, path)
    beside.settle(beside.open(crashed(ROW.id, call_id=LINE)), call(ROW.id, call_id=LINE))
    await beside.close()
    over(store, "completed")
    holds.give_up(ROW.id)
    await holds.close()
    assert said(store) == [(LINE, "ok")]
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
