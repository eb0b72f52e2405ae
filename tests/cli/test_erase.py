"""`interlock erase`: what a user said and was told is gone from the file itself, and what is left is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interlock.app import Interlock
from interlock.cli.main import main
from interlock.core.caller import Caller
from interlock.core.kept import KeptResponse
from interlock.core.keys import KeyRecord
from interlock.core.store import TaskFilter
from interlock.storage import SqliteStore
from interlock.testing.upstream import Answer, Upstream

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


def found_in(root: Path, text: str) -> list[str]:
    return [path.name for path in root.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


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
    assert found_in(tmp_path, CANARY) == []
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
async def test_files_that_rows_left_for_are_named_since_erasing_does_not_rewrite_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    await filled(tmp_path)
    store = SqliteStore.open(tmp_path / ".interlock" / "interlock.db")
    assert store.retention is not None
    (tmp_path / "archive").mkdir()
    left = store.retention.roll_off(1 << 62, tmp_path / "archive", 1)
    store.close()
    assert left is not None
    assert (tmp_path / "archive" / left.file).is_file()

    assert main(["erase", "ada", "--yes", "--json", "-w", str(tmp_path)]) == 0
    beside = json.loads(capsys.readouterr().out)["beside"]
    assert [each for each in beside if each.startswith(f"{tmp_path / 'archive'}: 1 Parquet file")] != []
