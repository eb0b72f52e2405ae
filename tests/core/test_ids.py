"""Ids are unique, sort by time, and a fork repeats none."""

from __future__ import annotations

import os
import random
import re

from interlock.core.ids import SystemIds
from interlock.core.time import SystemClock


class Hands:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.ns = 1_790_000_000_000_000_000

    def wall_ns(self) -> int:
        return self.ns

    def monotonic_s(self) -> float:
        return self.ns / 1e9


def test_ids_have_26_digits_and_none_comes_twice():
    ids = SystemIds(SystemClock())
    made = [ids.new("tsk") for _ in range(1_000)]
    assert len(set(made)) == 1_000
    assert all(re.fullmatch("tsk_[0-9a-hjkmnp-tv-z]{26}", each) for each in made)


def test_ids_sort_by_the_millisecond_in_which_they_were_made():
    clock = Hands()
    ids = SystemIds(clock)
    made: list[str] = []
    for _ in range(100):
        made.append(ids.new("cal"))
        clock.ns += 1_000_000
    assert made == sorted(made)


def test_the_layout_is_that_of_a_ulid():
    clock = Hands()
    ids = SystemIds(clock, entropy=lambda size: b"\xff" * size)
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    number = 0
    for digit in ids.new("x").removeprefix("x_"):
        number = number * 32 + alphabet.index(digit)
    assert (number >> 80, number & (1 << 80) - 1) == (clock.ns // 1_000_000, (1 << 80) - 1)


def test_a_forked_child_repeats_no_id_of_its_parent():
    ids = SystemIds(Hands())
    ids.new("tsk")  # random bits for more ids are at hand now
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, ids.new("tsk").encode())
        os._exit(0)
    os.waitpid(child, 0)
    made = os.read(reader, 100).decode()
    os.close(reader)
    os.close(writer)
    assert made.startswith("tsk_")
    assert made != ids.new("tsk")


def test_a_seeded_random_does_not_make_two_runs_share_ids():
    made: list[str] = []
    for _ in range(2):
        random.seed(1)
        made.append(SystemIds(Hands()).new("tsk"))
    assert made[0] != made[1]
