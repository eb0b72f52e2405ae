"""State changes of circuit breakers (open, half-open, closed) as they are recorded.

Above: gateway says when one changes, ledger puts it on record, storage keeps it, pages show it. Below: nothing. Breakers are each process's own, so a
change names its process. What is kept holds nobody's words: of an error only its code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, get_args

from msgspec import Struct

CircuitState = Literal[
    "closed",  # calls go out
    "open",  # none does, until it has cooled down
    "half_open",  # one probe is under way
    "gone",  # its process ended while it was not closed
]
CIRCUIT_STATES: tuple[CircuitState, ...] = get_args(CircuitState)
Changed = Callable[[str, CircuitState, str], None]
"""(deployment, the state from now on, why) → nothing; returns at once and never raises."""


class CircuitChange(Struct, frozen=True):
    """One breaker of one process changed its state."""

    at_ns: int
    tenant: str
    """Whose workspace it is; deployments belong to all of its callers."""
    process: str
    """`host:boot:pid:start`, as leases name their owners."""
    seq: int
    """Grows from change to change of a process."""
    deployment: str
    """`provider/model`."""
    state: CircuitState
    """From now on."""
    reason: str
    """What did it: `8 failures in a row, the last: upstream_timeout`."""


class CircuitStore(Protocol):
    """Raises StoreUnavailable from every method."""

    def add(self, changes: Sequence[CircuitChange]) -> None:
        """Keeps them and counts them in their hours' meters; one that is there already is passed over."""
        ...

    def since(self, tenant: str, since_ns: int, limit: int) -> list[CircuitChange]:
        """The newest from `since_ns` on, newest first."""
        ...

    def before(self, tenant: str, before_ns: int, limit: int) -> list[CircuitChange]:
        """The last one before `before_ns` of each breaker that was not closed then, newest first."""
        ...

    def forget(self, before_ns: int) -> int:
        """Deletes those from before `before_ns`, of all tenants; what the meters counted stays. Returns how many."""
        ...
