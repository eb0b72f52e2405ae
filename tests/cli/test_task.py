"""`interlock task`: leaving word for a task, and what comes of it; `run -i -`; a question that has run out."""

import io
import json
import time
from typing import Any

import pytest

from interlock.cli.main import CONFIGURATION, OK, USAGE
from tests.cli.kit import Cli, faults


@pytest.fixture
def asking(starter: Cli) -> Cli:
    """A task waits for leave to look an order up."""
    starter.edit("agents/helpdesk.yaml", "retries: 1}", "retries: 1, requires_human_approval: true}")
    assert starter("run", "helpdesk", "--text", "hi, where is my order AB-1001?").code == OK
    return starter


@pytest.mark.requirement("AG-09", "OP-02")
def test_a_task_is_paused_goes_on_and_is_cancelled(asking: Cli):
    task = asking("approve", "--json").json[0]["task"]
    paused = asking("task", task, "--pause", "--who", "mia", "--json")
    status = asking("tasks", "--json").json[0]["status"]
    shown = asking("task", task, "--json")
    going = asking("task", task, "--resume", "--json")
    ended = asking("task", task, "--cancel", "--json")
    late = asking("task", task, "--pause")
    assert (paused.code, status, going.json["outcome"]) == (OK, "paused", "waiting_approval")
    assert faults(shown.json, "run") == []
    assert ended.json["outcome"] == "cancelled"
    assert (late.code, "is over" in late.err) == (USAGE, True)
    assert "paused" in asking("trace", task).out


@pytest.mark.requirement("OP-02")
def test_the_last_word_on_a_task_is_said_once(asking: Cli):
    task = asking("approve", "--json").json[0]["task"]
    asking("task", task, "--cancel")
    assert asking("task", task, "--close", "success", "--note", "called them", "--json").code == OK
    again = asking("task", task, "--close", "failure")
    assert (again.code, "has been closed" in again.err) == (USAGE, True)
    assert asking("tasks", "--json").json[0]["success"] is True


def test_a_signal_is_kept_for_whoever_works_on_the_task(asking: Cli):
    task = asking("approve", "--json").json[0]["task"]
    sent = asking("task", task, "--signal", "shipped", "--payload", '{"parcel": 7}', "--no-resume", "--json")
    wrong = asking("task", task, "--signal", "shipped", "--payload", "{")
    assert sent.json == {"task": task, "kept": True}
    assert (wrong.code, "--payload" in wrong.err) == (USAGE, True)


def test_a_question_that_has_run_out_is_listed_no_more_and_a_late_decision_is_told_so(starter: Cli):
    starter.edit("agents/helpdesk.yaml", "retries: 1}", "retries: 1, requires_human_approval: true}")
    starter.edit("agents/helpdesk.yaml", "  tools:", "  approval: {expires_after_s: 1}\n  tools:")
    starter("run", "helpdesk", "--text", "hi, where is my order AB-1001?")
    task = starter("tasks", "--json").json[0]["task"]
    deadline_s = time.monotonic() + 60
    while (listed := starter("approve")).err != "nothing waits for a person\n" and time.monotonic() < deadline_s:
        pass  # its second has not passed yet
    late = starter("approve", task, "--yes")
    assert listed.err == "nothing waits for a person\n"
    assert late.code == USAGE
    assert starter("task", task, "--resume", "--json").json["outcome"] == "denied"


def test_lines_from_standard_input_run_and_the_same_lines_again_are_the_same_run(
    starter: Cli, monkeypatch: pytest.MonkeyPatch
):
    lines = "".join(json.dumps({"text": f"where is my order AB-100{n}?"}) + "\n" for n in (1, 2))

    def stdin() -> Any:
        return io.TextIOWrapper(io.BytesIO(lines.encode()))

    monkeypatch.setattr("sys.stdin", stdin())
    first = starter("run", "helpdesk", "-i", "-", "--json")
    monkeypatch.setattr("sys.stdin", stdin())
    again = starter("run", "helpdesk", "-i", "-", "--json")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b" \n")))
    empty = starter("run", "helpdesk", "-i", "-")
    assert [line["line"] for line in first.lines] == [1, 2]
    assert (again.code, again.out) == (OK, "")
    assert empty.code == USAGE


@pytest.mark.requirement("AG-08")
def test_a_fork_under_another_policy_shows_both_runs_beside_each_other(starter: Cli):
    starter("run", "helpdesk", "--text", "where is my order AB-1001?")
    task = starter("tasks", "--json").json[0]["task"]
    stricter = starter.folder / "agents" / "helpdesk.yaml"
    draft = starter.folder / "stricter.yaml"
    draft.write_text(stricter.read_text().replace("retries: 1}", "retries: 1, requires_human_approval: true}"))
    said = starter("fork", task, "--policy", draft, "--json")
    (starter.folder / "none.yaml").write_text("tenant: acme\n")
    wrong = starter("fork", task, "--policy", starter.folder / "none.yaml")
    assert said.code == OK
    assert said.json["compared"]["outcome"]["original"] == "resolved"
    assert said.json["compared"]["outcome"]["fork"] == "waiting_approval"
    assert (wrong.code, "expected one contract, found 0" in wrong.err) == (CONFIGURATION, True)
