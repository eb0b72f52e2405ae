"""A disk that is really full: a small file system of its own, where the test may mount one."""

import asyncio
import contextlib
import os
import shutil
import subprocess

import pytest

from interlock.core.errors import LedgerFull, StoreUnavailable
from interlock.core.time import SystemClock
from interlock.ledger import Recorder, RecorderLimits
from interlock.storage import SqliteStore
from tests.ledger.kit import call, calls_in, crashed, started

LIMITS = RecorderLimits(
    calls=64, group=8, flush_window_s=0.001, append_wait_s=0.3, retry_first_s=0.005, retry_longest_s=0.02
)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of three megabytes."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount; tests/ledger/test_record.py fills the database instead")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting is not allowed here; tests/ledger/test_record.py fills the database instead")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk):
    """Writes until nothing more goes on the disk; returns the file to remove."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


async def settle_until_refused(recorder):
    """How many calls could settle, and the error that refused the next one."""
    for settled in range(10_000):
        try:
            slot = recorder.open(crashed(f"t{settled}"))
        except LedgerFull as refusal:
            return settled, refusal
        recorder.settle(slot, call(f"t{settled}"), {"response": {"text": "x" * 1500}})
        await asyncio.sleep(0.0005)
    raise AssertionError("nothing was refused")


@pytest.mark.requirement("OB-03")
async def test_on_a_full_disk_calls_go_on_to_the_bound_and_all_is_written_when_there_is_room(small_disk):
    path = small_disk / "store.db"
    store = SqliteStore.open(path, busy_timeout_s=0.05)
    recorder = Recorder(store, SystemClock(), path=path, limits=LIMITS)
    recorder.start()
    filler = fill(small_disk)
    settled, refusal = await settle_until_refused(recorder)
    assert "free some space" in str(refusal)
    assert settled >= LIMITS.calls
    assert recorder.health().state == "full"
    with pytest.raises(StoreUnavailable):
        await recorder.append([started("t")])
    filler.unlink()
    for _ in range(6_000):
        if not recorder.health().queued:
            break
        await asyncio.sleep(0.01)
    recorder.settle(recorder.open(crashed("after")), call("after"))
    assert await recorder.close() == 0
    assert calls_in(path) == sorted([f"cal_t{n}_1" for n in range(settled)] + ["cal_after_1"])
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
    store.close()
