"""Results come out in the order of the input, whichever order the tasks end in."""

import json

import pytest

from interlock.agents.batch import Done
from interlock.agents.lines import Line
from interlock.agents.result import TaskResult
from interlock.cli.inorder import InOrder


def done(number: int, *, before: bool = False) -> Done:
    result = TaskResult(f"tsk_{number}", "resolved", "a", 1.0, "tier0", 0, 1, 0, 1, (), None)
    return Done(Line(number, id=f"T-{number}"), result, before=before)


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]):
    return lambda: [json.loads(line)["line"] for line in capsys.readouterr().out.splitlines()]


def test_a_line_waits_for_those_before_it(shown):
    ordered = InOrder()
    lines = [each.number for each in ordered.reading([Line(1), Line(3), Line(4), Line(7)])]
    assert lines == [1, 3, 4, 7]
    ordered.add(done(4))
    ordered.add(done(3))
    assert shown() == []
    ordered.add(done(1))
    assert shown() == [1, 3, 4]
    ordered.add(done(7))
    assert shown() == [7]


def test_lines_without_a_new_result_hold_nobody_back(shown):
    ordered = InOrder()
    list(ordered.reading([Line(1), Line(2), Line(3)]))
    ordered.add(done(1, before=True))
    ordered.add(Done(Line(2), None, "not JSON"))
    ordered.add(done(3))
    assert shown() == [3]


def test_a_stopped_run_prints_what_has_ended(shown):
    ordered = InOrder()
    list(ordered.reading([Line(1), Line(2), Line(3)]))
    ordered.add(done(3))
    ordered.finish()
    assert shown() == [3]
