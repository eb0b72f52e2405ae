"""Answers against labels: right, wrong, left to a person, not scored."""

import pytest

from interlock.cli.scoring import score

LABEL = {"outcome": "resolved", "intent": "returns", "article": "return-policy", "contains": ["45 days", "Label"]}
GOOD = {"outcome": "resolved", "answer": "You have 45  days; the label comes\nby mail.", "citations": ["return-policy"]}


def verdict(label=LABEL, **changes):
    return score(label, **{**GOOD, **changes}).verdict


def test_an_answer_that_satisfies_every_part_of_its_label_is_right():
    assert verdict() == "right"
    assert verdict(answer={"answer": "45 days, label"}) == "right"


@pytest.mark.parametrize(
    "changes",
    [
        {"answer": "45 days"},
        {"answer": None},
        {"citations": ["exchanges"]},
        {"citations": []},
        {"intent": "exchange_item"},
        {"outcome": "waiting_approval"},
    ],
)
def test_an_answer_that_differs_from_its_label_is_wrong_and_says_in_what(changes):
    scored = score(LABEL, **{**GOOD, **changes})

    assert scored.verdict == "wrong"
    assert scored.why


def test_a_task_left_to_a_person_is_missed_not_wrong():
    assert verdict(outcome="handed_to_human", answer=None, citations=[]) == "missed"


def test_a_task_that_has_to_go_to_a_person_is_right_there_and_wrong_when_answered():
    label = {"outcome": "handed_to_human", "intent": "out_of_scope"}

    assert verdict(label, outcome="handed_to_human", answer=None, citations=[]) == "right"
    assert verdict(label) == "wrong"


def test_what_a_simulated_model_answered_is_not_scored():
    assert verdict(outcome="simulated") == "simulated"


def test_a_label_without_an_outcome_expects_an_answer():
    assert verdict({"contains": "45 days"}) == "right"
    assert verdict({"article": ["exchanges", "return-policy"]}) == "right"
