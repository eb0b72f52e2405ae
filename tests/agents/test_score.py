"""Labels of an input line against a finished task."""

from typing import Any

import pytest

from interlock.agents.score import mismatches, score
from interlock.agents.state import State
from interlock.core.events import Finished, Outcome


def ended(outcome: Outcome = "resolved", **answer: Any) -> State:
    given: dict[str, Any] = {"answer": "Five days,\nwith UPS.", "citations": ["shipping"], **answer}
    return State(finished=Finished(outcome), answer=given)


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        ({}, []),
        ({"outcome": "resolved", "contains": ["five days, with"]}, []),
        ({"contains": "UPS"}, []),
        ({"article": "shipping"}, []),
        ({"article": ["returns", "shipping"]}, []),
        ({"article": ["returns", "sizes"]}, ["cited shipping, expected returns or sizes"]),
        ({"outcome": "denied"}, ["outcome resolved, expected denied"]),
        ({"intent": "returns"}, ["intent none, expected returns"]),
        ({"contains": ["FedEx", "DHL"]}, ["the answer lacks 'FedEx'", "the answer lacks 'DHL'"]),
    ],
)
def test_each_label_that_does_not_hold_is_named(expected: dict[str, Any], wrong: list[str]):
    assert mismatches(ended(), expected) == wrong


def test_only_a_resolved_task_of_which_every_label_holds_is_a_success():
    right = score(ended(), {"contains": ["UPS"]})
    handed_over = score(ended("handed_to_human", answer=None), {"outcome": "handed_to_human"})
    assert right is not None
    assert handed_over is not None
    assert (right.success, right.source) == (True, "expected")
    assert (handed_over.success, handed_over.note) == (False, "as expected: handed_to_human")


def test_without_labels_or_before_the_end_nothing_is_said():
    assert score(ended(), {}) is None
    assert score(State(), {"outcome": "resolved"}) is None
