"""Erasing a user reaches copies of the store that were made before: nothing of theirs opens in an old backup, everything of others does, and what is put back is erased anew."""

from __future__ import annotations

import json
from asyncio import run
from pathlib import Path
from typing import cast

import pytest

from interlock.app import Interlock
from interlock.app.erasures import Erasures
from interlock.app.sealing import envelope_of
from interlock.app.stores import open_plain, open_store
from interlock.app.views import View, Views
from interlock.app.waiting import FOLDER
from interlock.cli.main import main
from interlock.config.load import load
from interlock.core.answers import Keeping, SimilarRow
from interlock.core.batches import BatchRow, FileRow, Line
from interlock.core.caller import Caller
from interlock.core.kept import KeptResponse
from interlock.core.outbox import OutboxRow
from interlock.core.sessions import prefix_of
from interlock.core.store import Signal, Store, TaskFilter
from interlock.core.time import SystemClock
from interlock.storage import Folder, SqliteStore
from interlock.storage.sealing.envelope import Envelope
from interlock.storage.sealing.files import SealedFolder
from interlock.storage.sealing.records import SealedStore
from interlock.testing.upstream import Answer, Upstream, in_turn
from tests.postgres import Postgres
from tests.servers import postgres_programs
from tests.storage.redis_kit import Server
from tests.words import places_of

from .test_encryption import decided, filled, turns, write

WORD, OTHERS = "canary-1f0d-ada", "canary-42aa-bob"
USERS = (("ada", WORD), ("bob", OTHERS))
ENDS = 1 << 61
FAR = 1 << 60
"""Later than anything is made here."""


async def asked(root: Path, *, plain: bool = False) -> None:
    """A lone call and a task that waits for leave, of each of two users of one tenant, then decided."""
    answers = [each for _, word in USERS for each in (Answer(text=word), *turns(word))]
    async with Upstream(in_turn(*answers)) as upstream:
        write(root, upstream.base_url)
        if plain:
            _in_the_clear(root)
        async with Interlock.from_file(root) as il:
            for user, word in USERS:
                caller = Caller("acme", user=user, key_id="key_shared")
                await il.chat("gpt-4o-mini", f"Who is {word}?", caller=caller)
                result = await il.agents.run("helper", {"text": f"Pay {word}."}, caller=caller)
                question = (await il.questions(result.task))[0]
                await il.decide(result.task, question.step, "approve", "mia")
                await il.resume(result.task)
                said = json.dumps({"text": word}).encode()
                await il.kept_responses.keep(caller, f"resp_{user}", "", [said], b"[" + said + b"]", said)


def _in_the_clear(root: Path) -> None:
    path = root / "interlock.yaml"
    lines = [each for each in path.read_text().splitlines() if not each.startswith("encryption:")]
    path.write_text("\n".join(lines).replace("encrypted", "full"))
    contract = root / "agents" / "helper.yaml"
    contract.write_text(contract.read_text().replace("encrypted", "full"))


def beside(root: Path) -> None:
    """A word of each user wherever else a store keeps any."""
    workspace = load(root)
    store = open_store(workspace)
    folder, envelope = Folder(workspace.store.parent / FOLDER), envelope_of(workspace)
    files = folder if envelope is None else SealedFolder(folder, envelope)
    for user, word in USERS:
        task = store.tasks.list(TaskFilter(user=user, kind="task"))[0].id
        said = json.dumps(word).encode()
        store.sessions.change("acme", f"{prefix_of(user)}s", {"said": word}, now_ns=1, ends_ns=ENDS, max_bytes=999)
        store.outbox.put([OutboxRow(f"m-{user}", "acme", task, 0, "", "http://r", word, 0, 1, FAR)])
        store.signals.add(Signal(task, f"s-{user}", "told", {"note": word}))
        store.cache.put_all([Keeping("acme", f"k-{user}".encode(), said, 1, ENDS, ENDS)], 1)
        store.similar.put_all([SimilarRow("acme", "space", user, "scope", ENDS, said)], [])
        row = FileRow(f"file_{user}", "acme", "batch", "n", 0, 1, 0, user)
        files.write_now(row, iter([said]))
        store.files.put(row)
        batch = BatchRow(f"batch_{user}", "acme", Caller("acme", user=user), "/v1", row.id, "24h", status="completed")
        store.batches.create(batch)
        store.batches.add_lines(batch.id, [Line(1, "a", 0, 9)])
        store.batches.answered(batch.id, [Line(1, "a", 0, 9, status=200, reply=said)])
        Views(store.texts, SystemClock()).keep("acme", user, View(word, {"user": user}))
    Views(store.texts, SystemClock()).keep("acme", "eve", View("hers", {"user": "ada"}))
    Views(store.texts, SystemClock()).keep("acme", "eve", View("all", {"status": "finished"}))
    store.close()


def read(root: Path, file: Path | None = None) -> dict[str, str]:
    """By place, all that somebody with the keys can read in a store (`file`: in a copy of one)."""
    workspace = load(root)
    store = open_store(workspace) if file is None else _copy(root, file)
    found = {
        "contents": [each.content for row in store.tasks.list(TaskFilter()) for each in store.records(row.id)],
        "signals": [each.payload for row in store.tasks.list(TaskFilter()) for each in store.signals.pending(row.id)],
        "turns": [_turn(store.responses.get("acme", "key_shared", f"resp_{user}", 1)) for user, _ in USERS],
        "sessions": [store.sessions.read("acme", f"{prefix_of(user)}s", 1) for user, _ in USERS],
        "cache": [store.cache.get("acme", f"k-{user}".encode(), 1) for user, _ in USERS],
        "similar": [each.value for each in store.similar.newest(1, 99)],
        "views": [Views(store.texts, SystemClock()).of("acme", who) for who in ("ada", "bob", "eve")],
        "messages": [each.body for each in store.outbox.take(FAR, FAR, limit=99)],
    }
    store.close()
    return {place: repr(said) for place, said in found.items()}


def _turn(row: KeptResponse | None) -> object:
    return None if row is None else (row.items, row.output, row.body)


def _copy(root: Path, file: Path) -> Store:
    envelope, plain = envelope_of(load(root)), SqliteStore.open(file)
    return cast("Store", plain if envelope is None else SealedStore(plain, envelope))


def where(word: str, found: dict[str, str]) -> list[str]:
    return [place for place, said in found.items() if word in said]


EVERYWHERE = ["contents", "signals", "turns", "sessions", "cache", "similar", "views", "messages"]
SHARED = ["cache", "similar"]
"""Answers of the whole tenant go with any of its users."""


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(list(arguments))
    out = capsys.readouterr()
    return code, out.out + out.err


@pytest.mark.requirement("SG-08")
def test_nothing_of_an_erased_user_opens_in_an_old_backup_and_everything_of_others_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    root, copies = tmp_path / "workspace", tmp_path / "copies"
    root.mkdir()
    copies.mkdir()
    run(asked(root))
    beside(root)
    w = ("-w", str(root))
    assert [told(capsys, "backup", str(copies / f"{n}.db"), *w)[0] for n in range(2)] == [0, 0]
    folder = Folder(root / ".interlock" / FOLDER)
    rows = {user: FileRow(f"file_{user}", "acme", "batch", "n", 0, 1) for user, _ in USERS}
    copied = {user: Path(folder.path(row)).read_bytes() for user, row in rows.items()}
    before = read(root, copies / "0.db")
    assert where(WORD, before) == EVERYWHERE == where(OTHERS, before), "the copy was made in time"

    code, said = told(capsys, "erase", "ada", "--yes", "--json", *w)
    erased = json.loads(said)
    assert (code, erased["keys"], erased["open"], erased["left"]) == (0, 1, [], [])
    assert (erased["tasks"], erased["conversations"], erased["views"], erased["messages"]) == (2, 1, 2, 5)
    assert "copies of the keyring" in erased["beside"][0]
    live = read(root)
    assert (where(WORD, live), where(OTHERS, live)) == ([], [each for each in EVERYWHERE if each not in SHARED])
    assert "hers" not in live["views"]
    assert "all" in live["views"]

    old = read(root, copies / "1.db")
    assert where(WORD, old) == [], "nobody who holds the copy and every key can read it"
    assert "was destroyed" in old["contents"]
    assert where(OTHERS, old) == [each for each in EVERYWHERE if each not in SHARED]
    _files_are_shut(root, copied)
    assert places_of(WORD, tmp_path) == []

    code, said = told(capsys, "restore", str(copies / "1.db"), *w)
    assert (code, "ada of acme" in said, "content of 0 records deleted" in said) == (0, True, False)
    put_back = read(root)
    assert (where(WORD, put_back), "was destroyed" in put_back["contents"]) == ([], False), "rows are emptied anew"
    assert where(OTHERS, put_back) == [each for each in EVERYWHERE if each not in SHARED]
    assert "of acme, again" in told(capsys, "audit", *w)[1]
    assert told(capsys, "erase", "--again", *w)[1].startswith("nothing was erased")


def _files_are_shut(root: Path, sealed: dict[str, bytes]) -> None:
    """A copy of the folder of files."""
    envelope = envelope_of(load(root))
    assert envelope is not None
    found = {user: envelope.known(f"file/file_{user}/0/last", data) for user, data in sealed.items()}
    assert found == {"ada": None, "bob": json.dumps(OTHERS).encode()}


@pytest.mark.requirement("SG-08")
def test_without_encryption_what_is_put_back_is_erased_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root, copies = tmp_path / "workspace", tmp_path / "copies"
    root.mkdir()
    copies.mkdir()
    run(asked(root, plain=True))
    beside(root)
    w = ("-w", str(root))
    assert told(capsys, "backup", str(copies / "0.db"), *w)[0] == 0
    assert told(capsys, "erase", "ada", "--yes", *w)[0] == 0
    assert places_of(WORD, root) == []
    assert where(WORD, read(root, copies / "0.db")) == EVERYWHERE, "nothing seals it there"
    assert told(capsys, "restore", str(copies / "0.db"), *w)[0] == 0
    for aside in root.rglob("*.before-restore-1*"):
        aside.unlink()
    assert where(WORD, read(root)) == []
    assert places_of(WORD, root) == []
    assert where(OTHERS, read(root)) == [each for each in EVERYWHERE if each not in SHARED]


@pytest.mark.requirement("SG-08")
def test_a_user_with_a_task_that_is_not_over_keeps_the_key_until_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    task = run(_waiting(tmp_path))
    w = ("-w", str(tmp_path))
    code, said = told(capsys, "erase", "ada", "--yes", "--json", *w)
    assert (code, json.loads(said)["keys"], json.loads(said)["open"]) == (1, 0, [task])
    assert "1 of" in told(capsys, "doctor", "--storage", *w)[1]
    assert where(WORD, read(tmp_path)) == ["contents"], "it can be gone on with"
    assert "cancelled" in told(capsys, "task", task, "--cancel", *w)[1]
    code, said = told(capsys, "erase", "--again", "--json", *w)
    assert (code, json.loads(said)[0]["keys"]) == (0, 1)
    assert where(WORD, read(tmp_path)) == []
    assert told(capsys, "doctor", "--storage", *w)[0] == 0
    workspace = load(tmp_path)
    store = open_store(workspace)
    assert Erasures(workspace, SystemClock()).pending(store.texts) == []
    store.close()


async def _waiting(root: Path) -> str:
    async with Upstream(in_turn(*turns(WORD)[:2])) as upstream:
        write(root, upstream.base_url)
        async with Interlock.from_file(root) as il:
            return (await il.agents.run("helper", {"text": WORD}, caller=Caller("acme", user="ada"))).task


@pytest.mark.requirement("SG-08")
def test_texts_from_before_there_was_encryption_are_sealed_portion_by_portion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run(asked(tmp_path, plain=True))
    beside(tmp_path)
    store = SqliteStore.open(tmp_path / ".interlock" / "interlock.db")
    (tmp_path / "archive").mkdir()
    begun = min(row.created_ns for row in store.tasks.list(TaskFilter(user="bob", kind="task")))
    left = store.retention.roll_off(begun, tmp_path / "archive", 1)
    store.close()
    assert left is not None, "some of it has left for a Parquet file"
    write(tmp_path, "http://127.0.0.1:9")
    w = ("-w", str(tmp_path))
    before, totals = read(tmp_path), _totals(tmp_path)
    assert "contents" in where(OTHERS, before)
    assert any(place.endswith(".parquet") for place in places_of(WORD, tmp_path))
    store = open_store(load(tmp_path))
    tasks = len(store.tasks.list(TaskFilter()))
    store.close()
    portions = [told(capsys, "vault", "seal", "--limit", "1", "--json", *w) for _ in range(tasks)]
    assert [code for code, _ in portions] == [1] * (tasks - 1) + [0], "more is left until nothing is"
    assert [json.loads(said)["done"] for _, said in portions] == [False] * (tasks - 1) + [True]
    last = json.loads(portions[-1][1])
    assert (last["files"], last["archived"] > 3) == (2, True)
    after = read(tmp_path)
    assert after["contents"] == before["contents"]
    assert _totals(tmp_path) == totals
    places = [place for word in (WORD, OTHERS) for place in places_of(word, tmp_path)]
    assert {place.rpartition(":")[2] for place in places} <= SHORT_LIVED | {f".interlock/{each}" for each in FILES}
    code, said = told(capsys, "vault", "seal", "--json", *w)
    assert (code, json.loads(said)["records"], json.loads(said)["archived"]) == (0, 0, 0), "there is nothing left to do"
    assert "vault.sealed" in told(capsys, "audit", *w)[1]
    assert told(capsys, "erase", "ada", "--yes", *w)[0] == 0
    assert (where(WORD, read(tmp_path)), "contents" in where(OTHERS, read(tmp_path))) == ([], True)


SHORT_LIVED = {"signals", "responses", "sessions", "outbox", "batch_lines", "texts"}
"""What ends by itself within days is left to do so."""
FILES = ("interlock.db", "interlock.db-wal")


def _totals(root: Path) -> object:
    store = open_store(load(root))
    try:
        return store.totals()
    finally:
        store.close()


@pytest.mark.requirement("SG-08")
def test_what_was_sealed_for_the_tenant_before_users_had_keys_opens_and_is_sealed_anew_for_its_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    seal = Envelope.seal
    with monkeypatch.context() as before:
        before.setattr(Envelope, "seal", lambda self, tenant, place, data, **_: seal(self, tenant, place, data))
        run(asked(tmp_path))
        beside(tmp_path)
    w, copy = ("-w", str(tmp_path)), tmp_path / "copy.db"
    assert where(WORD, read(tmp_path)) == EVERYWHERE
    kinds = {each["kind"] for each in json.loads((tmp_path / ".interlock" / "keyring.json").read_text())}
    assert kinds == {"content"}, "as it was"
    assert told(capsys, "vault", "seal", *w)[0] == 0
    assert told(capsys, "backup", str(copy), *w)[0] == 0
    assert told(capsys, "erase", "ada", "--yes", *w)[0] == 0
    old = read(tmp_path, copy)
    assert ("contents" in where(WORD, old), "contents" in where(OTHERS, old)) == (False, True)


@pytest.mark.requirement("SG-08")
def test_what_replicas_share_in_redis_goes_with_the_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = tmp_path / "workspace"
    root.mkdir()
    redis = Server(tmp_path)
    redis.start()
    try:
        run(_shared(root, redis))
        assert _in_redis(redis) == {WORD, OTHERS}
        code, said = told(capsys, "erase", "ada", "--yes", "--json", "-w", str(root))
        assert (code, json.loads(said)["answers"] >= 2, json.loads(said)["sessions"]) == (0, True, 0)
        assert _in_redis(redis) == {OTHERS}, "the session of another; answers of the tenant went with the user"
    finally:
        redis.kill()


async def _shared(root: Path, redis: Server) -> None:
    """A cached answer and a session in Redis, in the clear, of each user."""
    async with Upstream(in_turn(*(Answer(text=word) for _, word in USERS))) as upstream:
        write(root, upstream.base_url)
        _in_the_clear(root)
        path = root / "interlock.yaml"
        text = path.read_text().replace("{enabled: true}", "{enabled: true, backend: redis}")
        path.write_text(f"{text}\nredis: {{url: '{redis.url.reveal()}'}}\nsessions: {{backend: redis}}\n")
        async with Interlock.from_file(root) as il:
            for user, word in USERS:
                caller = Caller("acme", user=user)
                await il.chat("gpt-4o-mini", f"Who is {word}?", caller=caller)
                await il.sessions.change(caller, "s", {"said": word})


def _in_redis(redis: Server) -> set[str]:
    client, said = redis.client(), b""
    for key in client.scan_iter():
        said += client.dump(key) or b""
    return {word for _, word in USERS if word.encode() in said}


@pytest.mark.requirement("SG-08")
def test_rows_that_were_copied_out_of_postgres_open_no_more_once_their_user_is_erased(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as server:
        address = server.fresh()
        run(decided(tmp_path, run(filled(tmp_path, address)), "canary", address))
        workspace = load(tmp_path)
        plain = open_plain(workspace)
        copied = {row.user: plain.records(row.id) for row in plain.tasks.list(TaskFilter()) if row.user}

        def opened(user: str) -> str:
            envelope = envelope_of(
                workspace
            )  # a fresh one: another process's erasure is heard within a fifth of a second
            assert envelope is not None
            return repr([SealedStore(plain, envelope).opened(each).content for each in copied[user]])

        assert ["canary" in opened(user) for user in ("ada", "bob")] == [True, True]
        assert told(capsys, "erase", "ada", "--yes", "-w", str(tmp_path))[0] == 0
        assert ["canary" in opened(user) for user in ("ada", "bob")] == [False, True]
        assert "was destroyed" in opened("ada")
        theirs = [each for row in plain.tasks.list(TaskFilter(user="ada")) for each in plain.records(row.id)]
        assert {each.content is None for each in theirs} == {True}, "and where they stand they are gone"
        plain.close()
