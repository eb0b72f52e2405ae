"""`interlock approve`: what waits, the decision, and the task that goes on."""

import json

import pytest

from interlock.cli.main import OK, USAGE
from tests.cli.kit import Cli, faults


@pytest.fixture
def asking(starter: Cli) -> Cli:
    """A task waits for leave to look an order up."""
    starter.edit("agents/helpdesk.yaml", "retries: 1}", "retries: 1, requires_human_approval: true}")
    assert starter("run", "helpdesk", "--text", "hi, where is my order AB-1001?").code == OK
    return starter


def test_what_waits_is_listed_with_what_was_seen_what_is_wanted_and_why(asking: Cli):
    said = asking("approve")
    waits = asking("approve", "--json").json

    assert faults(waits, "approve") == []
    assert (waits[0]["kind"], waits[0]["tool"]) == ("approval", "orders.get")
    for words in (
        "hi, where is my order AB-1001?",
        "understood order_status",
        "orders.get  order_id=ab-1001",
        "requires_human_approval",
        "then it is denied",
        f"interlock approve {waits[0]['task']}",
    ):
        assert words.lower() in said.out.lower()


@pytest.mark.requirement("OP-02", "AG-06")
def test_a_yes_lets_the_task_go_on_to_its_answer(asking: Cli):
    task = asking("approve", "--json").json[0]["task"]

    said = asking("approve", task, "--yes", "--who", "mia", "--note", "fine", "--json")

    assert said.code == OK
    assert (said.json["task"], said.json["outcome"], said.json["answer"]) == (
        task,
        "resolved",
        "Order AB-1001 is on its way.",
    )
    assert "approve by mia" in asking("trace", task).out
    assert asking("approve").err == "nothing waits for a person\n"


def test_a_no_keeps_the_tool_from_running(asking: Cli):
    task = asking("approve", "--json").json[0]["task"]

    assert asking("approve", task, "--deny", "--json").json["outcome"] != "resolved"
    assert "AB-1001 is on its way" not in asking("trace", task).out


def test_edited_arguments_replace_those_that_were_asked_for(asking: Cli):
    task = asking("approve", "--json").json[0]["task"]

    wrong = asking("approve", task, "--edit", '{"order_id": 7}')
    right = asking("approve", task, "--edit", json.dumps({"order_id": "AB-1003"}), "--json")

    assert wrong.code == USAGE
    assert "Nothing was decided." in wrong.err
    assert right.json["answer"] == "Order AB-1003 is delivered."


def test_a_decision_can_be_recorded_without_going_on(asking: Cli):
    task = asking("approve", "--json").json[0]["task"]

    assert asking("approve", task, "--yes", "--no-resume").code == OK
    assert asking("tasks", "--json").json[0]["outcome"] != "resolved"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--yes",), "name the task"),
        (("last", "--done"), "--done, --redo, --skip and --compensate are for calls in doubt"),
        (("last", "--yes", "--step", "99"), "does not ask that"),
        (("last", "--edit", "{"), "not JSON"),
        (("last", "--edit", "[]"), "expected a JSON object"),
        (("tsk_nope", "--yes"), "no task or call 'tsk_nope'"),
        (("last", "--yes", "--deny"), "not allowed with"),
    ],
)
def test_what_cannot_be_decided_is_a_usage_error(asking: Cli, arguments, words):
    said = asking("approve", *arguments)

    assert said.code == USAGE
    assert words in said.err


def test_a_task_that_waits_for_nobody_is_named(ran: Cli):
    said = ran("approve", "last", "--yes")

    assert said.code == USAGE
    assert "waits for nobody" in said.err
