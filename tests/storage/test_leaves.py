"""Keys out of one root: whichever are destroyed, those are gone and all others stay what they were."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.storage.sealing.leaves import DEPTH, Leaves, number_of

ROOT = bytes(range(32))
LAST = 2**DEPTH - 1
numbers = st.integers(0, LAST) | st.integers(0, 7) | st.integers(LAST - 7, LAST)


@pytest.mark.requirement("SG-08")
@given(gone=st.lists(numbers, max_size=12), asked=st.lists(numbers, min_size=1, max_size=6))
@example(gone=[0, 1, LAST, LAST - 1], asked=[2, LAST - 2])
def test_what_was_destroyed_is_gone_and_every_other_key_is_what_it_was(gone: list[int], asked: list[int]):
    whole = left = Leaves.whole(ROOT)
    for each in gone:
        left = left.without(each)
    left = Leaves.decoded(left.encoded())
    for each in (*gone, *asked):
        assert (each in left) == (each not in gone)
        assert left.key(each) == (None if each in gone else whole.key(each))


@given(first=numbers, other=numbers)
def test_no_seed_that_is_kept_lies_on_the_way_to_one_that_is_gone(first: int, other: int):
    way = Leaves.whole(ROOT)
    kept = way.without(first).without(other).encoded()
    for number in (first, other):
        secret = way.key(number)
        assert secret is not None
        assert secret not in kept
    assert ROOT not in kept
    assert len(kept) <= 2 * DEPTH * 41


def test_numbers_are_of_one_user_under_one_key_at_one_time():
    some = [(key, user, again) for key in ("k1", "k2") for user in ("ada", "bob", "1:ada") for again in (0, 1, 11)]
    assert len({number_of(*each) for each in some}) == len(some)
    assert number_of("k1", "ada", 0) == number_of("k1", "ada", 0)
