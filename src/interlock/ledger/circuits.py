"""Changes of this process's breakers, put on record behind the calls: nobody waits for it, and a store that is away loses none of the newest.

Above: app, which hands `changed` to the gateway. Below: record. What waits is bounded, and what is dropped from it is counted.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Collection
from contextlib import suppress

from interlock.core.circuits import CircuitChange, CircuitState
from interlock.core.errors import StoreUnavailable
from interlock.core.store import Store
from interlock.core.time import Clock

from .owner import this_owner
from .record import Recorder

MOST_WAITING = 1_000
"""Changes that wait for the store; beyond that the oldest are dropped."""
AGAIN_S = 5.0
"""After so long it is tried again, where the store could not be written."""
_CHANGE_BYTES = 300
_log = logging.getLogger("interlock.ledger")


class CircuitLog:
    """One per process and store. Made on the event loop whose calls change breakers; `changed` is called there."""

    def __init__(self, recorder: Recorder, clock: Clock, tenant: str, *, process: str = "") -> None:
        """`tenant`: whose workspace it is. `process`: its name (default: this one's)."""
        self._recorder, self._clock, self._tenant = recorder, clock, tenant
        self._process = process or this_owner()
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[CircuitChange] = deque()
        self._lock = threading.Lock()
        self._handed_over = False
        """A job that writes what waits is in the recorder's queue."""
        self._again: asyncio.TimerHandle | None = None
        self._seq = clock.wall_ns()
        """A process may open the same store again: what it says then must not pass for what it said before."""
        self._open: dict[str, CircuitState] = {}
        """Deployments whose breaker is not closed, as it was told last."""
        self.dropped = 0

    def changed(self, deployment: str, state: CircuitState, reason: str) -> None:
        """`core.circuits.Changed`."""
        self._seq += 1
        if state in ("open", "half_open"):
            self._open[deployment] = state
        else:
            self._open.pop(deployment, None)
        change = CircuitChange(self._clock.wall_ns(), self._tenant, self._process, self._seq, deployment, state, reason)
        with self._lock:
            self._waiting.append(change)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self.dropped += 1
        self._hand_over()

    def set_up_anew(self, tenant: str, known: Collection[str]) -> None:
        """Files are served, perhaps changed ones: it is `tenant`'s workspace, and of deployments that are not `known` nothing is remembered."""
        self._tenant = tenant
        for deployment in [each for each in self._open if each not in known]:
            self.changed(deployment, "closed", "its settings changed, so it began anew")

    async def close(self) -> None:
        """Before the recorder is closed: breakers that are not closed end with their process, and what waits is written where it can be."""
        for deployment in list(self._open):
            self.changed(deployment, "gone", "its process ended")
        if self._again is not None:
            self._again.cancel()
        if self._waiting:
            with suppress(StoreUnavailable):
                await self._recorder.run(self._write)
        if self.dropped:
            _log.warning("%d changes of breakers were not recorded: the store was away for too long", self.dropped)

    def _hand_over(self) -> None:
        """What waits goes into the recorder's queue, unless it is there already or the store is behind; then it is tried again."""
        if self._handed_over:
            return
        self._handed_over = True
        if not self._recorder.defer(self._write, _CHANGE_BYTES * len(self._waiting)):
            self._handed_over = False
            self._later()

    def _later(self) -> None:
        if self._again is None or self._again.cancelled() or self._again.when() <= self._loop.time():
            self._again = self._loop.call_later(AGAIN_S, self._hand_over)

    def _write(self, store: Store) -> None:
        """On the writing thread."""
        with self._lock:
            rows = tuple(self._waiting)
        seq = None
        try:
            store.circuits.add(rows)
            seq = rows[-1].seq if rows else 0
        finally:
            self._written(seq)

    def _written(self, seq: int | None) -> None:
        """Everything up to `seq` is on record; `None`: nothing more than before."""
        with self._lock:
            while seq is not None and self._waiting and self._waiting[0].seq <= seq:
                self._waiting.popleft()
        self._handed_over = False
        if self._waiting:  # could not be written, or came meanwhile
            with suppress(RuntimeError):  # the loop is closed: whoever closes it has handed over what there was
                self._loop.call_soon_threadsafe(self._later if seq is None else self._hand_over)
