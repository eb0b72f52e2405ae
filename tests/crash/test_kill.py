"""Real processes are killed, frozen past their leases and robbed of their database at random instants, and started again until everything is done:
nothing is lost, nothing is doubled, on SQLite and on PostgreSQL.

`INTERLOCK_CRASH_KILLS` sets how many mishaps there are on each store (default 8, `make soak-crash` 1,500), `INTERLOCK_CRASH_SEED` at which instants,
`INTERLOCK_CRASH_RESULT` a file for the figures.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from msgspec import Struct

from interlock.agents.state import State, fold
from interlock.core.events import InDoubt, Settled
from interlock.core.store import Store, TaskFilter
from tests.crash.shop import keyed, read
from tests.crash.worker import COST_NANO_USD, FROZEN, opened
from tests.postgres import Postgres
from tests.servers import postgres_programs

MISHAPS = int(os.environ.get("INTERLOCK_CRASH_KILLS", "8"))
SEED = int(os.environ.get("INTERLOCK_CRASH_SEED", "20261121"))
RESULT = os.environ.get("INTERLOCK_CRASH_RESULT", "")
ENOUGH = 40
"""With fewer mishaps, chance may spare every call and effect."""
TASKS = 40 if MISHAPS >= ENOUGH else 20
PAUSE_S = 0.004
LEASE_S = 0.8
LIFE_S = {"": 0.15, "postgres": 0.6}
"""Longest time between a worker's first word and its end, without and with a server to go to."""
ROOT = Path(__file__).parents[2]


class Ground(Struct):
    """Where a round is played: a folder, and a database server where there is one."""

    folder: Path
    server: Postgres | None = None
    address: str = ""

    def start(self) -> subprocess.Popen[str]:
        told = [str(self.folder), str(TASKS), str(SEED), str(PAUSE_S), str(LEASE_S), self.address]
        command = [sys.executable, "-m", "tests.crash.worker", *told]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @property
    def life_s(self) -> float:
        return LIFE_S["postgres" if self.server else ""]

    def store(self) -> Store:
        return opened(self.folder, self.address)


@pytest.fixture(params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest) -> Generator[Postgres | None]:
    if request.param == "sqlite":
        yield None
        return
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as running:
        yield running


def mishap(ground: Ground, rng: random.Random) -> tuple[str, bool]:
    """One life of the workers until something happens to them: what it was, and whether they had finished by then."""
    kinds = ["kill"] * 14 + ["freeze"] * 3 + (["restart"] * 3 if ground.server else [])
    kind = rng.choice(kinds)
    if kind == "freeze":
        return kind, freeze(ground, rng)
    workers = [ground.start() for _ in range(2 if rng.random() < 0.25 or kind == "restart" else 1)]
    if kind == "restart":
        restart(ground, workers, rng)
    ended = [die(ground, worker, rng, ready=kind == "restart" and not at) for at, worker in enumerate(workers)]
    return kind, all(ended)


def restart(ground: Ground, workers: list[subprocess.Popen[str]], rng: random.Random) -> None:
    """The database's processes end as in a crash, and come back."""
    assert ground.server is not None
    wait_ready(workers[0])
    time.sleep(rng.uniform(0.0, ground.life_s))
    ground.server.stop()
    time.sleep(rng.uniform(0.0, 0.1))
    ground.server.start()


def freeze(ground: Ground, rng: random.Random) -> bool:
    """A worker stands still until another one has taken its tasks over, wakes up in the middle of whatever it did, and is ended a moment later."""
    victim, other = ground.start(), ground.start()
    wait_ready(victim)
    wait_ready(other)
    time.sleep(rng.uniform(0.0, ground.life_s))
    (ground.folder / FROZEN).touch()
    victim.send_signal(signal.SIGSTOP)
    time.sleep(LEASE_S * 1.5)
    victim.send_signal(signal.SIGCONT)
    time.sleep(rng.uniform(0.0, 0.2))
    ended = [gone(victim)]
    (ground.folder / FROZEN).unlink()
    ended.append(die(ground, other, rng, ready=True))
    return all(ended)


def wait_ready(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "ready\n"


def die(ground: Ground, process: subprocess.Popen[str], rng: random.Random, *, ready: bool = False) -> bool:
    """The process is killed at an instant of its own, sometimes before it has begun; True when it had finished by then."""
    early = not ready and rng.random() < 0.1
    if early or ready or wait_ready(process):
        time.sleep(rng.uniform(0.0, ground.life_s))
    return gone(process)


def gone(process: subprocess.Popen[str]) -> bool:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        complained = process.stderr.read()
    assert process.returncode in (0, -signal.SIGKILL), complained
    return process.returncode == 0


def finish(ground: Ground) -> None:
    """A last life that nobody ends."""
    process = ground.start()
    _, complained = process.communicate(timeout=120)
    assert process.returncode == 0, complained


@pytest.mark.requirement("AG-04", "AG-05", "OP-06")
def test_whatever_happens_at_random_instants_no_task_is_lost_and_no_effect_doubled(
    tmp_path: Path, server: Postgres | None
):
    rng = random.Random(SEED)
    happened, seen, rounds = Counter[str](), Counter[str](), 0
    while happened.total() < MISHAPS:
        folder = tmp_path / str(rounds)
        folder.mkdir()
        ground = Ground(folder, server, server.fresh() if server else "")
        done, frozen = False, 0
        while not done and happened.total() < MISHAPS:
            kind, done = mishap(ground, rng)
            happened[kind] += not done
            frozen += kind == "freeze"
        finish(ground)
        seen += check(ground, frozen)
        rounds += 1
        keep("postgres" if server else "sqlite", {**happened, **seen, "rounds": rounds, "tasks": rounds * TASKS})
    print(f"{'postgres' if server else 'sqlite'}: {dict(happened)} in {rounds} rounds of {TASKS} tasks: {dict(seen)}")
    assert MISHAPS < ENOUGH or seen["crashed"] > MISHAPS // 20, "the mishaps hit no call: the instants prove nothing"
    assert MISHAPS < ENOUGH or seen["doubts"] > 0, "no effect was ever in doubt: the instants prove nothing"


def keep(name: str, figures: dict[str, int]) -> None:
    if RESULT:
        path = Path(RESULT)
        known = json.loads(path.read_text()) if path.exists() else {}
        known[name] = {"seed": SEED, "lost_tasks": 0, "doubled_once_effects": 0, **figures}
        path.write_text(json.dumps(known, indent=2) + "\n")


def check(ground: Ground, frozen: int) -> Counter[str]:
    """Everything that has to hold after a round."""
    store, folder = ground.store(), ground.folder
    listed = store.tasks.list(TaskFilter(limit=10_000))
    rows = [row for row in listed if row.kind == "task"]
    states = {row.line: fold(store.records(row.id)) for row in rows}
    orders = [f"o{line}" for line in range(1, TASKS + 1)]
    fine = sorted(order for order in orders if not order.endswith("7"))
    failing = sorted(set(orders) - set(fine))
    assert sorted(states) == list(range(1, TASKS + 1)), "every line is one task"
    assert len(rows) == TASKS, "no line is two tasks"
    for line, state in states.items():
        outcome = state.finished.outcome if state.finished else "unfinished"
        assert outcome == ("resolved" if f"o{line}" in fine else "failed"), (line, state)
        assert (state.note("flow_chosen") is not None) == str(line).endswith("3"), (line, state)
    assert sorted(read(folder, "post")) == fine, "each letter was posted once"
    refunds = read(folder, "refund")
    assert sorted({line.split()[0] for line in refunds}) == fine, "each refund happened"
    assert len(set(refunds)) == len(fine), "and under one key"
    assert len(refunds) - len(fine) <= 6 * frozen, "again only by workers that had stood still in the middle of paying"
    assert sorted(keyed(folder, "reserve")) == sorted(orders), "each reservation has one key, whatever was tried again"
    assert sorted(keyed(folder, "release")) == [f"r-{order}" for order in failing], "what failed is undone, once"
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
    late_nano_usd = sum(row.cost_nano_usd for row in listed if row.kind == "late")
    assert totals.events_nano_usd == late_nano_usd + COST_NANO_USD * sum(calls(state) for state in states.values())
    seen = Counter[str](late=late_nano_usd // COST_NANO_USD, repeated_refunds=len(refunds) - len(fine))
    for row in rows:
        events = [record.event for record in store.records(row.id)]
        seen["doubts"] += sum(isinstance(event, InDoubt) for event in events)
        seen["crashed"] += sum(isinstance(event, Settled) and event.status == "crashed" for event in events)
    store.close()
    return seen


def calls(state: State) -> int:
    """Model calls that cost something, those included that a crash cut off."""
    return state.spent.cost_nano_usd // COST_NANO_USD
