"""`interlock evidence`: a pack that says what is true of this workspace, the same for the same store and time, and nothing secret."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from interlock.app.evidence import frameworks
from interlock.cli.main import NOT_ALL_WELL, OK, USAGE
from interlock.core.audit import Deed
from interlock.core.keys import KeyRecord
from interlock.storage import SqliteStore
from tests.cli.kit import Cli

LATER = "2200-01-01T00:00:00Z"
CANARY = "canary-5d1e"


def facts(pack: Any) -> dict[str, Any]:
    return {fact["id"]: fact["rows"] for section in pack["sections"] for fact in section["facts"]}


def of(cli: Cli, *arguments: str) -> dict[str, Any]:
    said = cli("evidence", "--json", *arguments)
    assert said.code in (OK, NOT_ALL_WELL), said.err
    return facts(said.json)


def store_of(cli: Cli) -> SqliteStore:
    return SqliteStore.open(cli.folder / ".interlock" / "interlock.db")


@pytest.fixture
def asked(starter: Cli) -> Cli:
    """Two questions to people: one was answered yes, one no."""
    starter.edit("agents/helpdesk.yaml", "retries: 1}", "retries: 1, requires_human_approval: true}")
    for answer in ("--yes", "--deny"):
        assert starter("run", "helpdesk", "--text", f"hi, where is my order AB-1001? {CANARY}").code == OK
        task = starter("approve", "--json").json[0]["task"]
        assert starter("approve", task, answer, "--who", "mia").code == OK
    return starter


@pytest.mark.requirement("SG-10")
def test_the_pack_says_who_has_to_say_yes_and_how_people_answered(asked: Cli):
    found = of(asked)

    rules = {row["tool"]: row for row in found["oversight.rules"]}
    assert (rules["orders.get"]["effect"], rules["orders.get"]["a person decides"]) == ("none", "always")
    (row,) = found["oversight.asked"]
    assert (row["asked"], row["approved"], row["denied"], row["expired"]) == (2, 1, 1, 0)
    assert 0 <= row["median wait in s"] < 600
    assert sum(each["times"] for each in found["work.outcomes"]) == 2
    assert found["ledger.sums"][0]["equal"] is True


@pytest.mark.requirement("SG-10")
def test_a_changed_prompt_shows_as_a_version_in_force_that_has_not_worked_yet(asked: Cli):
    before = of(asked)
    asked.edit("agents/helpdesk.yaml", "requires_human_approval: true", "requires_human_approval: false")
    after = of(asked)

    def contracts(found: dict[str, Any], fact: str) -> set[str]:
        return {row["contract"] for row in found[fact] if row["of"] == "helpdesk"}

    assert contracts(before, "versions.in_force") == contracts(before, "versions.seen")
    assert contracts(after, "versions.in_force").isdisjoint(contracts(after, "versions.seen"))


@pytest.mark.requirement("SG-10")
def test_the_same_store_and_time_give_the_same_two_files(asked: Cli, tmp_path: Path):
    first, second = tmp_path / "one", tmp_path / "two"
    for folder in (first, second):
        assert asked("evidence", "--out", folder, "--at", LATER).code == OK

    assert (first / "evidence.md").read_bytes() == (second / "evidence.md").read_bytes()
    assert (first / "evidence.json").read_bytes() == (second / "evidence.json").read_bytes()
    page, pack = (first / "evidence.md").read_text(), json.loads((first / "evidence.json").read_text())
    assert [name for name in facts(pack) if f"`{name}`" not in page] == []
    assert asked("evidence", "--out", tmp_path / "named.md", "--at", LATER).code == OK
    assert (tmp_path / "named.json").read_bytes() == (first / "evidence.json").read_bytes()


@pytest.mark.requirement("SG-10")
def test_every_clause_names_facts_that_the_pack_has_and_says_what_they_do_not_show(starter: Cli):
    found = of(starter)
    clauses = [clause for framework in frameworks() for clause in framework.clauses]

    assert [(each.clause, name) for each in clauses for name in each.facts if name not in found] == []
    assert [each.clause for each in clauses if not (each.facts and each.speaks and each.missing)] == []
    assert set(found) - {name for each in clauses for name in each.facts} == set(), "a fact that speaks to nothing"
    names = {each.clause for each in clauses}
    assert {"CC6.1", "CC7.2", "CC8.1", "Art. 12", "Art. 13", "Art. 14"} <= names
    assert {f"LLM{n:02}" for n in range(1, 11)} | {f"ASI{n:02}" for n in range(1, 11)} <= names
    assert [each.name for each in frameworks() if not (each.source and each.date)] == []


@pytest.mark.requirement("SG-10")
def test_who_read_prompts_in_the_period_and_what_keys_there_are(starter: Cli):
    store = store_of(starter)
    day = 86_400 * 10**9
    for at, task in ((day, "tsk_a"), (100 * day, "tsk_a"), (100 * day, "tsk_b")):
        store.audit.append([Deed(at, "default", "ada", "auditor", "content.read", task)])
    store.keys.put_key(KeyRecord("key_1", "ci", "acme", "hash-of-it", "il-shown", day, role="approver"))
    store.keys.put_key(KeyRecord("key_2", "old", "acme", "hash-too", "il-also", day, revoked_ns=2 * day))
    store.close()

    found = of(starter, "--at", "1970-04-20T00:00:00Z", "--since", "30d")

    assert found["audit.readers"] == [
        {"tenant": "default", "who": "ada", "role": "auditor", "readings": 2, "of tasks": 2}
    ]
    assert (found["audit.chain"][0]["entries"], found["audit.chain"][0]["sound"]) == (3, True)
    keys = {row["name"]: (row["role"], row["state"]) for row in found["access.keys"]}
    assert keys == {"ci": ("approver", "active"), "old": ("machine", "revoked")}
    assert "oversight.asked" in found
    assert found["versions.seen"] == []


@pytest.mark.requirement("SG-10")
@pytest.mark.parametrize(
    ("changes", "fact", "holds"),
    [
        (("DROP TRIGGER audit_unchanged", "UPDATE audit SET who = 'eve' WHERE seq = 1"), "audit.chain", "sound"),
        (("UPDATE roll SET cost_nano_usd = cost_nano_usd + 7",), "ledger.sums", "equal"),
    ],
)
def test_records_that_do_not_bear_out_what_they_say_are_a_fault(
    asked: Cli, changes: tuple[str, ...], fact: str, holds: str
):
    store = store_of(asked)
    store.audit.append([Deed(1, "default", "ada", "auditor", "content.read", "tsk_a")])
    store.close()
    assert asked("evidence", "--json").code == OK
    db = sqlite3.connect(asked.folder / ".interlock" / "interlock.db")
    for change in changes:
        db.execute(change)
    db.commit()
    db.close()

    said = asked("evidence", "--json")

    assert (said.code, facts(said.json)[fact][0][holds]) == (NOT_ALL_WELL, False)


@pytest.mark.requirement("SG-10")
def test_places_follow_the_files_and_nothing_secret_or_said_stands_in_the_pack(asked: Cli):
    with (asked.folder / "interlock.yaml").open("a") as file:
        file.write(
            "\nwebhooks: [{url: 'https://u:hook-pass@hooks.example.com/in?t=hook-query', secret: whsec_aG9vay1zZWNyZXQtaG9vay1zZWNyZXQ=}]\n"
            "telemetry: {otlp: {endpoint: 'https://otel.example.com', content: true, headers: {x: otel-secret}}}\n"
            "retention: {bodies_days: 14, raw_days: 200}\n"
            "redis: {url: 'redis://:redis-pass@cache.example.com:6379/0'}\n"
            "server: {api_key: server-secret}\n"
        )
    store = store_of(asked)
    store.keys.put_key(KeyRecord("key_1", "ci", "acme", "hash-of-it", "il-shown", 1))
    store.close()

    page = asked("evidence").out
    said = asked("evidence", "--json").out
    places = {row["place"]: row["how long"] for row in facts(json.loads(said))["prompts.places"]}

    assert "otel.example.com" in places
    assert any(place.endswith("then hooks.example.com") for place in places)
    assert any(place.endswith("archive") for place in places)
    rows = {row["what"]: row["how long"] for row in facts(json.loads(said))["prompts.places"]}
    assert rows["content of tasks and calls, as `store_prompts` says"] == "14 days"
    hidden = (CANARY, "hook-", "whsec_", "otel-secret", "redis-pass", "server-secret", "hash-of-it", "il-shown")
    assert [each for each in hidden if each in page or each in said] == []


def test_what_is_no_time_is_a_usage_error(starter: Cli):
    assert starter("evidence", "--at", "yesterday").code == USAGE
    assert starter("evidence", "--since", "long").code == USAGE
