"""Lots: batches of ledger events that share a template (`Form`) and differ only in a few numbers, which are kept as rows (`Brief`).

Above: gateway makes forms, the ledger keeps lots in its journal, storage in its segments. Below: events. Pure. Whoever wants the events gets them (`Lot.records`, `answered`); whoever
adds up reads columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from .events import Record, Settled, lone_ids

TASK_BYTES = 30
"""Of a task's id; one of another length has no place in a lot."""
LONGEST_US = 1 << 31
"""A stream that takes so long has no place in a lot."""
_settled = msgspec.json.Decoder(Settled)


class Form(Struct, frozen=True, gc=False, eq=False):
    """What the calls of a lot have in common: two events as JSON with places left open, in the order of `Opened` and `Brief`. Equal only to itself."""

    crashed: bytes
    """The event of a call that its process did not live to settle, as a template of `%`."""
    answered: bytes
    """The event of one that was answered at its one try."""
    sample: Settled
    """An answered one; what it says beside `Brief` holds for all of them."""


class Opened(NamedTuple):
    """A call that has begun: what its process dying now would make of it, by upper estimates (tokens, nano-dollars)."""

    task: str
    started_ns: int
    input: int
    output: int
    cost_nano_usd: int


class Brief(NamedTuple):
    """A call that was answered: what is its own (ns since the epoch, µs, tokens, nano-dollars)."""

    task: str
    started_ns: int
    duration_us: int
    input: int
    output: int
    cost_nano_usd: int
    reserved_nano_usd: int
    first_us: int = 0
    """Until the first piece of a stream with words in it, never 0 for one; its form has a place for that, and forms of whole answers have none."""


class Lot(Struct, frozen=True, gc=False):
    """Calls of one form that were settled at about the same time."""

    form: Form
    briefs: Sequence[Brief]
    at_ns: int

    def records(self) -> list[Record]:
        """The calls as they stand in the log, each a task of its own."""
        return [self._record(answered(self.form.answered, brief)) for brief in self.briefs]

    def _record(self, encoded: bytes) -> Record:
        event = _settled.decode(encoded)
        caller = event.caller
        return Record(caller.task, caller.step, caller.tenant, self.at_ns, event, encoded=encoded)


def merged(lots: Sequence[Lot]) -> list[Lot]:
    """Lots of one form as one, handed over when its last was: whoever writes them has something to do for each."""
    by_form: dict[Form, list[Lot]] = {}
    for lot in lots:
        by_form.setdefault(lot.form, []).append(lot)
    return [
        Lot(form, [brief for each in of_form for brief in each.briefs], of_form[-1].at_ns)
        for form, of_form in by_form.items()
    ]


def crashed(form: bytes, opened: Opened) -> bytes:
    """The event as JSON of a call that crashed, by a form's `crashed`."""
    task, started_ns, into, out, cost = opened
    task, call = lone_ids(task)
    return form % (call.encode(), task.encode(), started_ns, into, out, cost, cost)


def answered(form: bytes, brief: Brief) -> bytes:
    """The event as JSON of a call that was answered, by a form's `answered`."""
    task, started_ns, took_us, into, out, cost, reserved, first_us = brief
    task, call = lone_ids(task)
    return form % (
        *(call.encode(), task.encode(), started_ns, took_us),
        *((first_us,) if first_us else ()),
        *(started_ns, took_us, into, out, cost, into, out, cost, reserved),
    )
