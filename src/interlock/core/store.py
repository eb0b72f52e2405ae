"""The seam to the database: what its rows are as values, and what a store can do. SQLite and PostgreSQL implement it.

Above: ledger, agents, economics, cli work with these; `storage` implements them. Below: events, money, sketch.
All methods are synchronous and may be called from any thread; a store has one writer at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from .answers import CacheStore, SimilarStore
from .audit import AuditStore
from .batches import BatchStore, FileStore
from .circuits import CircuitStore
from .due import Waker, Wanted
from .errors import Fenced
from .events import CallKind, Outcome, Record
from .kept import ResponseStore
from .keys import KeyStore
from .lots import Lot
from .meters import MeterRow
from .money import BUCKETS, Price, Totals, Usage
from .outbox import OutboxStore, TextStore
from .retention import Retention
from .sessions import SessionRows
from .tail import Tail
from .wires import Wire

TaskStatus = Literal["running", "waiting", "in_doubt", "paused", "finished"]
TaskKind = Literal["task", "call", "late"]
"""A run of a workflow · a lone gateway call · money spent by a worker that had lost its task meanwhile."""
RollRole = Literal["call", "judge", "attempt", "check", "task"]
"""One call with the attempt that answered it · the same of a judge of a finished task · one further attempt (failed or superseded) · one that
checked an answer · one finished task."""
WHOLE_CALLS: tuple[RollRole, ...] = ("call", "judge")
"""Roles of which each counts one call."""
StorePrompts = Literal["none", "redacted", "full"]
Kept = Literal["none", "redacted", "encrypted", "full"]
"""The same as files say it: `encrypted` is `full`, and demands that the workspace seals what it stores."""
ARRIVED = "arrived"
"""Name of the signal that a store sends to the parent of a child task in the transaction that ends the child."""
LINES: tuple[str, ...] = (*BUCKETS, "other")
"""What a call's money went to: each usage bucket, and what belongs to none (tools, reservations of crashed calls)."""
Change = Callable[[Record, bytes], bytes]
"""Of a record (without its content) and its content as JSON, another content."""


def as_stored(kept: Kept) -> StorePrompts:
    """What a store does for it."""
    return "full" if kept == "encrypted" else kept


class TaskRow(Struct, frozen=True):
    """One task as lists show it. Counters and money cover everything that has settled so far."""

    id: str
    tenant: str
    kind: TaskKind
    workflow: str = ""
    user: str = ""
    status: TaskStatus = "running"
    outcome: Outcome | Literal[""] = ""
    """`waiting_approval` while it waits for a person; empty while it runs."""
    owner: str = ""
    """Who holds the lease: `host:pid:start`. Empty when nobody does."""
    lease_until_ns: int = 0
    fence: int = 0
    wake_at_ns: int = 0
    """When somebody should look at it again though nothing has come in; zero: never."""
    created_ns: int = 0
    updated_ns: int = 0
    finished_ns: int = 0
    duration_us: int = 0
    """From the start to the end, waiting included."""
    batch: str = ""
    line: int = 0
    contract: str = ""
    """Content hash of the contract it started with."""
    confidence: float | None = None
    tier: str = ""
    escalations: int = 0
    simulated: bool = False
    degraded: str = ""
    success: bool | None = None
    """What somebody who knows said afterwards; `None` while nobody has."""
    success_source: str = ""
    events: int = 0
    last_seq: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0
    """Real money; what simulated deployments would have cost stands in `simulated_nano_usd`."""
    simulated_nano_usd: int = 0
    saved_nano_usd: int = 0
    error: str = ""
    message: str = ""


class TaskFilter(Struct, frozen=True):
    """Which tasks to list, newest first. Empty fields do not filter."""

    tenant: str = ""
    workflow: str = ""
    kind: TaskKind | Literal[""] = ""
    status: TaskStatus | Literal[""] = ""
    outcome: str = ""
    batch: str = ""
    since_ns: int = 0
    """Created at or after."""
    until_ns: int = 0
    """Created before; zero: no end."""
    before_id: str = ""
    """With `until_ns`, where a page ends: created before, or at that very moment with a smaller id."""
    user: str = ""
    least_nano_usd: int = 0
    """Cost at least, real and simulated together."""
    contract: str = ""
    """Began under this version of its contract; lone calls are left out then."""
    least_steps: int = 0
    """Calls of models and tools at least."""
    limit: int = 50


class Signal(Struct, frozen=True):
    """Something from outside that a task waits for, e.g. a decision on an approval."""

    task: str
    id: str
    """Chosen by the sender: the same id twice is one signal."""
    name: str
    payload: dict[str, Any] = {}
    at_ns: int = 0


class RollFilter(Struct, frozen=True):
    """Which roll-ups to read. Hours are whole: `since_ns` is rounded down, `until_ns` up."""

    tenant: str = ""
    workflow: str | None = None
    role: RollRole | Literal[""] = ""
    since_ns: int = 0
    until_ns: int = 0
    by_hour: bool = True
    """Off: a store may add hours up, since whoever asks does so anyway; `hour` is then the first."""


class RollRow(Struct, frozen=True):
    """What happened in one hour to one combination of the fields down to `status`."""

    hour: int
    """Hours since the Unix epoch."""
    tenant: str
    workflow: str
    role: RollRole
    kind: CallKind | Literal["task"]
    name: str
    deployment: str
    tier: str
    simulated: bool
    cache: str
    status: str
    """Of the call or attempt; on `task` rows the outcome."""
    n: int
    cost_nano_usd: int
    """Real money; always zero on simulated rows."""
    simulated_nano_usd: int
    saved_nano_usd: int
    usage: Usage
    lines_nano_usd: dict[str, int]
    """By `LINES`, zeros left out; adds up to `cost_nano_usd + simulated_nano_usd` exactly."""
    latency: dict[int, int]
    """Distribution of durations, see `core.sketch`; empty on `attempt` rows."""


class OutcomeRow(Struct, frozen=True):
    """How many tasks share the fields down to `success`, and what they cost together."""

    tenant: str
    workflow: str
    kind: TaskKind
    status: TaskStatus
    outcome: str
    tier: str
    simulated: bool
    success: bool | None
    n: int
    cost_nano_usd: int
    simulated_nano_usd: int
    model_calls: int
    escalations: int


class TaskStore(Protocol):
    """Tasks, their leases and their lists."""

    def begin(self, record: Record, owner: str, lease_until_ns: int) -> int:
        """Writes a `Started` record and takes the lease in one transaction; returns the fence.

        Raises:
            Fenced: a task of that id exists already.
        """
        ...

    def claim(
        self, task: str, owner: str, *, now_ns: int, lease_until_ns: int, alive: Callable[[str], bool] | None = None
    ) -> int | None:
        """The new fence, or `None` while somebody else holds it (or it is finished or unknown).

        A lease is free when it has expired, or when `alive` says that its owner is gone.
        """
        ...

    def take(
        self,
        wanted: Wanted,
        owner: str,
        *,
        now_ns: int,
        lease_until_ns: int,
        due_ns: int | None = None,
        alive: Callable[[str], bool] | None = None,
    ) -> list[TaskRow]:
        """Claims due tasks, as `runnable` finds them, in one transaction; returns them as they are then, with their new fences.

        Again and again one of the tenant that has the fewest under way; no task is ever given to two. Leases are looked at by
        `now_ns`, what has a time of its own by `due_ns` (default: the same).
        """
        ...

    def renew(self, tasks: Sequence[str], owner: str, *, lease_until_ns: int) -> list[str]:
        """Extends the leases; returns the tasks that `owner` no longer holds."""
        ...

    def release(self, task: str, fence: int, *, wake_at_ns: int | None = None) -> bool:
        """Gives the lease back, optionally setting when to look again; False when it was no longer held."""
        ...

    def get(self, task: str) -> TaskRow | None: ...

    def list(self, which: TaskFilter) -> list[TaskRow]: ...

    def unfinished(self, *, limit: int = 1000) -> list[TaskRow]:
        """Tasks that are not finished, oldest first, whoever holds them."""
        ...

    def runnable(
        self,
        now_ns: int,
        *,
        lease_now_ns: int | None = None,
        alive: Callable[[str], bool] | None = None,
        limit: int = 100,
    ) -> list[TaskRow]:
        """Tasks somebody should work on now: nobody holds them, and they run, or have a signal, or their time has come. Leases are looked at by
        `lease_now_ns` (default: `now_ns`).
        """
        ...

    def of_batch(self, batch: str) -> list[TaskRow]:
        """All tasks of one input file, by line."""
        ...

    def find(self, batch: str, line: int) -> TaskRow | None: ...

    def outcomes(
        self, *, tenant: str = "", workflow: str | None = None, since_ns: int = 0, until_ns: int = 0
    ) -> list[OutcomeRow]:
        """Counts of tasks created in the period, by how they ended. Hours are whole, as in `RollFilter`."""
        ...


class SignalStore(Protocol):
    """What came in from outside for tasks that wait."""

    def add(self, signal: Signal) -> bool:
        """False when a signal of that id was there already; nothing changes then."""
        ...

    def pending(self, task: str) -> list[Signal]:
        """Not consumed yet, oldest first. Reading consumes nothing."""
        ...

    def called(self, tasks: Sequence[str]) -> list[str]:
        """Those of `tasks` that have any."""
        ...

    def consume(self, task: str, ids: Sequence[str]) -> None:
        """Marks them as dealt with; call it after the records that follow from them are committed."""
        ...

    def forget(self, tasks: Sequence[str]) -> int:
        """Empties the payloads of these tasks' signals that were dealt with; returns how many."""
        ...


class Store(Protocol):
    """Everything that has to last.

    Raises:
        StoreUnavailable: from every method, when the database is locked, full, unreadable or of a newer version.
    """

    @property
    def tasks(self) -> TaskStore: ...
    @property
    def signals(self) -> SignalStore: ...
    @property
    def cache(self) -> CacheStore: ...
    @property
    def keys(self) -> KeyStore: ...
    @property
    def responses(self) -> ResponseStore: ...
    @property
    def files(self) -> FileStore: ...
    @property
    def batches(self) -> BatchStore: ...
    @property
    def similar(self) -> SimilarStore: ...
    @property
    def outbox(self) -> OutboxStore: ...
    @property
    def texts(self) -> TextStore: ...
    @property
    def sessions(self) -> SessionRows: ...
    @property
    def audit(self) -> AuditStore: ...
    @property
    def circuits(self) -> CircuitStore: ...
    @property
    def tail(self) -> Tail: ...
    @property
    def retention(self) -> Retention: ...

    def write(
        self, groups: Sequence[Sequence[Record]], prices: Sequence[Price] = (), lots: Sequence[Lot] = ()
    ) -> list[Fenced | None]:
        """Commits all lots and groups in one transaction, each group whole or not at all; says which groups were fenced out.

        A record that is there already is passed over, so writing twice is writing once. What a fenced-out group spent is
        recorded all the same, as a task of its own with the id `<task>!<call>`: money does not disappear.
        """
        ...

    def records(self, task: str, *, after: int = -1) -> list[Record]:
        """The task's log in order, with its content."""
        ...

    def scrub(self, task: str, policy: StorePrompts, redact: Callable[[str], str]) -> int:
        """Deletes (`none`) or rewrites (`redacted`) the content of a finished task; returns how many records changed."""
        ...

    def rewrite(self, tasks: Sequence[str], change: Change) -> int:
        """Puts what `change` makes of each content in the logs of these tasks in its place, in one transaction; returns how many became others."""
        ...

    def rolls(self, which: RollFilter) -> list[RollRow]: ...

    def meters(self, which: RollFilter) -> list[MeterRow]:
        """What happened inside calls, by the hour; `role` does not filter here."""
        ...

    def price(self, version: str) -> Price | None: ...

    def totals(self) -> Totals: ...

    def settle(self) -> bool:
        """Whether what was deleted is gone from the store's own journals too; False: it leaves them in time."""
        ...

    def lease_clock(self) -> Callable[[], int]:
        """The nanoseconds by which leases on this store go: one clock for all of its processes, which setting a machine's wall clock does
        not move. Asking it may raise StoreUnavailable.
        """
        ...

    def waker(self) -> Waker | None:
        """For one thread to listen with; `None` where other processes' tasks are found by looking again only."""
        ...

    def wire(self, tenant: str) -> Wire | None:
        """To speak with the tenant's other processes; `None` where there is no such way."""
        ...

    def changes(self) -> Callable[[], int | None] | None:
        """What tells, in microseconds and without waiting, whether anything was committed since: another number where something may have been, none
        where that cannot be said now. `None` for a store that has nothing of the kind.
        """
        ...

    def close(self) -> None: ...
