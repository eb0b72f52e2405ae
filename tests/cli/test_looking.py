"""`interlock tasks`, `trace` and `pnl`: what is in the store, for people and for programs."""

from io import StringIO

import pytest
from msgspec import structs
from rich.console import Console

from interlock.app.reading import open_reading
from interlock.cli.main import OK, USAGE
from interlock.cli.statement import draw
from interlock.cli.summary import Batch, Ended, facts
from interlock.cli.text import money
from interlock.economics.statement import asks_of, contexts_of
from tests.cli.kit import Cli, faults

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m [bold]loud[/bold] [/] \u202eesrever :smile:"


@pytest.mark.requirement("OP-02")
def test_tasks_are_listed_newest_first_with_outcome_and_cost(ran: Cli):
    said = ran("tasks")
    listed = ran("tasks", "--json").json

    assert said.code == OK
    assert [each["started"] for each in listed] == sorted((each["started"] for each in listed), reverse=True)
    assert all(each["task"] in said.out for each in listed)
    assert faults(listed, "tasks") == []


def test_tasks_are_filtered_by_outcome_status_workflow_and_age(ran: Cli):
    assert len(ran("tasks", "--json", "--outcome", "simulated").json) == 1
    assert len(ran("tasks", "--json", "--status", "finished", "--limit", 2).json) == 2
    assert len(ran("tasks", "--json", "--workflow", "helpdesk", "--since", "1h").json) == 4
    assert ran("tasks", "--json", "--status", "waiting").json == []
    assert ran("tasks", "--outcome", "resolvd").code == USAGE
    assert ran("tasks", "--since", "yesterday").code == USAGE


def test_an_empty_list_teaches_the_next_command(starter: Cli):
    said = starter("tasks")

    assert (said.code, said.out) == (OK, "")
    assert "interlock run WORKFLOW --input FILE" in said.err


def test_a_trace_shows_input_steps_decisions_answer_and_versions(ran: Cli):
    task = next(each["task"] for each in ran("tasks", "--json").json if each["line"] == 1)

    said = ran("trace", task)

    assert said.code == OK
    for words in (
        "hi, where is my order AB-1001?",
        "understood order_status",
        "flow_chosen",
        "orders.get",
        "→ id=AB-1001",
        "Order AB-1001 is on its way.",
        "cites delivery",
        "a success according to expected",
        "contract ",
    ):
        assert words in said.out
    assert faults(ran("trace", task, "--json").json, "trace") == []


def test_a_trace_names_why_a_task_left_the_device_and_marks_simulated_answers(ran: Cli):
    said = ran("trace", ran("tasks", "--json", "--outcome", "simulated").json[0]["task"])

    assert "left_flow" in said.out
    assert "simulated/small" in said.out
    assert "answered by a simulated model" in said.out


def test_a_task_is_found_by_a_unique_beginning_of_its_id(ran: Cli):
    tasks = [each["task"] for each in ran("tasks", "--json").json]

    assert ran("trace", tasks[1][4:28], "--json").json["task"]["task"] == tasks[1]
    several = ran("trace", "tsk_")
    nothing = ran("trace", "tsk_zzz")

    assert (several.code, nothing.code) == (USAGE, USAGE)
    assert "4 tasks begin with" in several.err
    assert f"The newest is {tasks[0]}" in nothing.err


def test_a_call_leads_to_its_task(ran: Cli):
    trace = ran("trace", "last", "--json").json
    call = next(step["call"]["call"] for step in trace["steps"] if step["call"])

    assert ran("trace", call, "--json").json["task"] == trace["task"]
    assert ran("trace", "cal_nope").code == USAGE


def test_hostile_text_reaches_the_terminal_as_text_only(ran: Cli):
    said = ran("run", "helpdesk", "--text", HOSTILE)
    traced = ran("trace", "last")

    for out in (said.out, said.err, traced.out):
        assert "\x1b" not in out
        assert "\u202e" not in out
    assert "red [bold]loud[/bold] [/] esrever :smile:" in traced.out
    assert ran("trace", "last", "--json").json["steps"][0]["content"]["input"]["text"] == HOSTILE


@pytest.mark.requirement("OP-02")
def test_the_statement_adds_up_and_keeps_simulated_money_apart(ran: Cli):
    said = ran("pnl")
    pnl = ran("pnl", "--json").json

    assert said.code == OK
    assert faults(pnl, "pnl") == []
    real = [line for line in pnl["lines"] if not line["simulated"]]
    assert sum(line["cost_nano_usd"] for line in real) == pnl["cost_nano_usd"]
    assert pnl["cost_nano_usd"] == sum(each["cost_nano_usd"] for each in ran("tasks", "--json").json)
    assert (pnl["tasks"], pnl["succeeded"], pnl["revenue_nano_usd"]) == (4, 2, 2 * 500_000_000)
    assert "cost per success" in said.out
    assert "1 task, no success, no money" in said.out


def test_a_statement_of_nothing_says_so(starter: Cli):
    assert "nothing has been spent" in starter("pnl").err
    assert starter("pnl", "--json").json["tasks"] == 0


def test_a_workflow_that_is_no_more_is_remarked(ran: Cli):
    assert "no contract 'helpdsk'" in ran("pnl", "--workflow", "helpdsk").err


def test_a_narrow_terminal_wraps_words_and_cuts_no_figure_of_the_statement(ran: Cli):
    with open_reading(ran.folder) as reading:
        statement = reading.pnl(workflow="helpdesk")[0]
    narrow = StringIO()

    Console(width=60, file=narrow).print(draw(statement))

    shown = narrow.getvalue()
    assert money(statement.revenue_nano_usd) in shown
    assert money(statement.margin_nano_usd) in shown
    assert "…" not in shown


@pytest.mark.requirement("EC-01", "SG-02")
def test_the_statement_tells_questions_to_people_and_the_trend_with_the_length_of_inputs(ran: Cli):
    with open_reading(ran.folder) as reading:
        statement = reading.pnl(workflow="helpdesk")[0]
    costs = contexts_of([(1024, 8, 4, 4_000_000), (8192, 2, 1, 9_000_000), (65536, 1, 0, 5_000_000)])
    wide = StringIO()

    Console(width=200, file=wide).print(draw(structs.replace(statement, asks=asks_of(3, 1, 10), contexts=costs)))

    shown = wide.getvalue()
    assert "4 questions to people, 0.40 a task (3 by information flow, 1 by rules)" in shown
    assert "≤ 1,024 tokens $0.001000 · ≤ 8,192 tokens $0.009000 · ≤ 65,536 tokens none" in shown


def test_a_negative_limit_is_a_usage_error(ran: Cli):
    said = ran("tasks", "--limit", "-1")

    assert said.code == USAGE
    assert "'-1' is not a whole number of zero or more" in said.err


def test_reasons_of_a_part_of_the_escalated_tasks_are_told_as_such():
    tasks = tuple(Ended(f"tsk_{n}", n, "simulated", 1000, finished=True, escalations=1) for n in range(4))

    [_, part] = facts(Batch("helpdesk", tasks, 1.0, reasons={"confidence < 0.72": 3}, explained=3))
    [_, every] = facts(Batch("helpdesk", tasks, 1.0, reasons={"confidence < 0.72": 4}, explained=4))

    assert part.plain == "escalated    4 tasks   of 3 looked at: 3× confidence < 0.72"
    assert every.plain == "escalated    4 tasks   4× confidence < 0.72"


@pytest.mark.requirement("TL-10")
def test_how_often_a_tool_answered_from_memory_is_told_to_people_and_programs(starter: Cli):
    starter.edit("agents/helpdesk.yaml", "retries: 1}", "retries: 1, cache_ttl_s: 60}")
    asked = starter.file("asked.jsonl", *[{"text": "hi, where is my order AB-1001?"}] * 4)

    starter("run", "helpdesk", "--input", asked, "--concurrency", 1)
    pnl = starter("pnl", "--json").json

    assert pnl["kept_answers"] == {"orders.get": {"answers": 4, "kept": 3, "share": 0.75}}
    assert faults(pnl, "pnl") == []
    assert "orders.get 75 % of 4" in " ".join(starter("pnl").out.split())
