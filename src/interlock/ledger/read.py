"""The ledger for people: lists of tasks and the trace of one, as values whose JSON form is published in `docs/schemas`.

Above: cli, server, app. Below: a `core.store.Store`. What stands here is what was recorded; nothing is worked out again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs

from interlock.core.caller import Versions
from interlock.core.events import Attempt, Escalation, Event, Record, Settled, Started
from interlock.core.ids import trace_id
from interlock.core.money import Price, Totals, Usage
from interlock.core.shares import money_of
from interlock.core.store import RollFilter, RollRow, Store, TaskFilter, TaskRow
from interlock.core.time import NS_PER_S


class TaskSummary(Struct, frozen=True):
    """One task as `interlock tasks --json` prints it."""

    task: str
    tenant: str
    workflow: str
    kind: str
    """`task`, `call` (a lone gateway call) or `late` (spent by a worker that had lost its task)."""
    status: str
    outcome: str
    user: str
    batch: str
    line: int
    started: str
    """ISO 8601, UTC."""
    finished: str
    """Empty while it is not over."""
    duration_ms: float
    waiting_since: str
    """When it began to wait, if it waits."""
    confidence: float | None
    tier: str
    escalations: int
    degraded: str
    simulated: bool
    success: bool | None
    """What somebody who knows said afterwards; null while nobody has."""
    success_source: str
    model_calls: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cost_nano_usd: int
    """Real money."""
    simulated_nano_usd: int
    """What simulated models would have cost."""
    saved_nano_usd: int
    error: str
    message: str


class TracedAttempt(Struct, frozen=True):
    """One try against one deployment."""

    deployment: str
    status: str
    started: str
    duration_ms: float
    tier: str
    usage: dict[str, int]
    """By bucket, zeros left out."""
    cost_nano_usd: int
    price: str
    simulated: bool
    error: str
    message: str
    purpose: str
    """Empty where the caller is answered; `check:agreement` for a call that a check of the answer made."""


class TracedCall(Struct, frozen=True):
    """A settled model or tool call."""

    call: str
    kind: str
    name: str
    status: str
    duration_ms: float
    first_token_ms: float | None
    deployment: str
    tier: str
    attempts: tuple[TracedAttempt, ...]
    usage: dict[str, int]
    """By bucket, zeros left out."""
    cost_nano_usd: int
    """Real money."""
    simulated_nano_usd: int
    reserved_nano_usd: int
    saved_nano_usd: int
    price: str
    """Version of the price; see `prices` of the trace."""
    simulated: bool
    degraded: str
    cache: str
    confidence: float | None
    escalations: tuple[Escalation, ...]
    reasons: tuple[str, ...]
    """Decisions in the order in which they were taken."""
    versions: Versions
    error: str
    message: str


class TracedStep(Struct, frozen=True):
    """One record of the log."""

    step: int
    type: str
    """`started`, `intended`, `settled`, `arrived`, `approval_asked`, `approval_decided`, `in_doubt`, `doubt_settled`, `noted`,
    `finished` or `outcome_seen`."""
    at: str
    call: TracedCall | None = None
    """On `settled`."""
    detail: dict[str, Any] = {}
    """The event's fields, on all other types."""
    content: dict[str, Any] | None = None
    """Inputs, arguments and answers, as far as the contract's retention kept them."""


class Trace(Struct, frozen=True):
    """Everything recorded about one task: what `interlock trace TASK --json` prints."""

    task: TaskSummary
    trace_id: str
    """W3C trace id of the task, as vendors were told it where the contract's `logging.trace_id` is on."""
    versions: Versions
    """What the task started with."""
    steps: tuple[TracedStep, ...]
    prices: tuple[Price, ...]
    """The prices that its calls were charged at."""


class TaskPage(Struct, frozen=True):
    """Some tasks, newest first, and where the list goes on."""

    tasks: tuple[TaskSummary, ...]
    until_ns: int = 0
    """With `before_id`, for the `TaskFilter` of the next page; zero: this was the last one."""
    before_id: str = ""


class Reader:
    """Reads a store. Every method may raise StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def tasks(self, which: TaskFilter) -> list[TaskSummary]:
        """Tasks, newest first."""
        return [summary(row) for row in self._store.tasks.list(which)]

    def task_page(self, which: TaskFilter) -> TaskPage:
        """`which.limit` tasks, and where the next ones begin."""
        rows = self._store.tasks.list(structs.replace(which, limit=which.limit + 1))
        shown = rows[: which.limit]
        more = (shown[-1].created_ns, shown[-1].id) if len(rows) > len(shown) else (0, "")
        return TaskPage(tuple(map(summary, shown)), *more)

    def task(self, task: str) -> TaskSummary | None:
        row = self._store.tasks.get(task)
        return None if row is None else summary(row)

    def trace(self, task: str) -> Trace | None:
        """The task with every record, or `None` when there is no such task."""
        row = self._store.tasks.get(task)
        if row is None:
            return None
        records = self._store.records(task)
        used = [price for price in map(self._store.price, _price_versions(records)) if price is not None]
        return Trace(summary(row), trace_id(task), _versions(records), tuple(map(traced, records)), tuple(used))

    def unfinished(self, tenant: str, *, limit: int = 1_000) -> list[TaskSummary]:
        """The tenant's tasks that are not over, oldest first, out of the `limit` oldest of all tenants."""
        return [summary(row) for row in self._store.tasks.unfinished(limit=limit) if row.tenant == tenant]

    def rolls(self, which: RollFilter) -> list[RollRow]:
        """What happened, summed by the hour."""
        return self._store.rolls(which)

    def totals(self) -> Totals:
        """The ledger's sums taken three ways; they are equal, or the ledger is broken."""
        return self._store.totals()


def summary(row: TaskRow) -> TaskSummary:
    """A row as people see it."""
    return TaskSummary(
        task=row.id,
        tenant=row.tenant,
        workflow=row.workflow,
        kind=row.kind,
        status=row.status,
        outcome=row.outcome,
        user=row.user,
        batch=row.batch,
        line=row.line,
        started=iso(row.created_ns),
        finished=iso(row.finished_ns),
        duration_ms=row.duration_us / 1000,
        waiting_since=iso(row.updated_ns) if row.status in ("waiting", "in_doubt") else "",
        confidence=row.confidence,
        tier=row.tier,
        escalations=row.escalations,
        degraded=row.degraded,
        simulated=row.simulated,
        success=row.success,
        success_source=row.success_source,
        model_calls=row.model_calls,
        tool_calls=row.tool_calls,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_nano_usd=row.cost_nano_usd,
        simulated_nano_usd=row.simulated_nano_usd,
        saved_nano_usd=row.saved_nano_usd,
        error=row.error,
        message=row.message,
    )


def traced(record: Record) -> TracedStep:
    """A record as people see it."""
    event: Event = record.event
    kind = str(event.__struct_config__.tag)
    if isinstance(event, Settled):
        return TracedStep(record.seq, kind, iso(record.at_ns), _call(event), {}, record.content)
    detail: dict[str, Any] = msgspec.to_builtins(event)
    detail.pop("type", None)
    return TracedStep(record.seq, kind, iso(record.at_ns), None, detail, record.content)


def to_json(value: Any) -> str:
    """The published JSON form of any value of this room and of `economics`, indented."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def iso(at_ns: int) -> str:
    """ISO 8601 in UTC with microseconds; empty for zero."""
    if not at_ns:
        return ""
    seconds, rest = divmod(at_ns, NS_PER_S)
    return dt.datetime.fromtimestamp(seconds, dt.UTC).replace(microsecond=rest // 1000).isoformat()


def used(usage: Usage) -> dict[str, int]:
    """The buckets that are not zero."""
    return {bucket: amount for bucket, amount in structs.asdict(usage).items() if amount}


def _call(settled: Settled) -> TracedCall:
    real, simulated = money_of(settled)
    return TracedCall(
        call=settled.call,
        kind=settled.kind,
        name=settled.name,
        status=settled.status,
        duration_ms=settled.duration_us / 1000,
        first_token_ms=settled.first_token_us / 1000 if settled.first_token_us else None,
        deployment=settled.deployment,
        tier=settled.tier,
        attempts=tuple(map(_attempt, settled.attempts)),
        usage=used(settled.usage),
        cost_nano_usd=real,
        simulated_nano_usd=simulated,
        reserved_nano_usd=settled.reserved_nano_usd,
        saved_nano_usd=settled.saved_nano_usd,
        price=settled.price,
        simulated=settled.simulated,
        degraded=settled.degraded,
        cache=settled.cache,
        confidence=settled.confidence,
        escalations=settled.escalations,
        reasons=settled.reasons,
        versions=settled.caller.versions,
        error=settled.error,
        message=settled.message,
    )


def _attempt(attempt: Attempt) -> TracedAttempt:
    return TracedAttempt(
        deployment=attempt.deployment,
        status=attempt.status,
        started=iso(attempt.started_ns),
        duration_ms=attempt.duration_us / 1000,
        tier=attempt.tier,
        usage=used(attempt.usage),
        cost_nano_usd=attempt.cost_nano_usd,
        price=attempt.price,
        simulated=attempt.simulated,
        error=attempt.error,
        message=attempt.message,
        purpose=attempt.purpose,
    )


def _versions(records: Sequence[Record]) -> Versions:
    for record in records:
        if isinstance(record.event, Started):
            return record.event.versions
        if isinstance(record.event, Settled):
            return record.event.caller.versions
    return Versions()


def _price_versions(records: Sequence[Record]) -> list[str]:
    """Versions of the prices that the calls name, each once, in order."""
    named: dict[str, None] = {}
    for record in records:
        if isinstance(record.event, Settled):
            for version in (record.event.price, *(attempt.price for attempt in record.event.attempts)):
                if version:
                    named[version] = None
    return list(named)
