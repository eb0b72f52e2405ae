"""Identifiers that sort by time and are never drawn from the process-wide random state.

A seeded `random` (evaluations do that all the time) must not make two runs share ids, so the bits come from the
operating system.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Protocol

from .time import NS_PER_MS, Clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, lower case: no letter is mistaken for a digit when a person reads an id aloud."""


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

    def new(self, prefix: str) -> str:
        millis = self._clock.wall_ns() // NS_PER_MS
        number = (millis << 80) | int.from_bytes(self._entropy(10), "big")
        digits: list[str] = []
        for _ in range(26):
            digits.append(_ALPHABET[number & 31])
            number >>= 5
        return f"{prefix}_{''.join(reversed(digits))}"


def trace_id(task: str) -> str:
    """The task's W3C trace id (32 hex digits); the same for everybody who knows the task's id."""
    return hashlib.blake2b(task.encode(), digest_size=16).hexdigest()


def traceparent(task: str, step: int) -> str:
    """The W3C Trace Context header of one step of a task. Source: https://www.w3.org/TR/trace-context/"""
    return f"00-{trace_id(task)}-{step + 1:016x}-01"
