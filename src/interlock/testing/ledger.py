"""A ledger in memory that is strict about its contract: a slot is settled once, and none is left open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.core.errors import LedgerFull
from interlock.core.events import Record, Settled
from interlock.core.lots import Brief, Form, Lot, Opened, crashed
from interlock.core.short import OPEN_MOST
from interlock.core.time import Deadline


class MemoryLedger:
    """Keeps what is settled, in order."""

    def __init__(self, room: int | None = None) -> None:
        self.settled: list[Settled] = []
        self.contents: list[dict[str, Any] | None] = []
        self.records: list[Record] = []
        self.open_slots: dict[int, Settled] = {}
        self.noted: dict[int, Brief] = {}
        """Settled calls that have not been handed over yet."""
        self.room = room
        """Calls that may still be opened before the ledger says it is full; `None` for no end."""
        self._next = 0

    async def ready(self, deadline: Deadline) -> None:
        """Room comes or does not come at once here."""

    def has_room(self) -> bool:
        return self.room is None or self.room > 0

    def open(self, if_crashed: Settled) -> int:
        if self.room is not None:
            if self.room <= 0:
                raise LedgerFull("the ledger has no room for another call.")
            self.room -= 1
        self._next += 1
        self.open_slots[self._next] = if_crashed
        return self._next

    def note_open(self, form: Form, opened: Opened) -> int:
        if_crashed = crashed(form.crashed, opened)
        assert len(if_crashed) <= OPEN_MOST, "an event of the short way fits its place in the journal"
        return self.open(msgspec.json.decode(if_crashed, type=Settled))

    def note_settled(self, slot: int, form: Form, brief: Brief) -> None:
        assert slot in self.open_slots, f"slot {slot} was never opened"
        assert brief.task == self.open_slots[slot].caller.task, "it is the call that was opened"
        self.noted[slot] = brief

    def hand_over(self, form: Form, briefs: list[Brief], slots: list[int]) -> None:
        for slot, brief, record in zip(slots, briefs, Lot(form, briefs, 0).records(), strict=True):
            assert self.noted.pop(slot) == brief, "what is handed over is what was noted"
            assert isinstance(record.event, Settled)
            self.settle(slot, record.event)

    def settle(self, slot: int, settled: Settled, content: dict[str, Any] | None = None, *, fence: int = 0) -> None:
        if slot not in self.open_slots:
            raise AssertionError(f"slot {slot} is settled twice, or was never opened")
        del self.open_slots[slot]
        self.settled.append(settled)
        self.contents.append(content)

    async def append(self, records: Sequence[Record]) -> None:
        self.records.extend(records)

    @property
    def last(self) -> Settled:
        """The newest event."""
        return self.settled[-1]
