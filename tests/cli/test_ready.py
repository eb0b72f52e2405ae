"""`interlock doctor --ready`: each line of the checklist, wrong and right, on a workspace that is looked at for real."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from interlock.app.declared import doors
from interlock.app.ready_files import lines
from interlock.cli.main import NOT_ALL_WELL, OK, USAGE, main
from interlock.config.load import load
from interlock.core.audit import Deed
from interlock.core.keys import KeyRecord
from interlock.core.time import SystemClock
from interlock.storage import SqliteStore
from tests.cli.kit import Cli

BARE = "providers: {mine: {dialect: openai, base_url: 'http://127.0.0.1:9', needs_key: true, models: ['house-*']}}\nmodels: {fast: [house-1]}\n"
WELL = """
tenant: acme
server: {api_key: a-key-that-was-set}
providers: {openai: {api_key: k}, anthropic: {api_key: k}}
models: {fast: [gpt-4o-mini, claude-3-5-haiku-latest]}
limits: [{per: tenant, period: day, usd: 20}]
pii: {}
guards: {injection: {}}
retention: {raw_days: 365}
webhooks: [{url: 'https://hooks.example.com', secret: whsec_aG9vay1zZWNyZXQtaG9vay1zZWNyZXQ=, events: [alert]}]
"""
CONTRACT = "agent: {model: fast, limits: {max_cost_usd: 0.05}, tools: [{name: pay.out, requires_human_approval: 'usd > 5', flow: {}}]}\n"
LOOSE = "agent: {model: fast, tools: [{name: pay.out}]}\n"
TOOLS = "from interlock import tool\n\n\n@tool(name='pay.out', effect='once')\ndef pay_out(usd: float) -> dict[str, float]:\n    return {'usd': usd}\n"


def workspace(root: Path, settings: str, contract: str) -> None:
    (root / "agents").mkdir()
    (root / "interlock.yaml").write_text(settings)
    (root / "agents" / "payer.yaml").write_text(contract)
    (root / "tools.py").write_text(TOOLS)


def looked(root: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    said = Cli(root, capsys)("doctor", "--ready", "--json", *arguments)
    return said.code, {each["about"]: each for each in said.json["lines"]}


@pytest.mark.requirement("SG-11")
def test_a_workspace_in_which_all_is_decided_has_no_fault_and_no_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    workspace(tmp_path, WELL, CONTRACT)
    backups = tmp_path / "backups"
    backups.mkdir()
    (backups / "today.db").write_text("a copy")
    store = SqliteStore.open(tmp_path / ".interlock" / "interlock.db")
    store.keys.put_key(KeyRecord("key_1", "mia", "acme", "h", "il-", 1, user="mia", role="approver"))
    store.audit.append([Deed(1, "acme", "mia", "approver", "key.created", "key_1")])
    store.close()

    code, lines = looked(tmp_path, capsys, "--backups", backups)

    beside_host = {name: each for name, each in lines.items() if name not in ("sandbox", "disk", "commit")}
    assert {name: each["said"] for name, each in beside_host.items() if each["level"] != "ok"} == {}
    assert lines["sandbox"]["said"]
    assert code == (NOT_ALL_WELL if any(each["level"] == "fault" for each in lines.values()) else OK)


@pytest.mark.requirement("SG-11")
def test_one_in_which_nothing_is_decided_hears_of_each_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    workspace(tmp_path, BARE, LOOSE)

    code, lines = looked(tmp_path, capsys, "--backups", tmp_path / "nowhere")

    faults = {name for name, each in lines.items() if each["level"] == "fault"}
    warnings = {name for name, each in lines.items() if each["level"] == "warning"}
    assert code == NOT_ALL_WELL
    assert faults - {"disk", "commit"} == {"models", "prices", "limits", "budgets", "approvals", "backup"}
    assert warnings - {"sandbox"} == {
        "key",
        "tenant",
        "fallbacks",
        "guards",
        "policy",
        "alerts",
        "retention",
        "people",
    }
    assert [name for name in faults | warnings if not lines[name]["do"]] == []
    assert "pay.out" in lines["approvals"]["said"]
    assert "house-1" in lines["prices"]["said"]


@pytest.mark.requirement("SG-11")
def test_an_old_backup_and_a_changed_audit_are_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    workspace(tmp_path, WELL, CONTRACT)
    backups = tmp_path / "backups"
    backups.mkdir()
    (backups / "old.db").write_text("a copy")
    os.utime(backups / "old.db", (1_000_000_000, 1_000_000_000))
    store = SqliteStore.open(tmp_path / ".interlock" / "interlock.db")
    store.audit.append([Deed(1, "acme", "mia", "approver", "content.read", "tsk_1")])
    store.close()
    db = sqlite3.connect(tmp_path / ".interlock" / "interlock.db")
    db.execute("DROP TRIGGER audit_unchanged")
    db.execute("UPDATE audit SET who = 'eve'")
    db.commit()
    db.close()

    code, lines = looked(tmp_path, capsys, "--backups", backups, "--backup-days", 30)

    assert code == NOT_ALL_WELL
    assert (lines["audit"]["level"], lines["backup"]["level"]) == ("fault", "fault")
    assert "days old" in lines["backup"]["said"]


@pytest.mark.requirement("SG-11")
def test_a_rehearsal_is_not_ready_and_people_read_what_to_do(starter: Cli):
    said = starter("doctor", "--ready")

    assert said.code == NOT_ALL_WELL
    assert "answer by rehearsal" in said.out
    assert "Name real models" in said.out
    assert said.out.splitlines()[-1].endswith("faults")


def test_backups_are_looked_at_by_the_checklist_only(capsys: pytest.CaptureFixture[str]):
    assert main(["doctor", "--backups", "/somewhere"]) == USAGE
    assert "--ready" in capsys.readouterr().err


def test_a_server_with_a_certificate_of_its_own_is_not_told_to_find_one(tmp_path: Path):
    said = "server: {host: 0.0.0.0, tls_cert: server.pem, tls_key: server.key}\n"
    (tmp_path / "interlock.yaml").write_text(said)
    workspace = load(tmp_path)
    [door] = [each for each in lines(workspace, None, SystemClock()) if each.about == "door"]
    assert (door.level, door.said) == ("ok", "listens at 0.0.0.0 with TLS")
    assert doors(workspace).rows[0]["TLS"] == "of its own"
