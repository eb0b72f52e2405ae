"""How the ledger is doing, as a value that faces can show, and the bounds it works within.

Above: record. Below: nothing.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class RecorderLimits(Struct, frozen=True):
    """The bounds of a recorder. What exceeds them is refused before it is begun, never dropped after."""

    calls: int = 4096
    """Calls that are open or not yet written; each has a slot of 4 KiB in the flight journal."""
    buffered_bytes: int = 64 << 20
    """Estimated size of events and contents that wait to be written."""
    group: int = 512
    """Records per transaction at most (a single append is never split)."""
    flush_window_s: float = 0.1
    """How long settled calls may wait for company before they are written."""
    room_wait_s: float = 10.0
    """How long a call waits for a slot at most, its deadline permitting, while the store can be written."""
    append_wait_s: float = 5.0
    """How long an append waits for a store that cannot be written."""
    busy_wait_s: float = 60.0
    """How long one waits behind others while the store is being written."""
    retry_first_s: float = 0.05
    retry_longest_s: float = 2.0


class Health(Struct, frozen=True):
    """The ledger's state at one moment."""

    state: Literal["ok", "behind", "full"]
    """`behind`: the store cannot be written, calls go on and wait. `full`: the bound is reached, calls are refused."""
    open: int
    """Calls that have begun and not settled."""
    queued: int
    """Records that wait to be written."""
    queued_bytes: int
    oldest_s: float
    """Age of the oldest record that waits."""
    last_error: str = ""
    """Why the store could not be written last; empty when it can."""
    failing_since_ns: int = 0
    refused: int = 0
    """Calls that were refused with LedgerFull since the start."""
    rejected: int = 0
    """Records that the store cannot hold at all (see the log); zero unless there is a fault in the program."""
    recovered: int = 0
    """Calls of processes that had died, settled at this start."""
