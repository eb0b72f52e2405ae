"""A sealed store beside a plain one: it answers as the plain one does, and no word of a tenant stands in its files, on either database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from msgspec import structs

from interlock.core.answers import Keeping, SimilarRow, SimilarState
from interlock.core.batches import BatchRow, FileRow, Line
from interlock.core.caller import Caller, Versions
from interlock.core.errors import TooLarge
from interlock.core.events import Finished, Intended, Record, Settled, Started
from interlock.core.kept import KeptResponse
from interlock.core.outbox import OutboxRow
from interlock.core.sealing import TEXTS, KeyMissing, SealBroken, why_unreadable
from interlock.core.sessions import SessionTooLarge
from interlock.core.store import Signal, Store, TaskFilter
from interlock.storage import Folder
from interlock.storage.sealing.envelope import Envelope
from interlock.storage.sealing.files import FRAME, SealedFolder
from interlock.storage.sealing.keyring import Keyring
from interlock.storage.sealing.master import LocalMaster
from interlock.storage.sealing.records import SealedStore
from interlock.storage.sealing.reseal import Reseal
from tests.stepping import Stepping

from .conftest import Opened

WORD = "canary-5e77"
NOW = 1_700_000_000_000_000_000


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys" / "keyring.json", [LocalMaster(bytes(32))], Stepping())


@pytest.fixture
def store(opened: Opened, keyring: Keyring) -> Store:
    return cast("Store", SealedStore(opened(), Envelope(keyring)))


def lone(task: str, tenant: str = "acme") -> Record:
    caller = Caller(tenant, user="ada", task=task, step=1)
    event = Settled(f"cal{task[3:]}", "model", "m", caller, "ok", NOW)
    return Record(task, 1, tenant, NOW, event, {"response": {"text": WORD}})


def task_of(task: str) -> list[Record]:
    caller = Caller("acme", user="ada", task=task, step=1)
    events: list[tuple[Any, dict[str, Any]]] = [
        (Started("flow", caller, Versions()), {"input": {"text": WORD}}),
        (Intended(3, "tool", "pay", f"{task}:3"), {"arguments": {"to": WORD}}),
        (Settled("cal_x", "tool", "pay", structs.replace(caller, step=3), "ok", NOW), {"result": WORD}),
        (Finished("resolved"), {"answer": WORD}),
    ]
    return [Record(task, seq, "acme", NOW + seq, event, said) for seq, (event, said) in enumerate(events, 1)]


def filled(store: Store) -> None:
    """A word wherever a store keeps any."""
    first, *rest = task_of("tsk_01")
    fence = store.tasks.begin(first, "w", NOW)
    store.write([[structs.replace(each, fence=fence) for each in rest], [lone("tsk_02")], [lone("tsk_03")]])
    store.signals.add(Signal("tsk_01", "s1", "decided", {"arguments": {"to": WORD}}, NOW))
    said = f'"{WORD}"'.encode()
    store.cache.put_all([Keeping("acme", key, said, NOW, NOW + 9, NOW + 9) for key in (b"k0", b"k1")], NOW)
    store.similar.put_all(
        [SimilarRow("acme", "space", "1", "scope", NOW + 9, said)], [SimilarState("acme", "scope", said)]
    )
    store.responses.put([KeptResponse("resp_1", "acme", "key", "", b"[" + said + b"]", said, said, NOW, NOW + 9)])
    store.outbox.put([OutboxRow("m1", "acme", "tsk_01", 0, "flow", "http://r", WORD, 0, NOW, NOW)])
    store.sessions.change("acme", "s", {"size": WORD, "n": 1}, now_ns=NOW, ends_ns=NOW + 9, max_bytes=100)
    store.batches.create(BatchRow("batch_1", "acme", Caller("acme"), "/v1", "file_1", "24h"))
    store.batches.add_lines("batch_1", [Line(1, "a", 0, 9)])
    store.batches.answered("batch_1", [Line(1, "a", 0, 9, status=200, reply=said)])


def read(store: Store) -> list[object]:
    """All of it."""
    return [
        *[each.content for task in ("tsk_01", "tsk_02", "tsk_03") for each in store.records(task)],
        [each.payload for each in store.signals.pending("tsk_01")],
        [store.cache.get("acme", key, NOW) for key in (b"k0", b"k1")],
        [each.value for each in store.similar.newest(NOW, 9)],
        [each.state for each in store.similar.states()],
        [(each.items, each.output, each.body) for each in store.responses.chain("acme", "key", "resp_1", NOW, 9)],
        store.sessions.read("acme", "s", NOW),
        [each.reply for each in store.batches.answers("batch_1", 0, 9)],
        [each.content for each in store.tail.read("", 99)[0]],
    ]


def every_byte(request: pytest.FixtureRequest, folder: Path) -> bytes:
    """Of the files, and of every row of a PostgreSQL."""
    found = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    if "postgres" not in request.node.name:
        return found
    address: str = request.getfixturevalue("shared_address")
    with psycopg.connect(address) as db:
        tables = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        for (table,) in tables:
            with db.cursor().copy(f'COPY "{table}" TO STDOUT'.encode()) as rows:
                found += b"".join(bytes(each) for each in rows)
            for (row,) in db.execute(f'SELECT each::text FROM "{table}" AS each'.encode()).fetchall():
                found += row.encode()
    return found


@pytest.mark.requirement("SG-08")
def test_a_sealed_store_answers_as_a_plain_one_and_keeps_no_word(
    store: Store, tmp_path: Path, request: pytest.FixtureRequest
):
    filled(store)
    everything = read(store)
    bytes_then = every_byte(request, tmp_path)
    assert repr(everything).count(WORD) == 22
    assert WORD.encode() not in bytes_then
    assert WORD.encode().hex().encode() not in bytes_then, "nor as PostgreSQL shows bytes"
    assert b"tsk_01" in bytes_then, "it was looked at"
    assert [each.body for each in store.outbox.take(NOW, NOW + 1, limit=9)] == [WORD]
    with pytest.raises(SessionTooLarge):
        store.sessions.change("acme", "s", {"much": "x" * 100}, now_ns=NOW, ends_ns=NOW + 9, max_bytes=100)


@pytest.mark.requirement("SG-08")
def test_once_a_tenants_keys_are_destroyed_nothing_of_it_is_read_and_everything_of_others_is(
    store: Store, keyring: Keyring
):
    filled(store)
    store.write([[lone("tsk_04", "rival")]])
    assert keyring.destroy("acme", TEXTS) == 3
    assert repr([each.content for each in store.records("tsk_04")]).count(WORD) == 1
    contents = [each.content for task in ("tsk_01", "tsk_02") for each in store.records(task)]
    assert all("destroyed" in why_unreadable(each) for each in contents)
    assert [store.cache.get("acme", key, NOW) for key in (b"k0", b"k1")] == [None, None]
    assert (store.similar.newest(NOW, 9), store.similar.states()) == ([], [])
    assert store.sessions.read("acme", "s", NOW) == {}
    assert (store.outbox.take(NOW, NOW + 1, limit=9), store.outbox.waiting()) == ([], 0), (
        "what cannot be told is given up"
    )
    assert store.responses.chain("acme", "key", "resp_1", NOW, 9) == []
    assert store.responses.get("acme", "key", "resp_1", NOW) is None
    assert {row.tenant for row in store.tasks.list(TaskFilter())} == {"acme", "rival"}, "rows and sums stay"


@pytest.mark.requirement("SG-08")
def test_content_is_redacted_under_its_seal_and_deleted_with_it(
    store: Store, tmp_path: Path, request: pytest.FixtureRequest
):
    filled(store)
    assert store.scrub("tsk_01", "redacted", lambda text: text.replace(WORD, "[gone]")) == 4
    assert store.scrub("tsk_02", "redacted", lambda text: text.replace(WORD, "[gone]")) == 1
    assert repr([each.content for each in store.records("tsk_01")]).count("[gone]") == 4
    assert b"[gone]" not in every_byte(request, tmp_path)
    assert store.scrub("tsk_03", "none", str) == 1
    assert [each.content for each in store.records("tsk_03")] == [None]


def test_a_row_that_was_changed_or_moved_is_told_from_one_that_was_not(opened: Opened, keyring: Keyring):
    plain = opened()
    store = cast("Store", SealedStore(plain, Envelope(keyring)))
    store.write([[lone("tsk_02")], [lone("tsk_03")]])
    (two,), (three,) = plain.records("tsk_02"), plain.records("tsk_03")
    moved = SealedStore(plain, Envelope(keyring)).opened(structs.replace(two, content=three.content))
    assert "another place" in why_unreadable(moved.content)
    assert why_unreadable(store.records("tsk_03")[0].content) == ""


def test_what_a_late_worker_spent_is_readable_where_it_is_kept(store: Store):
    first, *rest = task_of("tsk_01")
    store.tasks.begin(first, "w", NOW)
    call = structs.replace(rest[1], fence=99)
    assert store.write([[call]])[0] is not None
    assert [each.content for each in store.records("tsk_01!cal_x")] == [{"result": WORD}]


@pytest.mark.requirement("SG-08")
def test_what_stands_beside_a_task_is_forgotten_with_it(store: Store):
    filled(store)
    store.sessions.change("acme", "s2", {"n": 1}, now_ns=NOW, ends_ns=NOW + 9, max_bytes=100)
    assert store.signals.forget(["tsk_01"]) == 0, "what is not dealt with is needed"
    store.signals.consume("tsk_01", ["s1"])
    assert (store.signals.forget(["tsk_01"]), store.signals.forget(["tsk_01"])) == (1, 0)
    assert (store.outbox.forget(["tsk_02"]), store.outbox.forget(["tsk_01", "tsk_02"])) == (0, 1)
    assert (store.responses.forget("rival", "*"), store.responses.forget("acme", "*")) == (0, 1)
    assert store.sessions.forget_all("rival", "") == 0
    assert (store.sessions.forget_all("acme", "s2"), store.sessions.forget_all("acme", "")) == (1, 1)


def test_texts_of_before_stay_readable(opened: Opened, keyring: Keyring):
    plain = opened()
    filled(plain)
    store = cast("Store", SealedStore(plain, Envelope(keyring)))
    assert repr([each.content for each in store.records("tsk_01")]).count(WORD) == 4
    assert store.responses.get("acme", "key", "resp_1", NOW) is not None
    assert store.sessions.read("acme", "s", NOW)["size"] == WORD


@pytest.mark.requirement("SG-08")
def test_a_log_of_before_is_sealed_where_it_stands_and_once(opened: Opened, keyring: Keyring):
    plain, envelope = opened(), Envelope(keyring)
    filled(plain)
    reseal, rows = Reseal(plain, envelope), plain.tasks.list(TaskFilter())
    assert reseal.tasks(rows) == 6
    assert WORD not in repr([plain.records(row.id) for row in rows])
    store = cast("Store", SealedStore(plain, envelope))
    assert repr([each.content for row in rows for each in store.records(row.id)]).count(WORD) == 6
    assert reseal.tasks(rows) == 0
    keyring.rotate("acme", "users")
    assert reseal.tasks(rows) == 6, "what a rotated key sealed is sealed with the new one"
    keyring.forget("acme", ["ada"])
    assert reseal.tasks(rows) == 0, "what nobody can open stays"


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 7])
def test_files_are_read_from_anywhere_and_no_frame_can_be_cut_off(tmp_path: Path, keyring: Keyring, size: int):
    folder, row = Folder(tmp_path / "files"), FileRow("file_1", "acme", "batch", "n", 0, 1)
    sealed = SealedFolder(folder, Envelope(keyring))
    data = (b'{"line": "words"}\n' * (size // 18 + 1))[:size]

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, size, 50_001):
            yield data[at : at + 50_001]

    assert asyncio.run(sealed.write(row, pieces())) == size
    assert (b"".join(sealed.pieces(row)), sealed.path(row)) == (data, None)
    folder.write_now(structs.replace(row, id="plain"), iter([data]))
    for at in (0, 18, min(size, FRAME - FRAME % 18)):
        assert list(sealed.lines(row, at)) == list(folder.lines(structs.replace(row, id="plain"), at))
        assert sealed.read(row, at, 30) == data[at : at + 30]
    path = Path(folder.path(row))
    assert b"words" not in path.read_bytes()
    if size > FRAME:
        path.write_bytes(path.read_bytes()[: -(size % FRAME + 49)])
        with pytest.raises(SealBroken):
            b"".join(sealed.pieces(row))


def test_a_line_without_end_is_refused_and_a_file_of_before_is_read(tmp_path: Path, keyring: Keyring):
    folder, row = Folder(tmp_path / "files"), FileRow("file_1", "acme", "batch", "n", 0, 1)
    sealed = SealedFolder(folder, Envelope(keyring))
    folder.write_now(row, iter([b"{}\n"]))
    assert (list(sealed.lines(row)), sealed.path(row)) == ([(0, b"{}")], folder.path(row))
    sealed.write_now(row, iter([b"x" * (1 << 20)] * 33))
    with pytest.raises(TooLarge):
        list(sealed.lines(row))


def test_without_the_master_key_nothing_is_written_in_the_clear(opened: Opened, tmp_path: Path):
    store = cast("Store", SealedStore(opened(), Envelope(Keyring(tmp_path / "none.json", (), Stepping()))))
    with pytest.raises(KeyMissing):
        store.write([[lone("tsk_02")]])
    assert store.records("tsk_02") == []


PASSED_ON = {
    "Store": {
        "audit",
        "changes",
        "circuits",
        "close",
        "files",
        "keys",
        "lease_clock",
        "meters",
        "price",
        "retention",
        "rewrite",  # as it stands, sealed: sealing anew works on what stands there
        "rolls",
        "settle",
        "totals",
        "waker",
        "wire",  # live words between processes of one tenant, which no row holds
    },
    "TaskStore": {
        "claim",
        "find",
        "get",
        "list",
        "of_batch",
        "outcomes",
        "release",
        "renew",
        "runnable",
        "take",
        "unfinished",
    },
    "BatchStore": {"cancel", "counts", "drop_lines", "list", "pending", "release", "renew", "save"},
    "Tail": {"behind", "end", "keep", "kept"},
}
"""Methods of the seams that carry nobody's words, and therefore need no seal. A new method belongs here, or into a wrapper."""


def test_every_method_that_carries_words_has_a_wrapper():
    from interlock.core import batches, store, tail
    from interlock.storage.sealing import beside, records, tasks

    seams = {"Store": (store, records.SealedStore), "TaskStore": (store, tasks.SealedTasks)}
    seams |= {"BatchStore": (batches, beside.SealedBatches), "Tail": (tail, tasks.SealedTail)}
    for name, (room, wrapper) in seams.items():
        asked = {each for each in vars(getattr(room, name)) if not each.startswith("_")}
        made = {each for each in vars(wrapper) if not each.startswith("_")}
        if name == "Store":
            made |= {
                "tasks",
                "signals",
                "cache",
                "responses",
                "batches",
                "similar",
                "outbox",
                "sessions",
                "tail",
                "texts",
            }
        assert asked - made - PASSED_ON[name] == set(), name
