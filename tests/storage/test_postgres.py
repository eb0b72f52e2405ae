"""What only PostgreSQL can get wrong: its server, its connections, its schema, and writers side by side."""

import re
import threading
from importlib.resources import files

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from interlock.core.errors import StoreUnavailable
from interlock.core.events import ApprovalAsked, Record
from interlock.core.store import RollFilter, Signal, TaskFilter
from interlock.storage.postgres import PostgresStore
from interlock.storage.postgres.database import Database
from interlock.storage.statements import statements
from tests.ledger.kit import PRICE, T0, call, finished, record, started
from tests.postgres import Postgres
from tests.servers import postgres_programs
from tests.storage.test_lone import call as lone_call

S = 1_000_000_000


@pytest.fixture
def address(postgres):
    return postgres.fresh()


@pytest.fixture
def store(address):
    made = PostgresStore.open(address, busy_timeout_s=5.0)
    yield made
    made.close()


def test_every_statement_says_what_it_does_and_is_valid(store, address):
    folder = files("interlock.storage") / "postgres" / "sql"
    for entry in folder.iterdir():
        noun = entry.name.removesuffix(".sql")
        blocks = entry.read_text(encoding="utf-8").split("-- name: ")[1:]
        assert len(blocks) == len(statements(noun, "postgres"))
        for block in blocks:
            name, description, *_ = block.splitlines()
            assert re.fullmatch(r"-- [A-Z].*[.:;]? ?.*", description), f"{noun}.{name}"
            text = statements(noun, "postgres")[name.strip()]
            assert len(text) <= 4096, f"{noun}.{name}: the driver takes a longer one apart anew each time"
            names = set(re.findall(r"%\((\w+)\)s", text))
            values = dict.fromkeys(names) if names else [None] * (text.count("%s") + text.count("%b"))
            with store._database.transaction("explain") as db:
                db.execute(text if text.startswith("LOCK") else f"EXPLAIN {text}", values)


def test_a_schema_of_a_newer_version_is_refused_and_left_alone(store, address):
    with psycopg.connect(address) as db:
        db.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(StoreUnavailable, match=r"schema 99, written by a newer Interlock.*Upgrade"):
        PostgresStore.open(address)


def test_a_user_that_may_only_read_and_write_can_use_what_the_owner_made(store, address, postgres):
    schema = str(conninfo_to_dict(address)["options"]).rpartition("=")[2]
    with psycopg.connect(address) as db:
        db.execute(f"CREATE ROLE clerk_{schema} LOGIN".encode())
        db.execute(f"GRANT USAGE ON SCHEMA {schema} TO clerk_{schema}".encode())
        db.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO clerk_{schema}".encode())
        db.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO clerk_{schema}".encode())
    clerk = PostgresStore.open(address.replace("postgres@", f"clerk_{schema}@"))
    assert clerk.write([[record(lone_call("tsk_1"))], [started("t2")]], [PRICE]) == [None, None]
    assert len(clerk.tail.read("", 10)[0]) == 2
    clerk.close()


def test_many_processes_may_make_the_schema_at_the_same_moment(address):
    failed: list[BaseException] = []

    def make():
        try:
            PostgresStore.open(address).close()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_an_address_that_nobody_answers_at_is_an_error_without_its_password(tmp_path):
    with pytest.raises(StoreUnavailable, match="See that the server runs") as found:
        PostgresStore.open(f"postgresql://ada:s3cret-word@/shop?host={tmp_path}")
    assert "s3cret-word" not in str(found.value)
    with pytest.raises(StoreUnavailable, match="Write it like postgresql://"):
        PostgresStore.open("postgresql://[")


@pytest.mark.requirement("OP-06")
def test_a_server_that_was_away_is_used_again_when_it_is_back():
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as server:
        store = PostgresStore.open(server.fresh())
        assert store.write([[record(call("t1"))]]) == [None]
        server.stop()
        with pytest.raises(StoreUnavailable, match="nothing is lost"):
            store.write([[record(call("t2"))]])
        with pytest.raises(StoreUnavailable, match="nothing is lost"):
            store.tasks.list(TaskFilter())
        server.start()
        assert store.write([[record(call("t2"))]]) == [None]
        assert [row.id for row in store.tasks.list(TaskFilter())] == ["t2", "t1"]
        store.close()


def test_a_writer_that_stands_still_in_the_middle_holds_up_the_others_only_for_a_bounded_time(store, address):
    store.write([[started("t1")]])
    frozen = psycopg.connect(address)
    frozen.execute("SET idle_in_transaction_session_timeout = 300")
    frozen.execute("SELECT 1 FROM tasks WHERE id = 't1' FOR UPDATE")
    assert store.write([[finished("t1", 1)]]) == [None]
    with pytest.raises(psycopg.Error):
        frozen.execute("UPDATE tasks SET owner = 'ghost'")
    frozen.close()


def test_the_bounds_of_waiting_are_set_at_the_server_too(address):
    database = Database(f"{address}%20-c%20work_mem%3D5MB", busy_timeout_s=1.5)
    with database.connect("read") as db:
        asked = ("lock_timeout", "idle_in_transaction_session_timeout", "default_transaction_read_only", "work_mem")
        found = [db.execute(f"SHOW {name}".encode()).fetchone() for name in asked]
    assert found == [("1500ms",), ("5s",), ("on",), ("5MB",)]
    database.close()


@pytest.mark.requirement("OP-04")
def test_many_processes_may_write_the_same_tasks_and_hours(address):
    stores = [PostgresStore.open(address, busy_timeout_s=20.0) for _ in range(4)]
    stores[0].write([[started(f"t{n}")] for n in range(5)])
    failed: list[BaseException] = []

    def work(number, store):
        try:
            for n in range(15):
                seq = 1 + number * 15 + n
                groups = [[record(call(f"t{(number + each) % 5}", seq))] for each in range(5)]
                store.write([*groups, [record(lone_call(f"tsk_{number}-{n}"))]], [PRICE])
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=work, args=each) for each in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    (row,) = stores[0].rolls(RollFilter(role="call"))
    assert row.n == sum(row.latency.values()) == 4 * 15 * 6
    totals = stores[0].totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
    assert totals.events_nano_usd == 4 * 15 * 6 * call("t").cost_nano_usd == sum(row.lines_nano_usd.values())
    third = stores[0].tasks.get("t3")
    assert third is not None
    assert third.events == 1 + 4 * 15
    for each in stores:
        each.close()


def test_whoever_follows_the_ledger_passes_over_nothing_that_is_committed_late(store, address):
    with psycopg.connect(address) as late:
        late.execute(
            "INSERT INTO events (task, seq, at_ns, tenant, type, event) VALUES ('late', 0, 1, 'acme', 'noted', %s)",
            ('{"type": "noted", "name": "x"}',),
        )
        store.write([[started("t1")], [record(lone_call("tsk_2"))]])
        assert store.tail.read("", 10) == ([], "")
        end = store.tail.end()
        assert store.tail.behind(end) == 2
    found, place = store.tail.read("", 2)
    assert found[0].task == "late", "its transaction began first"
    rest, place = store.tail.read(place, 10)
    assert {each.task for each in [*found, *rest]} == {"late", "t1", "tsk_2"}
    assert store.tail.read(place, 10) == ([], place)
    assert store.tail.behind(place) == 0
    assert {each.task for each in store.tail.read(end, 10)[0]} == {"late", "t1", "tsk_2"}


def test_in_another_database_system_an_era_begins_and_nothing_is_passed_over(store, address):
    store.write([[started("t1")], [record(lone_call("tsk_2"))]])
    found, _ = store.tail.read("", 10)
    assert len(found) == 2
    with psycopg.connect(address) as db:  # as a dump that comes from a system with many more transactions behind it
        db.execute("UPDATE eras SET system = 'elsewhere'")
        db.execute("UPDATE events SET xid = '4000000000'")
        db.execute("UPDATE calls SET xid = '4000000001'")
    restored = PostgresStore.open(address)
    restored.write([[started("t3")]])
    assert [each.task for each in restored.tail.read("1:4000000001:9999", 10)[0]] == ["t3"]
    assert {each.task for each in restored.tail.read("", 10)[0]} == {"t1", "tsk_2", "t3"}
    restored.close()


def test_texts_that_the_database_cannot_hold_are_written_with_a_sign_in_their_place(store):
    odd = lone_call("tsk_1", message="a\0b")
    assert store.write([[record(odd, content={"text": "c\0d"})]]) == [None]
    assert store.tasks.get("tsk_1").message == "a\0b"
    assert store.records("tsk_1")[0].content == {"text": "c\0d"}
    store.write([[started("t2")], [finished("t2", 1, message="a\0b")]])
    assert store.tasks.get("t2").message == "a\ufffdb"


@pytest.mark.requirement("OP-04")
def test_whoever_listens_hears_at_once_that_a_task_is_due(store, address):
    other = PostgresStore.open(address)
    waker = other.waker()
    assert waker.wait(5.0), "what came before it listened, it has to look for"
    assert not waker.wait(0.01)
    store.tasks.begin(started("t1"), "a", T0 + S)
    store.tasks.release("t1", 1, wake_at_ns=0)
    assert waker.wait(5.0)
    asked = ApprovalAsked(2, "refund", "h", "always", T0 + 3600 * S)
    store.write([[Record("t1", 1, "acme", T0, asked)]])
    store.tasks.release("t1", 1)
    assert not waker.wait(0.05), "what waits for a person is no news"
    store.signals.add(Signal("t1", "s1", "approval", {}, T0))
    store.signals.add(Signal("t1", "s1", "approval", {}, T0))
    assert waker.wait(5.0)
    assert not waker.wait(0.05)
    waker.close()
    other.close()


def test_what_is_written_anew_is_not_changed_by_others_meanwhile(store, address):
    content = {"response": {"text": "my address is Elm Street 4"}}
    store.write([[started("t1"), record(call("t1"), content=content), finished("t1", 2)]])
    other = PostgresStore.open(address, busy_timeout_s=0.2)

    def change(_record, said):
        with pytest.raises(StoreUnavailable, match="scrub task t1"):  # it would be undone by what is written next
            other.scrub("t1", "none", str)
        return said.replace(b"Elm", b"elm")

    assert store.rewrite(["t1"], change) == 1
    other.scrub("t1", "none", str)
    assert [each.content for each in store.records("t1")] == [None, None, None]
    other.close()
