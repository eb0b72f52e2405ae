"""`interlock trace --why`, `interlock slo`, `interlock outcome`: why it went so, what was promised, what became of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.app.looking import keep
from interlock.cli.main import NOT_ALL_WELL, OK, USAGE
from interlock.core.caller import Caller
from interlock.core.events import Finished, Record, Started
from interlock.core.time import SystemClock
from interlock.observe.incidents import Book, Fact, Found, Incident
from interlock.storage import SqliteStore
from tests.cli.kit import Cli


@pytest.mark.requirement("AG-10")
def test_every_decision_says_what_it_saw_which_rule_in_which_version_and_what_it_cost(ran: Cli):
    task = next(each for each in ran("tasks", "--json").json if each["line"] == 1)
    said = ran("trace", task["task"], "--why")
    found = ran("trace", task["task"], "--why", "--json").json["decisions"]

    assert said.code == OK
    assert "called orders.get: ok" in said.out
    assert 'saw  arguments {"order_id":"AB-1001"}' in said.out
    assert "order_status" in said.out
    assert sum(each["cost_nano_usd"] for each in found) == task["cost_nano_usd"]
    assert all(each["rule"] for each in found)
    assert any(each["version"].startswith("contract ") for each in found)
    assert found[0]["decided"] == "began as helpdesk"


@pytest.mark.requirement("OB-07", "OB-09")
def test_promises_are_shown_and_gate_rollouts_and_incidents_open_their_runbook(ran: Cli):
    contract = next(ran.folder.glob("agents/*.yaml"))
    contract.write_text(
        contract.read_text() + "  slo: {success: 99%, p95: 30s, window: 7d, when_spent: stop_rollouts}\n"
    )
    held = ran("slo", "--gate")
    assert held.code == OK
    assert "success 99 %" in held.out

    fail(ran.folder, 40)
    spent = ran("slo", "--gate")
    assert (spent.code, "spent" in spent.out) == (NOT_ALL_WELL, True)
    assert "no rollouts of helpdesk" in spent.err
    assert ran("slo", "--json").json["held_back"] == ["helpdesk"]
    assert "openslo/v1" in ran("slo", "--export").out

    assert "no incidents" in ran("slo", "--incidents").err
    now = SystemClock().wall_ns()
    found = Found(
        "default",
        "helpdesk",
        "slo_burn",
        "success 99 %",
        "page",
        "it burns",
        (Fact("rate", "20"),),
        ("tsk_1",),
        ("Look.",),
    )
    store = SqliteStore.open(ran.folder / ".interlock" / "interlock.db")
    keep(store, "default", Book((Incident("inc_1", found, now, now),), now), now)
    store.close()
    assert "it burns" in ran("slo", "--incidents").out
    one = ran("slo", "--incident", "inc_1")
    assert all(words in one.out for words in ("rate: 20", "1. Look.", "tsk_1"))
    assert ran("slo", "--incident", "inc_2").code == USAGE


@pytest.mark.requirement("EC-01")
def test_a_person_says_what_became_of_a_task(ran: Cli):
    before = ran("pnl", "--json").json["succeeded"]
    task = next(each["task"] for each in ran("tasks", "--json").json if each["success"])
    said = ran("outcome", task, "bad", "--who", "mia", "--note", "wrong parcel")
    assert said.code == OK
    assert "no success according to person" in said.err
    assert ran("pnl", "--json").json["succeeded"] == before - 1
    assert ran("outcome", task, "good", "--source", "user").code == USAGE
    assert ran("outcome", task, "perhaps").code == USAGE


def fail(root: Path, n: int) -> None:
    """So many tasks that did not go well."""
    now = SystemClock().wall_ns()
    store = SqliteStore.open(root / ".interlock" / "interlock.db")
    for at in range(n):
        name = f"tsk_bad{at}"
        caller = Caller("default", workflow="helpdesk", task=name)
        begun = Record(name, 0, "default", now - 10**9 * at, Started("helpdesk", caller, caller.versions))
        store.write([[begun, Record(name, 1, "default", now - 10**9 * at + 10**6, Finished("failed"))]])
    store.close()
