"""Identifiers that sort by time and are never drawn from the process-wide random state.

A seeded `random` (evaluations do that all the time) must not make two runs share ids, so the bits come from the
operating system.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from itertools import product
from typing import Protocol

from .time import NS_PER_MS, Clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, lower case: no letter is mistaken for a digit when a person reads an id aloud."""
_PAIRS = tuple("".join(pair) for pair in product(_ALPHABET, repeat=2))
"""Two digits for each ten bits."""
_TIME_DIGITS, _RANDOM_DIGITS = 10, 16
_SPELLING = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))
"""A digit for each random byte, five bits of which count."""
_DRAWN_AHEAD = 64
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


class Ids(Protocol):
    """A source of fresh identifiers."""

    def new(self, prefix: str) -> str:
        """A fresh id such as `tsk_01k9…`; ids of one prefix sort by the millisecond in which they were made."""
        ...


class SystemIds:
    """Ids of 48 bits of milliseconds and 80 random bits, in base 32 (the layout of ULID)."""

    def __init__(self, clock: Clock, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._entropy = entropy
        self._drawn: list[str] = []
        _forget_in_child(self._drawn)
        self._spelt = (-1, "")
        """The last millisecond and its digits, in one value, since several threads make ids."""

    def new(self, prefix: str) -> str:
        millis = self._clock.wall_ns() // NS_PER_MS
        spelt = self._spelt
        if spelt[0] != millis:
            spelt = self._spelt = (millis, _digits(millis, _TIME_DIGITS))
        try:
            drawn = self._drawn.pop()
        except IndexError:
            drawn = self._draw()
        return f"{prefix}_{spelt[1]}{drawn}"

    def _draw(self) -> str:
        """Random digits for many ids at once, since asking the operating system costs more than all the rest."""
        digits = self._entropy(_RANDOM_DIGITS * _DRAWN_AHEAD).translate(_SPELLING).decode("ascii")
        drawn = [digits[at : at + _RANDOM_DIGITS] for at in range(0, len(digits), _RANDOM_DIGITS)]
        mine = drawn.pop()
        self._drawn += drawn
        return mine


def _forget_in_child(drawn: list[str]) -> None:
    """A forked child must not repeat its parent's ids."""
    os.register_at_fork(after_in_child=drawn.clear)


def _digits(number: int, count: int) -> str:
    """The last `count` (even) base-32 digits of `number`."""
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * count - 10, -1, -10)])


def trace_id(task: str, parent: str = "") -> str:
    """The task's W3C trace id (32 hex digits): its caller's, where one sent a `traceparent`, else one that follows from the task's id."""
    return parent[3:35] if parent else hashlib.blake2b(task.encode(), digest_size=16).hexdigest()


def span_id(task: str, step: int = -1, attempt: int = -1) -> str:
    """The span (16 hex digits) of a task, of one of its steps, or of one attempt of a step; the same whenever it is asked for."""
    return hashlib.blake2b(f"{task}:{step}:{attempt}".encode(), digest_size=8).hexdigest()


def traceparent(task: str, step: int, parent: str = "") -> str:
    """The W3C Trace Context header of one step of a task. Source: https://www.w3.org/TR/trace-context/"""
    return f"00-{trace_id(task, parent)}-{span_id(task, step)}-01"


def read_traceparent(header: str) -> str:
    """`header` as it is where it is a W3C `traceparent` of a span that exists, else nothing."""
    found = _TRACEPARENT.fullmatch(header)
    return header[:55] if found and found[1].strip("0") and found[2].strip("0") else ""
