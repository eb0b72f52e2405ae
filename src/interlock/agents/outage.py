"""How long a task waits before it repeats a model call that failed because models are unavailable; computed from its log.

Above: `converse`, which decides whether to ask again, and `run`, which waits. Below: `seconds`, `state`. A failure that may pass (an open circuit, a
vendor without room, a gateway under load) is waited out: a task of a batch for minutes, since nobody sits in front of it, another one for a moment.
Only what does not pass, or not in time, is handed to people.
"""

from __future__ import annotations

from . import seconds
from .contract import Contract
from .state import Action, State

BATCH_TRIES = 9
"""Calls that are made for one answer of a batch's task: with the waits between them about three minutes."""
TRIES = 3
"""The same for a task of its own."""
LONGEST_S = 30.0
GROWTH = 2.0


def wait_s(state: State, contract: Contract, failed: Action, now_ns: int) -> float:
    """Seconds to wait before a failed model call is made again; zero where it is not worth it."""
    settled = failed.settled
    if settled is None or settled.retry_after_s <= 0:
        return 0.0
    batch = state.started is not None and bool(state.started.batch)
    if failed.tries >= (BATCH_TRIES if batch else TRIES):
        return 0.0
    grown_s = min(LONGEST_S, GROWTH ** (failed.tries - 1))
    wait = max(settled.retry_after_s, grown_s) if batch else settled.retry_after_s
    if wait > LONGEST_S or wait >= seconds.left_s(state, contract, now_ns):
        return 0.0
    return wait
