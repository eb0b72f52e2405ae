"""What became of tasks against their labels: right, wrong, left to a person, not scored."""

import pytest

from interlock.cli.scoring import verdict

RESOLVED = {"outcome": "resolved", "article": "return-policy", "contains": ["45 days"]}
TO_A_PERSON = {"outcome": "handed_to_human", "intent": "out_of_scope"}


@pytest.mark.parametrize(
    ("expected", "outcome", "success", "said"),
    [
        (RESOLVED, "resolved", True, "right"),
        (RESOLVED, "resolved", False, "wrong"),
        (RESOLVED, "handed_to_human", False, "missed"),
        (RESOLVED, "waiting_approval", None, "wrong"),
        (RESOLVED, "simulated", False, "simulated"),
        (RESOLVED, "limit_reached", False, "unfinished"),
        (TO_A_PERSON, "handed_to_human", False, "right"),
        (TO_A_PERSON, "resolved", False, "wrong"),
        ({"outcome": "waiting_approval"}, "waiting_approval", None, "right"),
        ({"contains": ["45 days"]}, "resolved", True, "right"),
    ],
)
def test_each_way_a_task_can_end_has_its_verdict(expected, outcome, success, said):
    assert verdict(expected, outcome, success) == said
