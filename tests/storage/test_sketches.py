"""Latency sketches on PostgreSQL: two forms at rest, of which a script makes the second while processes work; and what SQLite keeps of the same calls."""

import random

import pytest

from interlock.core.sketch import merged
from interlock.core.store import RollFilter
from interlock.storage import SqliteStore
from interlock.storage.postgres import PostgresStore, migrate
from interlock.storage.postgres.database import Database
from interlock.storage.postgres.migrate import bring
from interlock.storage.postgres.sketches import sketch_of, sketches_of
from interlock.storage.rolls import NS_PER_HOUR
from interlock.storage.schema import EVERYTHING, scripts
from tests.ledger.kit import PRICE, T0, attempt, call, record

KEPT = next(each for each in scripts("postgres") if each.name.endswith("sketches_kept.sql"))


def calls(rng, begin):
    """Some over three hours and two models, from nothing at all to days."""
    for number in range(begin, begin + 40):
        at_ns = T0 + rng.randrange(3) * NS_PER_HOUR
        took_us = rng.choice((0, 1, round(rng.lognormvariate(13, 2)), 10**12))
        tried = attempt(deployment=rng.choice(("p/m", "p/other")))
        yield [record(call(f"t{number}", attempts=[tried], started_ns=at_ns, duration_us=took_us))]


def told(store, *, by_hour):
    rows = store.rolls(RollFilter("acme", by_hour=by_hour))
    return sorted((row.hour, row.deployment, row.n, row.usage.input, row.latency.items()) for row in rows)


@pytest.mark.requirement("OB-04")
def test_sketches_are_what_sqlite_keeps_before_and_after_their_form_changes_beneath_a_process(
    postgres, monkeypatch, tmp_path
):
    address, rng = postgres.fresh(), random.Random(3)
    with monkeypatch.context() as before:
        before.setattr(migrate, "scripts", lambda _: tuple(each for each in scripts("postgres") if each != KEPT))
        ours = PostgresStore.open(address)
    theirs = SqliteStore.open(tmp_path / "store.db", synchronous="normal")

    def write_and_compare(begin):
        for group in calls(rng, begin):
            for store in (ours, theirs):
                store.write([group], [PRICE])
        for by_hour in (True, False):
            assert told(ours, by_hour=by_hour) == told(theirs, by_hour=by_hour)

    write_and_compare(0)
    database = Database(address, busy_timeout_s=5.0)
    assert KEPT in bring(database, EVERYTHING)
    write_and_compare(40)
    for each in (ours, theirs, database):
        each.close()


def test_a_sketch_grows_to_both_sides_and_by_nothing_stays_as_it_is(postgres):
    store = PostgresStore.open(postgres.fresh())
    expected = {}
    with store._database.transaction("add to a sketch") as db:
        db.execute("CREATE TEMPORARY TABLE kept AS SELECT latency_of('{}'::bigint[]) AS sketch")
        for pairs in ([], [300, 2], [], [290, 1, 295, 4], [299, 1, 310, 7], [0, 1], [300, 5, 330, 1]):
            db.execute("UPDATE kept SET sketch = latency_and(sketch, %s::bigint[])", (pairs,))
            expected = merged((expected, dict(zip(pairs[::2], pairs[1::2], strict=True))))
            kept = bytes(db.execute("SELECT latency_told(sketch) FROM kept").fetchone()[0])
            assert sketch_of(kept) == sketches_of([kept]) == expected
            assert sketches_of([kept, kept]) == merged((expected, expected))
    store.close()
