"""`interlock audit`: listed, exported, and verified without a server."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from interlock.cli.main import main
from interlock.core.audit import Deed
from interlock.storage import SqliteStore


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "interlock.yaml").write_text("workspace: shop\ntenant: acme\nstore: shop.db\n")
    monkeypatch.chdir(tmp_path)
    store = SqliteStore.open(tmp_path / "shop.db")
    for n in range(1, 6):
        tenant = "acme" if n % 2 else "rival"
        store.audit.append([Deed(n * 10**18, tenant, "ada", "auditor", "content.read", f"tsk_{n}")])
    store.close()
    return tmp_path


def audit(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["audit", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.requirement("SG-07")
def test_an_untouched_record_is_sealed_from_its_beginning_to_its_head(
    workspace: Path, capsys: pytest.CaptureFixture[str]
):
    _, head, _ = audit(capsys, "head")
    code, _, said = audit(capsys, "verify", "--expect", head.strip())
    assert (code, "5 entries" in said) == (0, True)
    code, out, _ = audit(capsys, "verify", "--json")
    assert (code, json.loads(out)) == (0, {"entries": 5, "head": head.strip(), "faults": []})


@pytest.mark.requirement("SG-07")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE audit SET who = 'eve' WHERE seq = 3", "entry 3 is not what was sealed"),
        ("DELETE FROM audit WHERE seq = 2", "entry 2 is followed by 3"),
        ("DELETE FROM audit WHERE seq > 3", "its end was cut off"),
    ],
)
def test_whoever_lifts_the_lock_and_changes_an_entry_is_found(
    workspace: Path, capsys: pytest.CaptureFixture[str], change: str, words: str
):
    _, head, _ = audit(capsys, "head")
    db = sqlite3.connect(workspace / "shop.db")
    for trigger in ("audit_unchanged", "audit_kept"):
        db.execute(f"DROP TRIGGER {trigger}")
    db.execute(change)
    db.commit()
    db.close()
    code, _, said = audit(capsys, "verify", "--expect", head.strip())

    assert code == 1
    assert words in said


@pytest.mark.requirement("SG-07")
def test_an_export_is_verified_where_there_is_no_store(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    _, lines, _ = audit(capsys, "export")
    elsewhere = workspace / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    Path("audit.jsonl").write_text(lines)
    assert audit(capsys, "verify", "--file", "audit.jsonl")[0] == 0
    Path("audit.jsonl").write_text(lines.replace("tsk_4", "tsk_9"))
    assert audit(capsys, "verify", "--file", "audit.jsonl")[0] == 1
    Path("audit.jsonl").write_text(lines + "{}\n")
    code, _, said = audit(capsys, "verify", "--file", "audit.jsonl")
    assert (code, "audit.jsonl:6: no entry of an audit" in said) == (2, True)


def test_the_newest_are_listed_first_and_by_tenant(workspace: Path, capsys: pytest.CaptureFixture[str]):
    _, out, _ = audit(capsys, "--json", "--tenant", "acme")
    assert [each["seq"] for each in json.loads(out)] == [5, 3, 1]
    code, out, _ = audit(capsys, "list", "-n", "2")
    assert (code, "tsk_5" in out, "tsk_3" in out) == (0, True, False)


@pytest.mark.parametrize(
    "wrong", [("--expect", "1:x"), ("verify", "--expect", "1:x"), ("head", "--tenant", "a"), ("list", "--file", "x")]
)
def test_what_makes_no_sense_is_said(workspace: Path, capsys: pytest.CaptureFixture[str], wrong: tuple[str, ...]):
    try:
        code, _, _ = audit(capsys, *wrong)
    except SystemExit as ended:
        code = ended.code
    assert code == 2


@pytest.mark.requirement("SG-07")
def test_what_is_done_to_keys_at_the_command_line_stands_in_it(workspace: Path, capsys: pytest.CaptureFixture[str]):
    main(["keys", "create", "--name", "ann", "--role", "viewer"])
    main(["keys", "rotate", "ann"])
    main(["keys", "revoke", "ann"])
    capsys.readouterr()
    _, out, _ = audit(capsys, "--json", "-n", "3")
    found = [each["deed"] for each in json.loads(out)]
    assert [each["action"] for each in found] == ["key.revoked", "key.rotated", "key.created"]
    assert found[0]["who"].startswith("os:")
    assert found[0]["detail"] == "viewer of acme"
