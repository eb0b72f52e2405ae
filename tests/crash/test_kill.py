"""Real processes are killed, frozen past their leases and robbed of their database, their disk and their clock at random instants, and started again until
everything is done: nothing is lost, nothing is doubled, on SQLite and on PostgreSQL. And they are ended at each edge of each write.

`INTERLOCK_CRASH_KILLS` sets how many mishaps there are on each store (default 8, `make soak-crash` 1,500), `INTERLOCK_CRASH_SEED` at which instants,
`INTERLOCK_CRASH_RESULT` a file for the figures.
"""

import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from itertools import count, pairwise
from pathlib import Path

import pytest
from msgspec import Struct

from interlock.agents.state import State, fold
from interlock.agents.understand import asked
from interlock.app.following import Place, news, place_of
from interlock.core.events import InDoubt, Settled
from interlock.core.store import Store, TaskFilter
from interlock.ledger.read import Reader
from tests.crash.followed import begun, heard
from tests.crash.ground import Ground, mishap, small_disk
from tests.crash.nursery import Nursery
from tests.crash.shop import keyed, read
from tests.crash.worker import COST_NANO_USD
from tests.postgres import Postgres
from tests.servers import postgres_programs

MISHAPS = int(os.environ.get("INTERLOCK_CRASH_KILLS", "8"))
SEED = int(os.environ.get("INTERLOCK_CRASH_SEED", "20261121"))
RESULT = os.environ.get("INTERLOCK_CRASH_RESULT", "")
ENOUGH = 40
"""With fewer mishaps, chance may spare every call and effect."""
ORDERS = tuple(range(1, 41 if MISHAPS >= ENOUGH else 21))
ONE_OF_EACH = (1, 3, 7)
"""A model's, a flow's, and one that fails and is undone."""
EDGES_APART = 1 if MISHAPS >= ENOUGH else 40
DISK_MB = {"sqlite": 192, "postgres": 224}


class Field(Struct):
    """Makes rounds, each with a store of its own."""

    name: str
    folder: Path
    nursery: Nursery
    disk: Path | None
    server: Postgres | None
    numbers: Iterator[int]

    def round(self, orders: tuple[int, ...]) -> Ground:
        number = next(self.numbers)
        outside = within = self.folder / str(number)
        outside.mkdir()
        disk = self.disk if self.server or number % 3 == 2 else None
        if disk is not None and self.server is None:
            within = disk / str(number)
            within.mkdir()
        address = self.server.fresh() if self.server else ""
        return Ground(self.nursery, outside, within, orders, SEED + number, disk, self.server, address)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Field]:
    name: str = request.param
    if name == "postgres" and postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(DISK_MB[name]))
        server = None
        if name == "postgres":
            settings = ("min_wal_size=2MB", "max_wal_size=16MB", "synchronous_commit=on")
            server = stack.enter_context(Postgres(within=disk, settings=settings))
        yield Field(name, tmp_path, stack.enter_context(Nursery()), disk, server, count())


class Watcher:
    """Follows every task's progress from mishap to mishap, each time from the place that it was told, as text."""

    def __init__(self) -> None:
        self.places: defaultdict[str, str] = defaultdict(lambda: str(Place()))
        self.heard: defaultdict[str, list[int]] = defaultdict(list)

    def look(self, ground: Ground) -> None:
        store = ground.store()
        for row in store.tasks.list(TaskFilter(limit=10_000, kind="task")):
            trace = Reader(store).trace(row.id)
            for came in news(trace.steps if trace else (), place_of(self.places[row.id])):
                self.heard[row.id].append(came.step.step)
                self.places[row.id] = str(came.place)
        store.close()


@pytest.mark.requirement("AG-04", "AG-05", "AG-09", "OP-06")
def test_whatever_happens_at_random_instants_no_task_is_lost_and_no_effect_doubled(place: Field):
    rng = random.Random(SEED)
    happened, seen, rounds = Counter[str](), Counter[str](), 0
    while happened.total() < MISHAPS:
        ground, watcher = place.round(ORDERS), Watcher()
        done, frozen = False, 0
        while not done and happened.total() < MISHAPS:
            kind = rng.choice(ground.kinds())
            done = mishap(ground, kind, rng)
            happened[kind] += not done
            frozen += kind == "freeze"
            watcher.look(ground)
        assert ground.start().over(), "a last life that nobody ends"
        watcher.look(ground)
        seen += check(ground, frozen, watcher)
        rounds += 1
        leave(ground)
        keep(place.name, {**happened, **seen, "rounds": rounds, "tasks": rounds * len(ORDERS)})
    print(f"{place.name}: {dict(happened)} in {rounds} rounds of {len(ORDERS)} tasks: {dict(seen)}")
    assert MISHAPS < ENOUGH or seen["crashed"] > MISHAPS // 20, "the mishaps hit no call: the instants prove nothing"
    assert MISHAPS < ENOUGH or seen["cut in the middle of being told"] > 0, "no text was cut off while it was told"
    assert MISHAPS < ENOUGH or seen["doubts"] > 0, "no effect was ever in doubt: the instants prove nothing"


@pytest.mark.requirement("AG-04", "AG-05")
def test_a_process_that_ends_before_or_after_any_of_its_writes_loses_and_doubles_nothing(place: Field):
    edges, seen = 0, Counter[str]()
    for fatal in count(1 + SEED % EDGES_APART, EDGES_APART):
        ground = place.round(ONE_OF_EACH)
        finished = ground.nursery.start(ground.told(fatal=fatal, concurrency=1)).over()
        edges += not finished
        assert finished or ground.start().over()
        seen += check(ground, 0, None)
        leave(ground)
        keep(f"{place.name}, each edge of a write", {**seen, "ended": edges})
        if finished:
            break
    print(f"{place.name}: ended at {edges} edges of writes: {dict(seen)}")
    assert edges >= 100 // EDGES_APART


def leave(ground: Ground) -> None:
    """Makes room for the next round."""
    if ground.server is not None:
        ground.server.drop(ground.address)
    for file in ground.within.iterdir():
        file.unlink()


def keep(name: str, figures: dict[str, int]) -> None:
    if RESULT:
        path = Path(RESULT)
        known = json.loads(path.read_text()) if path.exists() else {}
        known[name] = {"seed": SEED, "lost_tasks": 0, "doubled_once_effects": 0, **figures}
        path.write_text(json.dumps(known, indent=2) + "\n")


def in_vain(state: State) -> bool:
    """The on-device tier was asked as often as it may be, and each time its process died: then the task is the model's."""
    first = asked(state)
    return first is not None and not first.ok and first.tries >= 3 and state.note("left_flow") is not None


def check(ground: Ground, frozen: int, watcher: Watcher | None) -> Counter[str]:
    """Everything that has to hold after a round."""
    store = ground.store()
    listed = store.tasks.list(TaskFilter(limit=100_000))
    rows = [row for row in listed if row.kind == "task"]
    states = {row.line: fold(store.records(row.id)) for row in rows}
    orders = [f"o{line}" for line in ground.orders]
    fine = sorted(order for order in orders if not order.endswith("7"))
    assert sorted(states) == list(ground.orders), "every line is one task"
    assert len(rows) == len(orders), "no line is two tasks"
    for line, state in states.items():
        outcome = state.finished.outcome if state.finished else "unfinished"
        assert outcome == ("resolved" if f"o{line}" in fine else "failed"), (line, state)
        by_flow = str(line).endswith("3") and not in_vain(state)
        assert (state.note("flow_chosen") is not None) == by_flow, (line, state)
    repeated = check_shop(ground, orders, fine, frozen)
    streamed = {row.id for row in listed if row.kind == "call"}
    assert set(read(ground.outside, "streamed")) <= streamed, "each answer that began to stream is in the books"
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
    late_nano_usd = sum(row.cost_nano_usd for row in listed if row.kind == "late")
    known_nano_usd = COST_NANO_USD * (len(streamed) + sum(calls(state) for state in states.values()))
    assert totals.events_nano_usd == late_nano_usd + known_nano_usd
    seen = Counter[str](late=late_nano_usd // COST_NANO_USD, repeated_refunds=repeated, streamed=len(streamed))
    seen["cut streams"] = sum(row.outcome == "failed" for row in listed if row.kind == "call")
    for row in rows:
        seen += doubts(store, row.id, watcher)
    seen += check_followed(ground, store, {row.id for row in rows}, frozen)
    store.close()
    return seen


def check_followed(ground: Ground, store: Store, tasks: set[str], frozen: int) -> Counter[str]:
    """Every text that a model began to write for followers is one call in the books, whole or cut off; one that was begun anew has the next number."""
    told, seen = begun(ground.outside), Counter[str]()
    assert {each.task for each in told} == {task for task in tasks if heard(task) and _asked(store, task)}
    for task in {each.task for each in told}:
        steps = sorted((each for each in told if each.task == task), key=lambda each: each.step)
        assert len({each.step for each in steps}) == len(steps), "no call is made twice at one place of the log"
        settled = {record.seq: record.event for record in store.records(task) if isinstance(record.event, Settled)}
        assert frozen or {each.step for each in steps} <= set(settled), "each that was begun to be told has settled"
        cut = {each.step for each in steps if each.step not in settled or settled[each.step].status == "crashed"}
        assert steps[-1].step not in cut, "the last one was told to its end"
        for one, other in pairwise(steps):
            assert one.step not in cut or other.attempt > one.attempt, "what was cut off is told anew, and told so"
        seen["told texts"] += len(steps)
        seen["cut in the middle of being told"] += len(cut)
    return seen


def _asked(store: Store, task: str) -> bool:
    """A model of the task was asked, the on-device tier apart."""
    events = [record.event for record in store.records(task)]
    return any(isinstance(each, Settled) and each.kind == "model" and each.name == "m" for each in events)


def check_shop(ground: Ground, orders: list[str], fine: list[str], frozen: int) -> int:
    """What happened outside; how many refunds were made again by workers that had stood still."""
    folder, failing = ground.outside, sorted(set(orders) - set(fine))
    assert sorted(read(folder, "post")) == fine, "each letter was posted once"
    refunds = read(folder, "refund")
    assert sorted({line.split()[0] for line in refunds}) == fine, "each refund happened"
    assert len(set(refunds)) == len(fine), "and under one key"
    assert len(refunds) - len(fine) <= 6 * frozen, "again only by workers that had stood still in the middle of paying"
    assert sorted(keyed(folder, "reserve")) == sorted(orders), "each reservation has one key, whatever was tried again"
    assert sorted(keyed(folder, "release")) == [f"r-{order}" for order in failing], "what failed is undone, once"
    return len(refunds) - len(fine)


def doubts(store: Store, task: str, watcher: Watcher | None) -> Counter[str]:
    records = store.records(task)
    events = [record.event for record in records]
    if watcher is not None:
        assert sorted(watcher.heard[task]) == [record.seq for record in records], "a watcher hears of each step once"
    crashed = sum(isinstance(event, Settled) and event.status == "crashed" for event in events)
    return Counter(doubts=sum(isinstance(event, InDoubt) for event in events), crashed=crashed)


def calls(state: State) -> int:
    """Model calls that cost something, those included that a crash cut off."""
    return state.spent.cost_nano_usd // COST_NANO_USD
