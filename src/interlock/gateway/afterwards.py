"""Deferred work of fast-path calls: once an answer is on its way, its limits are settled, latency statistics updated and caches filled, in batches.

Above: ride, desk. Below: asyncio. Nobody waits for any of it, so it is done for many calls in one go: the same few steps in a row cost half of what they
cost one by one between two system calls. The calls themselves stand in the ledger's journal before. Whoever looks at what this changes (the long
way, a limit that seems to be reached, an identical call) has it done first, so that the delay is never seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from interlock.core.lots import Brief, Form
from interlock.core.short import QuickLedger

MOST = 64
WITHIN_S = 0.005
_log = logging.getLogger("interlock.gateway")


class Settling(Protocol):
    """A call that stands in the journal as settled."""

    form: Form | None
    brief: Brief | None
    slot: int

    def see_to(self, alike: Sequence[Any]) -> None:
        """What is left to be done of calls of its form, itself among them, beside their being written."""
        ...


class Afterwards:
    """Work that waits for company. It belongs to the event loop that uses it."""

    __slots__ = ("_due", "_ledger", "_loop", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[Settling] = []
        self._ledger: QuickLedger | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due = False

    def add(self, call: Settling, ledger: QuickLedger) -> None:
        """Sees to it, and hands it over to `ledger`, which is the same for all, within a few milliseconds."""
        waiting = self._waiting
        waiting.append(call)
        self._ledger = ledger
        if len(waiting) >= MOST:
            self.flush()
        elif not self._due:
            self._due = True
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(WITHIN_S, self._work_off)

    def flush(self) -> None:
        """Does everything now."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for form, calls in _by_form(waiting).items():
            if self._ledger is not None:
                self._ledger.hand_over(form, [brief for _, brief in calls], [call.slot for call, _ in calls])
            try:
                calls[0][0].see_to([call for call, _ in calls])
            except Exception:  # noqa: BLE001 - what is left undone of some must not keep the others from it
                _log.exception("a defect kept answered calls from being learnt from")

    def _work_off(self) -> None:
        self._due = False
        self.flush()


def _by_form(calls: Sequence[Settling]) -> dict[Form, list[tuple[Settling, Brief]]]:
    """Calls of one form are one lot, and of one caller, model and deployment."""
    found: dict[Form, list[tuple[Settling, Brief]]] = {}
    for call in calls:
        form, brief = call.form, call.brief
        assert form is not None, "it was noted in the journal when it began"
        assert brief is not None, "and when it ended"
        if (alike := found.get(form)) is None:
            found[form] = [(call, brief)]
        else:
            alike.append((call, brief))
    return found
