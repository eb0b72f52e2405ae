"""The same writes, whatever their order and however often, leave the same to be read in every store."""

import random

import pytest

from interlock.core.errors import Fenced
from interlock.core.events import (
    ApprovalAsked,
    ApprovalDecided,
    DoubtSettled,
    InDoubt,
    Noted,
    OutcomeSeen,
    Record,
)
from interlock.core.store import RollFilter, Signal, Store, TaskFilter
from interlock.storage import SqliteStore
from interlock.storage.postgres import PostgresStore
from tests.ledger.kit import PRICE, T0, attempt, call, crashed, finished, record, started
from tests.storage.test_lone import CALLS
from tests.storage.test_lone import call as lone_call

HOUR = 3_600_000_000_000


def history(rng: random.Random) -> list[list[Record]]:
    """Tasks and lone calls of an afternoon, some of it written twice, some by workers that had lost their task."""
    groups: list[list[Record]] = []
    for n in range(12):
        task, at_ns = f"t{n:02}", T0 + n * HOUR // 3
        tries = [attempt(rng.choice(["error", "timeout"])) for _ in range(rng.randrange(3))]
        steps = [started(task, workflow=rng.choice(["a", "b"]), at_ns=at_ns, batch="f" if n % 2 else "", line=n)]
        steps.append(record(call(task, 1, attempts=[*tries, attempt()], started_ns=at_ns), content={"n": n}))
        steps.append(Record(task, 2, "acme", at_ns, ApprovalAsked(3, "refund", "h", "always", at_ns + HOUR)))
        if n % 3:
            steps.append(Record(task, 3, "acme", at_ns, ApprovalDecided(2, "approve", "ada", "h")))
            steps.append(Record(task, 4, "acme", at_ns, InDoubt(4, "refund")))
        if n % 3 == 2:
            steps.append(Record(task, 5, "acme", at_ns, DoubtSettled(4, "done", "ada")))
            steps.append(Record(task, 6, "acme", at_ns, Noted("paused", "by hand")))
            steps.append(Record(task, 7, "acme", at_ns, Noted("unpaused", "by hand")))
            steps.append(finished(task, 8, at_ns=at_ns + HOUR, parent="t00", parent_step=1, tier="small"))
            steps.append(Record(task, 9, "acme", at_ns, OutcomeSeen(n % 2 == 0, "person")))
        groups.extend([each] for each in steps)
        groups.append([record(lone_call(f"tsk_{n:02}", started_ns=at_ns, tenant=rng.choice(["acme", "b"])))])
        groups.append([record(crashed(task, 1, call_id=f"cal_{n}"), fence=99)])
    groups.extend([[record(each)] for each in [CALLS["rehearsed, then real"], CALLS["client gone"]]])
    groups.append([Record("tsk_03", 2, "acme", T0 + 9, OutcomeSeen(True, "label"))])
    again = rng.sample(groups, 20)
    return [*groups, *again]


def seen(store: Store) -> dict[str, object]:
    """Everything that readers see."""
    rows = store.tasks.list(TaskFilter(limit=1_000))
    texts = [store.records(row.id) for row in rows]
    followed, _ = store.tail.read("", 1_000)
    return {
        "tasks": rows,
        "one by one": [store.tasks.get(row.id) for row in rows],
        "page": store.tasks.list(
            TaskFilter(limit=4, until_ns=rows[len(rows) // 3].created_ns, before_id=rows[len(rows) // 3].id)
        ),
        "failed": store.tasks.list(TaskFilter(outcome="failed")),
        "lone": store.tasks.list(TaskFilter(kind="call", tenant="b")),
        "dear": store.tasks.list(TaskFilter(least_nano_usd=500, user="ada")),
        "batch": store.tasks.of_batch("f"),
        "logs": texts,
        "signals": [store.signals.pending("t00")],
        "called": [sorted(store.signals.called(["t00", "t01", "nobody"]))],
        "rolls": sorted(store.rolls(RollFilter()), key=repr),
        "meters": sorted(store.meters(RollFilter()), key=repr),
        "outcomes": sorted(store.tasks.outcomes(), key=repr),
        "some outcomes": sorted(store.tasks.outcomes(tenant="acme", workflow="a", since_ns=T0 + HOUR), key=repr),
        "totals": store.totals(),
        "followed": sorted((each.task, each.seq) for each in followed),
        "unfinished": store.tasks.unfinished(),
        "runnable": store.tasks.runnable(T0 + 2 * HOUR),
    }


@pytest.mark.requirement("OP-04")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_one_store_shows_every_store_shows(tmp_path, postgres, seed):
    stores: list[Store] = [SqliteStore.open(tmp_path / "store.db"), PostgresStore.open(postgres.fresh())]
    shown, answers = [], []
    for store in stores:
        rng = random.Random(seed)
        groups = history(rng)
        said: list[bool] = []
        while groups:
            size = rng.randrange(1, 9)
            said += [isinstance(each, Fenced) for each in store.write(groups[:size], [PRICE])]
            del groups[:size]
        store.signals.add(Signal("t01", "s1", "approval", {"n": 1}, T0))
        answers.append(said)
        shown.append(seen(store))
        store.close()
    assert answers[0] == answers[1]
    assert any(answers[0])
    for name, there in shown[0].items():
        assert shown[1][name] == there, name
