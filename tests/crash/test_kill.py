"""A real process is killed at random instants and started again until everything is done: nothing is lost, nothing is doubled.

`INTERLOCK_CRASH_KILLS` sets how many kills (default 100, `make soak-crash` 3,000), `INTERLOCK_CRASH_SEED` which instants.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from interlock.agents.state import State, fold
from interlock.core.events import InDoubt, Settled
from interlock.core.store import TaskFilter
from interlock.storage import SqliteStore
from tests.crash.shop import keyed, read
from tests.crash.worker import COST_NANO_USD

KILLS = int(os.environ.get("INTERLOCK_CRASH_KILLS", "100"))
SEED = int(os.environ.get("INTERLOCK_CRASH_SEED", "20261121"))
TASKS = 40
PAUSE_S = 0.004
ROOT = Path(__file__).parents[2]


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.crash.worker", str(folder), str(TASKS), str(SEED), str(PAUSE_S)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def live_and_die(folder: Path, rng: random.Random) -> bool:
    """One life of the worker, at times with a second one beside it that outlives it; True when the work was finished."""
    workers = [start(folder) for _ in range(2 if rng.random() < 0.25 else 1)]
    ended = [die(worker, rng) for worker in workers]
    return all(ended)


def die(process: subprocess.Popen[str], rng: random.Random) -> bool:
    """The process is killed at an instant of its own, sometimes before it has begun; True when it had finished by then."""
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        early = rng.random() < 0.1
        if early or process.stdout.readline() == "ready\n":
            time.sleep(rng.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        said, complained = process.stdout.read(), process.stderr.read()
    assert process.returncode == -signal.SIGKILL or "done" in said, complained
    return "done" in said


def finish(folder: Path) -> None:
    """A last life that nobody ends."""
    process = start(folder)
    _, complained = process.communicate(timeout=120)
    assert process.returncode == 0, complained


@pytest.mark.requirement("AG-04", "AG-05")
def test_killed_at_random_instants_it_loses_no_task_and_doubles_no_effect(tmp_path: Path):
    rng = random.Random(SEED)
    kills = rounds = doubts = crashed = 0
    while kills < KILLS:
        folder = tmp_path / str(rounds)
        folder.mkdir()
        done = False
        while not done and kills < KILLS:
            done = live_and_die(folder, rng)
            kills += not done
        finish(folder)
        seen = check(folder)
        rounds, doubts, crashed = rounds + 1, doubts + seen["doubts"], crashed + seen["crashed"]
    print(
        f"{kills} kills in {rounds} rounds of {TASKS} tasks: {crashed} calls cut off, {doubts} effects put to a person"
    )
    assert crashed > KILLS // 10, "the kills hit no call: the instants prove nothing"
    assert doubts > 0, "no effect was ever in doubt: the instants prove nothing"


def check(folder: Path) -> Counter[str]:
    """Everything that has to hold after a round."""
    store = SqliteStore.open(folder / "interlock.db")
    rows = [row for row in store.tasks.list(TaskFilter(limit=10_000)) if row.kind == "task"]
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
    assert sorted(line.split()[0] for line in read(folder, "refund")) == fine, "each refund happened once"
    assert sorted(read(folder, "post")) == fine, "each letter was posted once"
    assert sorted(keyed(folder, "reserve")) == sorted(orders), "each reservation has one key, whatever was tried again"
    assert sorted(keyed(folder, "release")) == [f"r-{order}" for order in failing], "what failed is undone, once"
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
    assert totals.events_nano_usd == COST_NANO_USD * sum(calls(state) for state in states.values())
    seen = Counter[str]()
    for row in rows:
        events = [record.event for record in store.records(row.id)]
        seen["doubts"] += sum(isinstance(event, InDoubt) for event in events)
        seen["crashed"] += sum(isinstance(event, Settled) and event.status == "crashed" for event in events)
    store.close()
    return seen


def calls(state: State) -> int:
    """Model calls that cost something, those included that a crash cut off."""
    return state.spent.cost_nano_usd // COST_NANO_USD
