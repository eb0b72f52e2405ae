"""Answers of the exact cache, as every store keeps them."""

import sqlite3
from contextlib import closing

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.core.answers import CacheEntry, Keeping
from interlock.storage.sqlite import SqliteStore
from interlock.storage.statements import migration_files
from tests.ledger.kit import T0

S = 1_000_000_000


def keeping(tenant, key, value, until_ns):
    return Keeping(tenant, key, value, T0, T0 + 7, until_ns)


def answer(value):
    return CacheEntry(value, T0, T0 + 7)


def test_a_cached_answer_is_its_tenants_and_ends_with_its_time(store):
    store.cache.put_all([keeping("a", b"k", b"one", T0 + 30 * S)], T0)
    store.cache.put_all([keeping("a", b"k", b"two", T0 + 20 * S), keeping("a", b"old", b"never", T0)], T0)
    assert store.cache.get("a", b"k", T0 + 15 * S) == answer(b"two")
    assert store.cache.get("b", b"k", T0 + 15 * S) is None
    assert store.cache.get("a", b"old", T0 - S) is None
    store.cache.put_all([keeping("a", b"new", b"three", T0 + 60 * S)], T0 + 40 * S, most=10)
    assert store.cache.get("a", b"k", T0 + 15 * S) is None
    assert store.cache.clear() == 1


def test_a_cache_is_trimmed_to_those_that_came_last(store):
    for n in range(6):
        store.cache.put_all([keeping("a", b"k%d" % n, b"x", T0 + (100 + n) * S)], T0, most=2 if n == 5 else 0)
    assert [store.cache.get("a", b"k%d" % n, T0) for n in (3, 4, 5)] == [None, answer(b"x"), answer(b"x")]
    assert store.cache.clear("b") == 0
    assert store.cache.clear() == 2


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.binary(max_size=9)), max_size=5),
        max_size=6,
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_answers_under_one_key_the_last_is_there_and_all_keys_are_told(store, groups):
    store.cache.clear()
    said, begun = {}, store.cache.keys(0, 0, 1)[1]
    for group in groups:
        rows = [keeping(tenant, b"%c%08d" % (tenant.encode(), key), value, T0 + 9 * S) for tenant, key, value in group]
        placed = store.cache.put_all(rows, T0)
        assert placed is None or placed.last - placed.before == len(rows)
        said.update({(row.tenant, row.key): answer(row.value) for row in rows})
    assert {name: store.cache.get(*name, T0) for name in said} == said
    assert set(store.cache.keys(begun, T0, 100)[0]) == {key for _, key in said}
    assert store.cache.clear() == len(said)


def test_what_a_store_keeps_in_order_is_told_from_where_it_was_left(store):
    first = store.cache.put_all([keeping("a", b"%08d" % n, b"x", T0 + 9 * S) for n in range(3)], T0)
    keys, last = store.cache.keys(0, T0, 100)
    assert sorted(keys) == [b"%08d" % n for n in range(3)]
    if first is None:
        return
    assert last == first.last
    store.cache.clear()
    again = store.cache.put_all([keeping("a", b"later", b"x", T0 + 9 * S)], T0)
    assert again.before == last, "places are not given twice, or others would overlook what came"
    assert store.cache.keys(last, T0, 100) == ([b"later"], again.last)


def test_what_processes_of_before_kept_is_forgotten_too_until_their_table_is_dropped(tmp_path):
    path = tmp_path / "shop.db"
    SqliteStore.open(path).close()
    before = next(sql for name, sql in migration_files() if name.startswith("0007_")).replace("DROP TABLE cache;", "")
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE IF EXISTS cache;" + before)
        db.executemany("INSERT INTO cache VALUES (?, 'key', 9, 'what Ada said')", [("acme",), ("other",)])
        db.commit()
    with closing(SqliteStore.open(path)) as store:
        assert store.cache.clear("acme") == 1
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT tenant FROM cache").fetchall() == [("other",)]
