"""Real processes killed with SIGKILL in the middle of their calls: every call is one event afterwards."""

import os
import random
import select
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.core.time import SystemClock
from interlock.ledger import Recorder, RecorderLimits
from interlock.storage import SqliteStore
from tests.ledger.kit import calls_in

ROOT = Path(__file__).parents[2]


def launch(path: Path, name: str, seed: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.victim", str(path), name, str(seed)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )


def listen(process: subprocess.Popen[bytes], lines: int) -> bytes:
    """What the process says until it has said so many lines."""
    assert process.stdout is not None
    out, said = process.stdout.fileno(), b""
    while said.count(b"\n") < lines:
        ready, _, _ = select.select([out], [], [], 90)
        assert ready, "the process said nothing for a minute and a half"
        more = os.read(out, 4096)
        assert more, "the process ended by itself"
        said += more
    return said


def kill_after(process: subprocess.Popen[bytes], lines: int) -> list[str]:
    """Kills the process once it has said so many lines; returns all that it said until then."""
    try:
        said = listen(process, lines)
    finally:
        process.kill()
        rest, _ = process.communicate(timeout=90)
    # A last line without its end was cut by the kill.
    return [line.decode() for line in (said + rest).split(b"\n")[:-1]]


def recovered(path: Path) -> int:
    """Starts a recorder, which settles what dead processes left; returns how many calls there were."""
    store = SqliteStore.open(path)
    recorder = Recorder(store, SystemClock(), path=path, limits=RecorderLimits(calls=64))
    found = recorder.start()
    recorder.close_now()
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
    store.close()
    return found


def check(path: Path, said: list[str]) -> None:
    """Every call that had opened is there once, as it settled where it had; none that was not begun is."""
    begun = {line.split()[1] for line in said if line.startswith("open ")}
    opened = {line.split()[1] for line in said if line.startswith("opened ")}
    settled = {line.split()[1] for line in said if line.startswith("settled ")}
    written = calls_in(path)
    assert len(written) == len(set(written)), "a call is there twice"
    tasks = {each.removeprefix("cal_").removesuffix("_1") for each in written}
    assert opened <= tasks <= begun
    store = SqliteStore.open(path)
    status = {task: getattr(store.records(task)[0].event, "status", "") for task in tasks}
    store.close()
    assert all(status[task] == "ok" for task in settled)
    assert {status[task] for task in tasks - settled} <= {"crashed", "ok"}


@pytest.mark.requirement("OB-03")
def test_a_process_killed_at_a_random_instant_leaves_exactly_one_event_per_call(tmp_path):
    path = tmp_path / "store.db"
    rng = random.Random(20261121)
    said: list[str] = []
    for n in range(8):
        said += kill_after(launch(path, f"p{n}", n), rng.randrange(2, 600))
    found = recovered(path) + sum(int(line.split()[1]) for line in said if line.startswith("ready"))
    assert found > 0, "no process died in the middle of a call"
    check(path, said)
    assert list(tmp_path.glob("*.flight*")) == []


def test_processes_that_share_a_store_recover_only_the_dead(tmp_path):
    path = tmp_path / "store.db"
    living, dying = launch(path, "living", 1), launch(path, "dying", 2)
    begun = listen(living, 1)
    said = kill_after(dying, 300)
    assert recovered(path) > 0
    assert len(list(tmp_path.glob("*.flight*"))) == 1, "the journal of the living process is left alone"
    said += [line for line in (begun.decode() + "\n".join(kill_after(living, 300))).split("\n") if line]
    recovered(path)
    check(path, said)
