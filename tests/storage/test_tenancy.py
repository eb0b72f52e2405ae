"""Row-level security: what is asked for without a tenant is not there, and nobody's connection remembers whom it served before."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import psycopg
import pytest
from msgspec import structs
from psycopg.conninfo import conninfo_to_dict

from interlock.core.answers import Keeping
from interlock.core.audit import Deed
from interlock.core.batches import BatchRow, FileRow, Line
from interlock.core.caller import Caller
from interlock.core.circuits import CircuitChange
from interlock.core.events import Settled, Started
from interlock.core.keys import KeyRecord
from interlock.core.store import RollFilter, Signal, TaskFilter
from interlock.core.tenancy import EVERYBODY, act_for, acting_for, acting_for_everybody
from interlock.storage.postgres import PostgresStore
from tests.ledger.kit import PRICE, T0, finished, record, started
from tests.storage.test_lone import call as lone_call

BY_ANOTHER = {"signals", "batch_lines", "keys"}
"""Tables whose rows are a tenant's by what they stand for."""


@pytest.fixture(scope="module")
def address(postgres):
    """Of a database whose tables belong to nobody who could look past them: a role that may read and write."""
    made = postgres.fresh()
    PostgresStore.open(made).close()
    schema = str(conninfo_to_dict(made)["options"]).rpartition("=")[2]
    with psycopg.connect(made) as db:
        db.execute(f"CREATE ROLE tenant_{schema} LOGIN".encode())
        db.execute(f"GRANT USAGE ON SCHEMA {schema} TO tenant_{schema}".encode())
        db.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO tenant_{schema}".encode())
        db.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO tenant_{schema}".encode())
    return made.replace("postgres@", f"tenant_{schema}@")


@pytest.fixture(scope="module")
def store(address):
    """One group commit of two tenants, and something of theirs in every table."""
    made = PostgresStore.open(address, busy_timeout_s=5.0)
    groups = [[of(who, record(lone_call(f"tsk_{who}")))] for who in ("acme", "rival")]
    groups += [[of(who, started(f"t_{who}")), of(who, finished(f"t_{who}", 1))] for who in ("acme", "rival")]
    assert made.write(groups, [PRICE]) == [None] * 4
    for who in ("acme", "rival"):
        _belongings(made, who)
    yield made
    made.close()


def of(who, told):
    """The record as another tenant's."""
    event = told.event
    if isinstance(event, (Settled, Started)):
        event = structs.replace(event, caller=structs.replace(event.caller, tenant=who))
    return structs.replace(told, tenant=who, event=event)


def _belongings(made, who):
    caller = Caller(who, key_id="k")
    made.cache.put_all([Keeping(who, b"key", who.encode(), T0, T0 * 2, T0 * 2)], T0)
    made.signals.add(Signal(f"t_{who}", "s", "go", {"of": who}, T0))
    made.files.put(FileRow(f"file_{who}", who, "batch", who, 1, T0, 0))
    made.batches.create(
        BatchRow(f"batch_{who}", who, caller, "/v1/chat/completions", f"file_{who}", "24h", created_ns=T0)
    )
    made.batches.add_lines(f"batch_{who}", [Line(1, who, 0, 1, 0, 0, b"")])
    made.keys.put_key(KeyRecord(f"key_{who}", who, who, f"hash-{who}", "il-…", T0))
    made.audit.append([Deed(T0, who, "mia", "admin", "content.read", f"t_{who}", "")])
    made.texts.put(who, "contract", "c", who, T0)
    made.circuits.add([CircuitChange(T0, who, f"host:boot:{who}:1", 1, "v/m", "open", "8 failures in a row")])


def sql(address, text, tenant=None):
    with psycopg.connect(address) as db:
        if tenant is not None:
            db.execute("SELECT set_config('interlock.tenant', %s, true)", (tenant,))
        return db.execute(text.encode()).fetchall()


def tables(address):
    return {
        name: (has_tenant, forced)
        for name, has_tenant, forced in sql(
            address,
            """SELECT c.relname, EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant'),
                      c.relrowsecurity AND c.relforcerowsecurity
               FROM pg_class AS c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'""",
        )
    }


@pytest.mark.requirement("SG-05")
def test_every_table_with_a_tenant_is_under_row_level_security(store, address):
    held = {name for name, (_, forced) in tables(address).items() if forced}
    assert held == {name for name, (has_tenant, _) in tables(address).items() if has_tenant} | BY_ANOTHER
    assert len(held) > 15


@pytest.mark.requirement("SG-05")
def test_a_query_that_forgets_the_tenant_sees_nothing_and_one_that_names_it_sees_its_own(store, address):
    seen = 0
    for name, (_, forced) in tables(address).items():
        if not forced:
            continue
        count = f"SELECT count(*) FROM {name}"
        everything = sql(address, count, EVERYBODY)[0][0]
        mine, theirs = (sql(address, count, who)[0][0] for who in ("acme", "rival"))
        assert sql(address, count) == [(0,)], name
        assert (mine + theirs, mine) == (everything, theirs), name
        assert sql(address, count, "nobody") == [(0,)], name
        seen += everything > 0
    assert seen >= 12


@pytest.mark.requirement("SG-05")
def test_nobody_writes_or_changes_another_tenants_rows(store, address):
    insert = "INSERT INTO texts (tenant, kind, key, text, at_ns) VALUES ('acme', 'contract', 'x', '', 0) RETURNING key"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        sql(address, insert, "rival")
    with psycopg.connect(address) as db:
        db.execute("SELECT set_config('interlock.tenant', 'rival', true)")
        assert db.execute("UPDATE tasks SET owner = 'rival' WHERE tenant = 'acme'").rowcount == 0
        assert db.execute("DELETE FROM cache").rowcount == 1
        db.rollback()


@pytest.mark.requirement("SG-05")
def test_a_store_asked_for_one_tenant_knows_nothing_of_another_whatever_it_is_asked(store):
    def asked(tenant):
        act_for(tenant)
        return (
            {row.tenant for row in store.tasks.list(TaskFilter())},
            {row.tenant for row in store.rolls(RollFilter())},
            [store.tasks.get(task) is not None for task in ("t_acme", "t_rival", "tsk_acme", "tsk_rival")],
            [len(store.records(task)) for task in ("t_acme", "t_rival", "tsk_acme", "tsk_rival")],
            [len(store.signals.pending(task)) for task in ("t_acme", "t_rival")],
            [(found := store.cache.get(who, b"key", T0)) and found.value for who in ("acme", "rival")],
            len(store.batches.pending("batch_acme", 0, 10)),
            len(store.keys.records()),
            [len(store.circuits.since(who, 0, 10)) for who in ("acme", "rival")]
            == [tenant == "acme", tenant == "rival"],
            store.audit.head().seq,
        )

    def ask(tenant):
        return copy_context().run(asked, tenant)

    shared = (2, True, 2)  # the book of keys and the head of the chain are everybody's
    acme = ask("acme")
    assert acme == ({"acme"}, {"acme"}, [True, False] * 2, [2, 0, 1, 0], [1, 0], [b"acme", None], 1, *shared)
    assert ask("rival")[:4] == ({"rival"}, {"rival"}, [False, True] * 2, [0, 2, 0, 1])
    assert ask("rival")[6] == 0
    everybody = ask("")
    assert everybody[0] == {"acme", "rival"}
    assert everybody[3] == [2, 2, 1, 1]


@pytest.mark.requirement("SG-05")
def test_a_connection_of_the_pool_forgets_whom_it_served(store):
    def rows(tenant, fails):
        act_for(tenant)
        if fails:
            with pytest.raises(ZeroDivisionError), store._database.reading("fail"):
                raise ZeroDivisionError
            with pytest.raises(psycopg.errors.UndefinedTable), store._database.reading("fail") as db:
                db.execute("SELECT * FROM nowhere")
        return {row.tenant for row in store.tasks.list(TaskFilter())}

    with ThreadPoolExecutor(8) as pool:
        asked = [("acme", "rival", "nobody")[at % 3] for at in range(60)]
        told = list(pool.map(lambda at: copy_context().run(rows, asked[at], at % 7 == 0), range(60)))
    assert told == [{who} - {"nobody"} for who in asked]
    with store._database.reading("look") as db:
        assert db.execute("SELECT current_setting('interlock.tenant', true)").fetchone() == (acting_for(),)


def test_what_is_shared_is_read_for_everybody_and_the_tenant_comes_back():
    def inside():
        act_for("acme")
        with acting_for_everybody():
            assert acting_for() == EVERYBODY
        return acting_for()

    assert copy_context().run(inside) == "acme"
    assert acting_for() == EVERYBODY
