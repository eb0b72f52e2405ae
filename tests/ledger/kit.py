"""Calls, tasks and stores for the tests of what is written down."""

import contextlib
import os
import sqlite3
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Literal

from interlock.core.caller import Caller, Versions
from interlock.core.errors import StoreUnavailable
from interlock.core.events import Attempt, Finished, Record, Settled, Started, Status
from interlock.core.money import Price, Rates, Usage, cost_of
from interlock.core.shares import parts_of
from interlock.core.store import Store
from interlock.ledger import Recorder
from interlock.storage import SqliteStore

T0 = 1_790_000_000_000_000_000
PRICE = Price("p/m", Rates(input=150_001, cache_read=75_000, output=600_007), "test", "2026-10-01", "v1")


class Clock:
    """Time that only a test moves."""

    def __init__(self) -> None:
        self.now_ns = T0

    def wall_ns(self) -> int:
        return self.now_ns

    def monotonic_s(self) -> float:
        return self.now_ns / 1e9

    def forward(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


def attempt(status: Status = "ok", *, tokens: int = 1000, simulated: bool = False, deployment: str = "p/m") -> Attempt:
    usage = Usage(input=tokens, output=tokens // 3)
    return Attempt(
        deployment, status, T0, 500, "small", usage, cost_of(PRICE.rates, usage), PRICE.version, simulated=simulated
    )


def call(
    task: str,
    seq: int = 1,
    *,
    call_id: str = "",
    status: Status = "ok",
    attempts: Sequence[Attempt] | None = None,
    kind: Any = "model",
    workflow: str = "support_reply",
    tenant: str = "acme",
    started_ns: int = T0,
    purpose: Literal["", "judge"] = "",
    **fields: Any,
) -> Settled:
    """A settled call whose usage and money are the sums over its attempts."""
    tried = tuple(attempts if attempts is not None else [attempt()])
    usage, cost = Usage(), 0
    for each in tried:
        usage, cost = usage + each.usage, cost + each.cost_nano_usd
    told: dict[str, Any] = {
        "call": call_id or f"cal_{task}_{seq}",
        "kind": kind,
        "name": "support" if kind == "model" else "orders.get",
        "caller": Caller(tenant, user="ada", workflow=workflow, task=task, step=seq, purpose=purpose),
        "status": status,
        "started_ns": started_ns,
        "duration_us": 2_000,
        "deployment": tried[-1].deployment if tried and tried[-1].status == "ok" else "",
        "attempts": tried,
        "usage": usage,
        "cost_nano_usd": cost,
        "price": PRICE.version,
        "simulated": bool(tried) and tried[-1].simulated,
        **fields,
    }
    return Settled(**told)


def crashed(task: str, seq: int = 1, *, cost: int = 777, **fields: Any) -> Settled:
    """What is true of an open call if the process dies."""
    usage = Usage(input=5_000, output=700)
    return call(task, seq, status="crashed", attempts=(), usage=usage, cost_nano_usd=cost, **fields)


def record(settled: Settled, *, fence: int = 0, content: dict[str, Any] | None = None) -> Record:
    caller = settled.caller
    return Record(caller.task, caller.step, caller.tenant, settled.started_ns, settled, content, fence)


def started(task: str, *, workflow: str = "support_reply", at_ns: int = T0, **fields: Any) -> Record:
    event = Started(workflow, Caller("acme", workflow=workflow, task=task), Versions(contract="c1"), **fields)
    return Record(task, 0, "acme", at_ns, event, {"input": {"text": "Where is my order?"}})


def finished(
    task: str, seq: int, *, outcome: Any = "resolved", fence: int = 0, at_ns: int = T0 + 10**9, **fields: Any
) -> Record:
    return Record(task, seq, "acme", at_ns, Finished(outcome, **fields), {"answer": "Friday."}, fence)


def money(settled: Settled) -> tuple[int, int]:
    """(real, simulated), added up from the attempts in the plainest way."""
    simulated = sum(part.cost_nano_usd for part in parts_of(settled) if part.simulated)
    return settled.cost_nano_usd - simulated, simulated


class Gate:
    """A store that can be made to fail, as a locked or full one does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.down = False
        self.writes = 0

    def write(self, groups, prices=(), lots=()):
        self.writes += 1
        if self.down:
            raise StoreUnavailable("the disk is full", hint="Free some space.")
        return self._store.write(groups, prices, lots)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def die(recorder: Recorder) -> None:
    """Leaves everything as `kill -9` leaves it: nothing is drained, the journal stays, its lock is gone."""
    recorder._writer.stop(0.0)
    if recorder._flight is not None:
        recorder._flight._map.close()
        os.close(recorder._flight._file)
        recorder._flight = None


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Another process in the middle of a long transaction."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def records_in(path: Path) -> list[Record]:
    """Everything that stands in the file, in the order of its commits."""
    store = SqliteStore.open(path)
    try:
        return list(store.tail.read("", 1_000_000)[0])
    finally:
        store.close()


def calls_in(path: Path) -> list[str]:
    """The ids of all settled calls, as often as they stand in the file."""
    return sorted(record.event.call for record in records_in(path) if isinstance(record.event, Settled))
