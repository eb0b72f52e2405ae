"""A server whose disk is really full: a small file system of its own, where the test may mount one."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from interlock.core.errors import LedgerFull, StoreUnavailable
from interlock.core.store import TaskFilter
from interlock.core.time import SystemClock
from interlock.ledger import Recorder, RecorderLimits
from interlock.storage.postgres import PostgresStore
from tests.ledger.kit import crashed, started
from tests.postgres import Postgres
from tests.servers import postgres_programs
from tests.storage.test_lone import call

LIMITS = RecorderLimits(
    calls=64, group=8, flush_window_s=0.001, append_wait_s=0.5, retry_first_s=0.005, retry_longest_s=0.1
)


@pytest.fixture
def small_disk() -> Generator[Path]:
    """A file system of a hundred megabytes, most of which an empty server takes."""
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount")
    folder = Path("/tmp/interlock-small-disk") / str(os.getpid())
    folder.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m,mode=755", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
    shutil.rmtree(folder.parent, ignore_errors=True)


@pytest.mark.requirement("OP-06", "OB-03")
async def test_on_a_full_disk_calls_go_on_to_the_bound_and_all_is_written_when_there_is_room(
    small_disk: Path, tmp_path: Path
):
    with Postgres(within=small_disk, settings=("min_wal_size=2MB", "max_wal_size=8MB")) as server:
        store = PostgresStore.open(server.address())
        recorder = Recorder(store, SystemClock(), path=tmp_path / "journal", limits=LIMITS)
        recorder.start()
        filler = fill(small_disk)
        settled = await settle_until_refused(recorder)
        assert settled >= LIMITS.calls
        with pytest.raises(StoreUnavailable):
            await recorder.append([started("t")])
        filler.unlink()
        with contextlib.suppress(subprocess.CalledProcessError):
            server.start()  # where the full disk has ended it
        for _ in range(3_000):
            if not recorder.health().queued:
                break
            await asyncio.sleep(0.02)
        recorder.settle(recorder.open(crashed("after")), call("tsk_after"))
        assert await recorder.close() == 0
        rows = store.tasks.list(TaskFilter(limit=10_000))
        assert sorted(row.id for row in rows) == sorted([f"tsk_{n}" for n in range(settled)] + ["tsk_after"])
        totals = store.totals()
        assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
        store.close()


def fill(disk: Path) -> Path:
    """Writes until nothing more goes on the disk; returns the file to remove."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


async def settle_until_refused(recorder: Recorder) -> int:
    """How many calls could settle before one was refused."""
    for settled in range(20_000):
        try:
            slot = recorder.open(crashed(f"t{settled}"))
        except LedgerFull:
            return settled
        recorder.settle(slot, call(f"tsk_{settled}"), {"response": {"text": os.urandom(4_000).hex()}})
        await asyncio.sleep(0.0005)
    raise AssertionError("nothing was refused")
