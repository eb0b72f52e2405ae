"""Following a task: whatever order its records come in, and wherever the reader left off, each comes once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.app.following import Place, news, place_of
from interlock.ledger.read import TracedStep


def steps(numbers: list[int]) -> list[TracedStep]:
    return [TracedStep(number, "noted", "") for number in sorted(numbers)]


@pytest.mark.requirement("AG-09")
@given(st.permutations(list(range(9))), st.lists(st.integers(0, 9), max_size=5))
def test_a_reader_who_comes_back_with_what_it_was_told_misses_and_repeats_nothing(order: list[int], cuts: list[int]):
    """Records land one after another in any order; at each cut the reader comes back with the text of its last event's id."""
    place, seen = Place(), list[int]()
    for count in range(len(order) + 1):
        if count in cuts:
            place = place_of(str(place)) if seen else Place()
        for came in news(steps(order[:count]), place):
            place = came.place
            seen.append(came.step.step)
    assert seen == order


@pytest.mark.parametrize("text", ["", "x", "-", "1-x", "99999999999", "²"])
def test_an_id_that_is_none_of_ours_means_the_beginning(text: str):
    assert place_of(text) == Place()


def test_numbers_in_order_are_told_as_plain_numbers():
    assert [str(came.place) for came in news(steps([0, 1, 2]), Place())] == ["0", "1", "2"]
    assert [str(came.place) for came in news(steps([0, 3]), Place())] == ["0", "3-1-2"]
