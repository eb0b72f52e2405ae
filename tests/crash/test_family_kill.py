"""Tasks that wait for children, time and signals, killed at random instants: each child once, each signal once, every end kept to be told, the books exact.

`INTERLOCK_CRASH_KILLS` and `INTERLOCK_CRASH_SEED` as in `test_kill`.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from interlock.agents.state import fold
from interlock.core.events import Arrived
from interlock.core.store import TaskFilter
from tests.crash.shop import keyed
from tests.crash.worker import opened
from tests.postgres import Postgres
from tests.servers import postgres_programs

KILLS = int(os.environ.get("INTERLOCK_CRASH_KILLS", "4"))
SEED = int(os.environ.get("INTERLOCK_CRASH_SEED", "20261121"))
PARENTS = 4
ROOT = Path(__file__).parents[2]


def start(folder: Path, address: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.crash.family", str(folder), str(PARENTS), "0.004", address]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed(folder: Path, address: str, rng: random.Random) -> bool:
    """One life, ended at an instant of its own; True when it had finished by then."""
    process = start(folder, address)
    assert process.stdout is not None
    if process.stdout.readline() == "ready\n":
        time.sleep(rng.uniform(0.0, 0.25))
    process.send_signal(signal.SIGKILL)
    said, complained = process.communicate()
    assert process.returncode == -signal.SIGKILL or "done" in said, complained
    return "done" in said


@pytest.fixture(params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest) -> Generator[Postgres | None]:
    if request.param == "sqlite":
        yield None
        return
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as running:
        yield running


@pytest.mark.requirement("AG-04", "AG-11", "AG-14")
def test_tasks_that_wait_lose_nothing_and_begin_nothing_twice_whatever_instant_they_are_killed_at(
    tmp_path: Path, server: Postgres | None
):
    rng, kills, rounds = random.Random(SEED), 0, 0
    while kills < KILLS:
        folder = tmp_path / str(rounds)
        folder.mkdir()
        address = server.fresh() if server else ""
        done = False
        while not done and kills < KILLS:
            done = killed(folder, address, rng)
            kills += not done
        process = start(folder, address)
        _, complained = process.communicate(timeout=120)
        assert process.returncode == 0, complained
        check(folder, address)
        rounds += 1
    print(f"{kills} kills in {rounds} rounds of {PARENTS} families")


def check(folder: Path, address: str) -> None:
    store = opened(folder, address)
    rows = [row for row in store.tasks.list(TaskFilter(limit=10_000)) if row.kind == "task"]
    parents = [row for row in rows if row.workflow == "parent"]
    children = [row for row in rows if row.workflow == "child"]
    assert (len(parents), len(children)) == (PARENTS, 2 * PARENTS), "each was begun once"
    assert {row.outcome for row in rows} == {"resolved"}, [(row.id, row.error, row.message) for row in rows]
    orders = sorted(f"p{number}-{n}" for number in range(PARENTS) for n in (1, 2))
    assert sorted(keyed(folder, "reserve")) == orders, "each child did its work under one key"
    for row in parents:
        records = store.records(row.id)
        arrived = sorted(record.event.by for record in records if isinstance(record.event, Arrived))
        assert arrived == ["child", "child", "signal", "timer"], "what was waited for came once"
        spent = fold(records).spent.cost_nano_usd
        of_children = sum(fold(store.records(a.child)).spent.cost_nano_usd for a in fold(records).actions if a.child)
        assert spent >= of_children > 0
    told = {row.task for row in store.outbox.take(2**62, 2**62 + 1, limit=10_000)}
    assert told == {row.id for row in rows}, "the end of each is kept, to be told"
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
    store.close()
