"""`interlock erase`: what a user said and was told is gone from the file itself, and what is left is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interlock.app import Interlock
from interlock.app.cells import _of
from interlock.app.sessions import prefix_of
from interlock.cli.main import main
from interlock.core.batches import BatchRow, FileRow
from interlock.core.caller import Caller
from interlock.core.kept import KeptResponse
from interlock.core.keys import KeyRecord
from interlock.core.outbox import OutboxRow
from interlock.core.store import Signal, TaskFilter
from interlock.storage import Folder, SqliteStore
from interlock.testing.upstream import Answer, Upstream
from tests.storage.parquet_kit import rows_of
from tests.words import places_of

CANARY, OTHERS = "canary-7f3a-ada", "canary-9c1b-bob"


async def filled(root: Path) -> None:
    """Two users of one tenant and one of another ask something that only they would."""
    async with Upstream(Answer(text="It is on its way.")) as upstream:
        (root / "interlock.yaml").write_text(
            "tenant: acme\nlogging: {store_prompts: full}\ncaching: {exact_cache: {enabled: true}}\n"
            f"providers: {{openai: {{base_url: '{upstream.base_url}', api_key: k}}}}\n"
        )
        async with Interlock.from_file(root) as il:
            for tenant, user, text in (("acme", "ada", CANARY), ("acme", "bob", OTHERS), ("rival", "ada", OTHERS)):
                for n in range(3):
                    caller = Caller(tenant, user=user)
                    await il.chat("gpt-4o-mini", f"Where is my order {text}-{n}?", caller=caller)
    store = SqliteStore.open(root / ".interlock" / "interlock.db")
    for key, user, text in (("key_a", "ada", CANARY), ("key_b", "bob", OTHERS)):
        store.keys.put_key(KeyRecord(key, user, "acme", key, key, 1, user=user))
        said = text.encode()
        store.responses.put([KeptResponse(f"resp_{key}", "acme", key, "", said, said, said, 1, 1 << 61)])
    store.close()


@pytest.mark.requirement("SG-08")
async def test_a_user_is_gone_from_every_file_and_nobody_else_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    await filled(tmp_path)
    store = SqliteStore.open(tmp_path / ".interlock" / "interlock.db")
    before = store.totals()
    texts = {each.content is not None for row in store.tasks.list(TaskFilter()) for each in store.records(row.id)}
    store.close()
    assert texts == {True}
    assert main(["erase", "ada", "-w", str(tmp_path)]) == 2
    code = main(["erase", "ada", "--yes", "--json", "-w", str(tmp_path)])
    told = json.loads(capsys.readouterr().out)

    assert code == 0
    assert (told["tasks"], told["records"], told["conversations"]) == (3, 3, 1)
    assert (told["open"], told["left"]) == ([], [])
    assert places_of(CANARY, tmp_path) == []
    store = SqliteStore.open(tmp_path / ".interlock" / "interlock.db")
    rows = store.tasks.list(TaskFilter())
    kept = {(row.tenant, row.user): store.records(row.id)[0].content is not None for row in rows}
    entries = store.audit.latest(0, 1)
    assert store.totals() == before, "the money stays"
    assert store.responses.get("acme", "key_b", "resp_key_b", 2) is not None
    store.close()
    assert kept == {("acme", "ada"): False, ("acme", "bob"): True, ("rival", "ada"): True}
    assert (entries[0].deed.action, entries[0].deed.target, entries[0].deed.detail) == ("data.erased", "ada", "of acme")


@pytest.mark.requirement("SG-08")
async def test_erasing_twice_is_erasing_once_and_nobody_is_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    await filled(tmp_path)
    main(["erase", "ada", "--yes", "-w", str(tmp_path)])
    capsys.readouterr()
    assert main(["erase", "ada", "--yes", "-w", str(tmp_path)]) == 0
    assert "content of 0 records deleted" in capsys.readouterr().err
    assert main(["erase", "nobody", "--yes", "-w", str(tmp_path)]) == 0
    assert "0 tasks" in capsys.readouterr().err


@pytest.mark.requirement("SG-08")
async def test_files_that_rows_left_for_are_written_anew_without_what_the_user_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    await filled(tmp_path)
    store = SqliteStore.open(tmp_path / ".interlock" / "interlock.db")
    (tmp_path / "archive").mkdir()
    left = store.retention.roll_off(1 << 62, tmp_path / "archive", 1)
    store.close()
    assert left is not None
    path = tmp_path / "archive" / left.file
    before = rows_of(path)
    assert places_of(CANARY, tmp_path) != []

    assert main(["erase", "ada", "--yes", "--json", "-w", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    after = rows_of(path)
    assert (told["archived"], [each for each in told["beside"] if "Parquet" in each]) == (3, [])
    assert places_of(CANARY, tmp_path) == []
    assert repr(after).count(OTHERS) == repr(before).count(OTHERS) > 0
    emptied = [row | {"content": ""} for row in before]
    assert [row | {"content": ""} for row in after] == emptied, "nothing but content went"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert main(["erase", "ada", "--yes", "-w", str(tmp_path)]) == 0


@pytest.mark.requirement("SG-08")
async def test_sessions_messages_and_files_of_batches_go_with_the_user_and_nobody_elses_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    await filled(tmp_path)
    store = SqliteStore.open(tmp_path / ".interlock" / "interlock.db")
    folder = Folder(tmp_path / ".interlock" / "files")
    for user, word in (("ada", CANARY), ("bob", OTHERS)):
        store.sessions.change("acme", f"{prefix_of(user)}s", {"said": word}, now_ns=1, ends_ns=1 << 61, max_bytes=999)
        task = store.tasks.list(TaskFilter(tenant="acme", user=user))[0].id
        store.outbox.put([OutboxRow(f"m-{user}", "acme", task, 0, "", "http://r", word, 0, 1, 1 << 61)])
        store.signals.add(Signal(task, "s", "told", {"note": word}))
        store.signals.consume(task, ["s"])
        file = FileRow(f"file_{user}", "acme", "batch", "n", 0, 1)
        folder.write_now(file, iter([word.encode()]))
        store.files.put(file)
        batch = BatchRow(f"batch_{user}", "acme", Caller("acme", user=user), "/v1", file.id, "24h", status="completed")
        store.batches.create(batch)
        made = tmp_path / ".interlock" / "files" / _of("acme", task)
        made.mkdir()
        (made / "chart.csv").write_text(word)
        (tmp_path / ".interlock" / "sessions").mkdir(exist_ok=True)
        (tmp_path / ".interlock" / "sessions" / f"{_of('acme', task)}.jsonl").write_text(word)
    store.close()

    assert main(["erase", "ada", "--yes", "--json", "-w", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["sessions"], told["messages"], told["files"]) == (1, 2, 2)
    assert places_of(CANARY, tmp_path) == []
    places = places_of(OTHERS, tmp_path)
    assert {"sessions", "outbox", "signals"} <= {each.partition(":")[2] for each in places}
    assert [any(name in each for each in places) for name in ("file_bob", "chart.csv", ".jsonl")] == [True] * 3


@pytest.mark.requirement("SG-08")
async def test_without_keys_there_is_no_tenant_to_destroy_the_keys_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    await filled(tmp_path)
    assert main(["erase", "--tenant", "acme", "--yes", "-w", str(tmp_path)]) == 2
    assert "has no `encryption`" in capsys.readouterr().err
    assert main(["erase", "--yes", "-w", str(tmp_path)]) == 2
    assert main(["vault", "status", "-w", str(tmp_path)]) == 2
    assert main(["vault", "destroy", "-w", str(tmp_path)]) == 2
