"""`interlock run`: files and single inputs, what is printed where, bad lines, resuming."""

import csv
import json

import pytest

from interlock.cli.main import CONFIGURATION, NOT_ALL_WELL, OK, USAGE
from tests.cli.kit import Cli, faults

KEYS = [
    "task",
    "outcome",
    "answer",
    "confidence",
    "tier",
    "escalations",
    "steps",
    "cost_nano_usd",
    "duration_ms",
    "citations",
    "error",
]


@pytest.mark.requirement("OP-02")
def test_json_is_one_object_for_each_task_on_a_line_and_nothing_else_on_stdout(starter: Cli):
    said = starter("run", "helpdesk", "--input", starter.folder / "questions.jsonl", "--json")

    assert said.code == OK
    assert len(said.lines) == 4
    assert [list(each) for each in said.lines] == [[*KEYS, "line", "id"]] * 4
    assert [found for each in said.lines for found in faults(each, "run")] == []
    assert {each["outcome"] for each in said.lines} == {"resolved", "simulated"}
    assert "Token P&L" in said.err


def test_the_summary_tells_outcomes_latency_labels_and_money(ran: Cli):
    said = ran("run", "helpdesk", "--input", ran.folder / "questions.jsonl", "--fresh")

    assert said.code == OK
    for words in ("resolved", "answered by a simulated model", "p95", "1 right · 1 wrong", "cost per success", "next"):
        assert words in said.out
    assert "the answer lacks 'never'" in said.out


def test_answers_of_simulated_models_are_announced_loudly(starter: Cli):
    said = starter("run", "helpdesk", "--input", starter.file("q.jsonl", {"text": "write a poem about taxes"}))

    assert "SIMULATED  1 task reached a simulated model" in said.out
    assert "none of it counts as a success" in said.out


def test_a_bad_line_is_named_by_its_number_kept_aside_and_the_rest_runs(starter: Cli):
    path = starter.file(
        "mixed.jsonl",
        {"text": "order AB-1001 status pls"},
        "{broken",
        {"txt": "oops"},
        "",
        {"text": "any news on AB-1002?"},
    )

    said = starter("run", "helpdesk", "--input", path, "--json")

    assert said.code == NOT_ALL_WELL
    assert len(said.lines) == 2
    assert "line 2: not JSON" in said.err
    assert "line 3: text is missing" in said.err
    kept = [json.loads(line) for line in (starter.folder / "mixed.jsonl.rejected.jsonl").read_text().splitlines()]
    assert [(each["_line"], each.get("_raw"), each.get("txt")) for each in kept] == [
        (2, "{broken", None),
        (3, None, "oops"),
    ]


def test_lines_kept_aside_can_be_mended_and_run_as_a_file_of_their_own(starter: Cli):
    starter("run", "helpdesk", "--input", starter.file("mixed.jsonl", {"txt": "where is AB-1001", "id": "7"}))
    rejected = starter.folder / "mixed.jsonl.rejected.jsonl"
    rejected.write_text(rejected.read_text().replace('"txt"', '"text"'))

    said = starter("run", "helpdesk", "--input", rejected, "--json")

    assert (said.code, len(said.lines)) == (OK, 1)


def test_a_csv_file_runs_like_a_file_of_json_lines(starter: Cli):
    path = starter.folder / "questions.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows([["id", "text"], ["1", "where is order AB-1001,\nplease?"], ["2", "how long is shipping"]])

    said = starter("run", "helpdesk", "--input", path, "--json")

    assert (said.code, len(said.lines)) == (OK, 2)


@pytest.mark.requirement("OP-02")
def test_a_rerun_passes_over_what_is_finished_and_fresh_begins_anew(ran: Cli):
    path = ran.folder / "questions.jsonl"

    again = ran("run", "helpdesk", "--input", path, "--json")
    fresh = ran("run", "helpdesk", "--input", path, "--json", "--fresh")
    after = ran("run", "helpdesk", "--input", path, "--json")

    assert (again.out, after.out) == ("", "")
    assert "nothing was left to do: 4 lines had been done before" in again.err
    assert len(fresh.lines) == 4
    assert len(ran("tasks", "--json", "--limit", 0).json) == 8


def test_a_limit_runs_the_first_lines_and_the_rest_later(starter: Cli):
    path = starter.folder / "questions.jsonl"

    assert len(starter("run", "helpdesk", "--input", path, "--json", "--limit", 1).lines) == 1
    assert len(starter("run", "helpdesk", "--input", path, "--json").lines) == 3


def test_one_input_is_answered_on_stdout(starter: Cli):
    said = starter("run", "helpdesk", "--text", "how long does delivery take?")

    assert said.code == OK
    assert "working day" in said.out
    assert "interlock trace tsk_" in said.err
    urgent = starter("run", "helpdesk", "text=how long does delivery take?", "--priority", 7, "--json").json
    assert urgent["outcome"] == "resolved"
    assert starter("trace", urgent["task"], "--json").json["steps"][0]["detail"]["priority"] == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give --input FILE, --text TEXT or key=value; helpdesk takes text"),
        (("txt=hello",), "no input 'txt' Did you mean 'text'?"),
        (("hello",), "'hello' is not key=value"),
        (("--text", "x", "--input", "y.jsonl"), "not both"),
        (("--input", "missing.jsonl"), "missing.jsonl: there is no such file"),
        (("--input", "question.jsonl"), "Did you mean 'questions.jsonl'?"),
        (("--input", "interlock.yaml"), "unknown kind of file"),
        (("--text", "x", "--concurrency", "0"), "'0' is not a whole number above zero"),
        (("--text", "x", "--priority", "5000"), "'5000' is not a whole number from -1000 to 1000"),
        (("--text", "x", "--model", "supprt"), "Did you mean 'support'?"),
        (("--text", "x", "--nonsense"), "--nonsense"),
    ],
)
def test_what_cannot_be_run_is_a_usage_error_that_says_what_can(starter: Cli, arguments, words, monkeypatch):
    monkeypatch.chdir(starter.folder)

    said = starter("run", "helpdesk", *arguments)

    assert said.code == USAGE
    assert words in " ".join(said.err.split())
    assert said.out == ""


def test_an_empty_file_is_a_usage_error(starter: Cli):
    said = starter("run", "helpdesk", "--input", starter.file("empty.jsonl"))

    assert said.code == USAGE
    assert "there is nothing in it" in said.err


def test_without_a_workflow_the_ones_that_there_are_get_named(starter: Cli):
    said = starter("run")

    assert said.code == USAGE
    assert "which workflow? Known: helpdesk." in said.err


def test_an_unknown_workflow_names_the_nearest(starter: Cli):
    said = starter("run", "helpdsk", "--text", "x")

    assert said.code == CONFIGURATION
    assert "helpdesk" in said.err


def test_the_money_of_a_run_is_that_of_its_tasks_in_the_store(ran: Cli):
    path = ran.file("two.jsonl", {"text": "where is order AB-1003"}, {"text": "how long is delivery"})
    ran("run", "helpdesk", "--input", path)

    said = ran("run", "helpdesk", "--input", path)

    assert "2 successes × $0.50" in said.out
    assert "Token P&L · helpdesk · two.jsonl" in said.out
    assert ran("pnl", "--json").json["succeeded"] == 4


def test_fields_that_the_contract_does_not_take_are_named_and_left_out(starter: Cli):
    path = starter.file("in.jsonl", {"text": "any news on AB-1002?", "txet": "slip", "channel": "mail"})

    said = starter("run", "helpdesk", "--input", path)

    assert "remark: the contract takes no 'txet' (did you mean 'text'?), 'channel': left out of the tasks" in said.err
    assert said.code == OK
