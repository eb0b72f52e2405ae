"""Batches: bounded, resumable, and one bad line never stops the others."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from interlock.agents.batch import Done, Line, batch_name, read_lines, run_batch
from interlock.agents.service import Agents
from interlock.core.errors import InvalidRequest, StoreUnavailable
from tests.agents.kit import World, contract, make, says, wants


def lines(count: int) -> list[Line]:
    return [Line(n, {"text": f"t{n}"}, id=f"T{n}") for n in range(1, count + 1)]


async def whole(agents: Agents, given: list[Line], **options: Any) -> list[Done]:
    return [done async for done in run_batch(agents, "support", given, **options)]


async def test_every_line_ends_and_a_bad_one_is_kept_aside_with_its_number(world: World):
    given = [*lines(3), Line(4, fault="not JSON"), Line(5, {"texd": "x"})]
    done = await whole(world.agents(contract(), [says("ok")] * 3), given, batch="b")
    assert sorted(d.line.number for d in done if d.result) == [1, 2, 3]
    assert {d.line.number: d.fault.split(" (")[0] for d in done if d.fault} == {4: "not JSON", 5: "text is missing"}


async def test_a_rerun_passes_over_what_is_done_and_resumes_what_is_not(world: World):
    agents = world.agents(contract(), [says("ok")] * 2)
    first = await whole(agents, lines(2), batch="b")
    second = await whole(world.agents(contract(), [says("new")]), lines(3), batch="b")
    assert [(d.line.number, d.before) for d in sorted(second, key=lambda d: d.line.number)] == [
        (1, True),
        (2, True),
        (3, False),
    ]
    assert {d.result.task for d in first if d.result} < {d.result.task for d in second if d.result}
    other = await whole(world.agents(contract(), [says("x")]), lines(1), batch="another")
    assert [d.before for d in other] == [False]


async def test_no_more_tasks_run_at_once_than_allowed(world: World):
    running = [0, 0]

    async def busy() -> int:
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(0)
        running[0] -= 1
        return 1

    agents = world.agents(contract(make(busy, effect="none")), [*[wants(("busy", {}))] * 12, *[says("ok")] * 12])
    assert len(await whole(agents, lines(12), concurrency=3)) == 12
    assert running[1] <= 3


async def test_stopping_lets_go_at_the_next_step_and_a_rerun_finishes(world: World):
    ran: list[str] = []
    holder: list[Agents] = []

    def once(n: str = "") -> str:
        ran.append(n)
        if len(ran) == 2:
            holder[0].stop()
        return "ok"

    declared = contract(make(once, effect="idempotent"))

    def answers(count: int) -> list[Any]:
        return [
            lambda request: (
                wants(("once", {"n": request.messages[1].text})) if len(request.messages) == 2 else says("done")
            )
        ] * count

    holder.append(world.agents(declared, answers(20)))
    first = await whole(holder[0], lines(5), concurrency=2, batch="b")
    assert len(first) < 5
    second = await whole(world.agents(declared, answers(20)), lines(5), concurrency=2, batch="b")
    assert sorted(d.line.number for d in second if d.result and d.result.outcome == "resolved") == [1, 2, 3, 4, 5]
    assert sorted(ran) == [f"t{n}" for n in range(1, 6)]


async def test_two_runs_of_one_file_at_the_same_time_do_each_line_once(world: World):
    ran: list[str] = []
    declared = contract(make(lambda: ran.append("x"), name="act", effect="once"))
    both = [
        world.agents(declared, [lambda r: wants(("act", {})) if len(r.messages) == 2 else says("ok")] * 40)
        for _ in range(2)
    ]
    done = await asyncio.gather(*[whole(agents, lines(6), batch="b", concurrency=3) for agents in both])
    assert len(ran) == 6
    assert {d.line.number for each in done for d in each if d.result} == {1, 2, 3, 4, 5, 6}
    assert {d.fault.split(" took")[0].split(" has")[0] for each in done for d in each if d.fault} <= {"another worker"}


async def test_a_store_that_fails_under_several_lines_ends_the_batch_with_one_error(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def find(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    agents = world.agents(contract())
    monkeypatch.setattr(agents, "find", find)

    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await whole(agents, lines(4), batch="b")
    gc.collect()

    assert caplog.records == []


async def test_an_unknown_workflow_is_said_before_any_line_is_read(world: World):
    with pytest.raises(InvalidRequest, match="there is no workflow 'other'"):
        [done async for done in run_batch(world.agents(contract()), "other", lines(1))]


JSONL = b"""\xef\xbb\xbf{"text": "a", "id": "T1", "expected": {"outcome": "resolved"}}

{"text": "b"
["c"]
{"text": "\xff"}
{"text": "e", "expected": "x"}
"""


def test_json_lines_are_read_with_their_numbers_and_faults(tmp_path: Path):
    file = tmp_path / "in.jsonl"
    file.write_bytes(JSONL)
    read = list(read_lines(file))
    assert read[0] == Line(1, {"text": "a"}, "T1", {"outcome": "resolved"})
    assert [(line.number, line.fault.split(":")[0]) for line in read[1:]] == [
        (3, "not JSON"),
        (4, "expected a JSON object with the contract's inputs"),
        (5, "not JSON"),
        (6, "expected"),
    ]


def test_csv_rows_are_read_with_labels_in_columns(tmp_path: Path):
    file = tmp_path / "in.csv"
    file.write_bytes(
        b'id,text,expected.outcome,expected.contains\nT1,"a, b",resolved,UPS|shipped\nT2,c\nT3,d,,,x\nT4,\xff,,\nT5,"two\nlines",,\n'
    )
    read = list(read_lines(file))
    assert read[0] == Line(2, {"text": "a, b"}, "T1", {"outcome": "resolved", "contains": ["UPS", "shipped"]})
    assert [(line.number, line.fault) for line in read[1:4]] == [
        (3, "fewer values than the header has columns"),
        (4, "more values than the header has columns"),
        (5, "not UTF-8"),
    ]
    assert read[4] == Line(7, {"text": "two\nlines"}, "T5")


def test_a_label_that_nothing_could_be_held_against_is_a_fault(tmp_path: Path):
    (tmp_path / "in.jsonl").write_text(
        '{"text": "a", "expected": {"outcom": "resolved"}}\n{"text": "b", "expected": {"outcome": "solved"}}\n'
    )
    (tmp_path / "in.csv").write_text("text,expected.intnt\na,x\n")
    slip, value = (line.fault for line in read_lines(tmp_path / "in.jsonl"))
    [column] = (line.fault for line in read_lines(tmp_path / "in.csv"))
    assert slip == "expected: no label 'outcom'; there are outcome, intent, article, contains"
    assert value.startswith("expected: no outcome 'solved'; there are resolved, ")
    assert column.startswith("expected: no label 'intnt'")


def test_csv_columns_may_be_parted_by_semicolons_or_tabs_and_only_labels_are_taken_for_labels(tmp_path: Path):
    for separator in ";\t":
        (tmp_path / "in.csv").write_text(f"id{separator}text{separator}expected_by\nT1{separator}a, b{separator}May\n")
        assert list(read_lines(tmp_path / "in.csv")) == [Line(2, {"text": "a, b", "expected_by": "May"}, "T1")]


def test_a_row_that_never_ends_is_named_by_its_own_line(tmp_path: Path):
    (tmp_path / "in.csv").write_text('id,text\n1,"two\nlines"\n2,"never closed\n')
    assert [(line.number, bool(line.fault)) for line in read_lines(tmp_path / "in.csv")] == [(3, False), (4, True)]


def test_a_file_in_an_encoding_without_lines_is_refused_with_what_to_do(tmp_path: Path):
    (tmp_path / "in.jsonl").write_bytes('{"text": "a"}\n'.encode("utf-16"))
    with pytest.raises(InvalidRequest, match=r"is UTF-16, not UTF-8\. Save it as UTF-8\."):
        read_lines(tmp_path / "in.jsonl")


def test_a_line_too_long_is_a_fault_and_the_next_one_is_read(tmp_path: Path):
    file = tmp_path / "in.jsonl"
    file.write_text('{"text": "' + "x" * 2_000_000 + '"}\n{"text": "b"}\n')
    first, second = read_lines(file)
    assert first.fault == "longer than 1,000,000 bytes"
    assert (second.number, second.given) == (2, {"text": "b"})


def test_a_file_of_another_kind_or_none_at_all_is_refused(tmp_path: Path):
    with pytest.raises(InvalidRequest, match="unknown kind of file"):
        read_lines(tmp_path / "in.xlsx")
    with pytest.raises(InvalidRequest, match="there is no such file"):
        read_lines(tmp_path / "in.csv")


def test_a_batch_is_named_by_its_file_and_content(tmp_path: Path):
    file = tmp_path / "in.jsonl"
    file.write_text("{}")
    first = batch_name(file)
    assert first == batch_name(file) != batch_name(file, "c2")
    file.write_text("{} ")
    assert batch_name(file) != first
