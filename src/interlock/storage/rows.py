"""What a record is as a row, and what a batch of records adds to its tasks and to the hours' roll-ups.

Above: writes. Below: core. Pure: values in, rows out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct, structs

from interlock.core.events import (
    ApprovalAsked,
    ApprovalDecided,
    DoubtSettled,
    Event,
    Finished,
    InDoubt,
    OutcomeSeen,
    Record,
    Settled,
    Started,
)
from interlock.core.money import BUCKETS, Price
from interlock.core.sketch import Counts, bucket_of
from interlock.core.store import LINES, TaskKind, lines_of, money_of, parts_of

NS_PER_HOUR = 3_600_000_000_000
LATE_MARK = "!"
"""Between the task and the call in the id under which a fenced-out call is kept."""

_encoder = msgspec.json.Encoder(enc_hook=str)
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_NO_CALL = (None,) * 28
_STATE = ("status", "outcome", "wake_at_ns", "confidence", "tier", "escalations", "simulated", "degraded")
_LAST = ("success", "success_source", "error", "message")
_SUMS = ("events", "model_calls", "tool_calls", "input_tokens", "output_tokens", "cost_nano_usd")
_MORE_SUMS = ("simulated_nano_usd", "saved_nano_usd", "asked", "doubted", "finished_ns", "fence")

PriceOfVersion = Callable[[str], Price | None]
RollKey = tuple[int, str, str, str, str, str, str, str, int, str, str]


class RollSum:
    """What one batch adds to one roll-up row."""

    __slots__ = ("counts", "latency", "lines", "n", "saved", "usage")

    def __init__(self) -> None:
        self.n = 0
        self.saved = 0
        self.counts = [0, 0]
        """Real and simulated nano-dollars."""
        self.usage = [0] * len(BUCKETS)
        self.lines = dict.fromkeys(LINES, 0)
        self.latency: Counts = {}

    def took(self, duration_us: int) -> None:
        bucket = bucket_of(duration_us)
        self.latency[bucket] = self.latency.get(bucket, 0) + 1


def encode(value: Any) -> str:
    """JSON text; what JSON cannot hold is written as its text, so that no answer of a tool can stop the ledger."""
    try:
        return _encoder.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return json.dumps(str(value) if isinstance(value, Struct) else value, default=str, skipkeys=True)


def decode_event(text: str) -> Event:
    return _decoder.decode(text)


def late(record: Record, settled: Settled) -> Record:
    """A fenced-out call as a task of its own."""
    return structs.replace(record, task=f"{record.task}{LATE_MARK}{settled.call}", seq=1, fence=0)


def event_row(record: Record) -> tuple[Any, ...]:
    """The parameters of `events.insert`."""
    event = record.event
    head = (
        record.task,
        record.seq,
        record.at_ns,
        record.tenant,
        event.__struct_config__.tag,
        encode(event),
        None if record.content is None else encode(record.content),
    )
    if not isinstance(event, Settled):
        return head + _NO_CALL
    real, simulated = _money(event)
    caller = event.caller
    return (
        *head,
        caller.user,
        caller.workflow,
        event.kind,
        event.name,
        event.deployment,
        event.tier,
        event.status,
        event.started_ns,
        event.duration_us,
        *structs.astuple(event.usage),
        real,
        simulated,
        event.reserved_nano_usd,
        event.saved_nano_usd,
        event.simulated,
        event.degraded,
        event.cache,
        event.price,
    )


def _money(settled: Settled) -> tuple[int, int]:
    attempts = settled.attempts
    if not settled.simulated and (not attempts or (len(attempts) == 1 and not attempts[0].simulated)):
        return settled.cost_nano_usd, 0
    return money_of(settled)


def task_rows(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """By task: the parameters of `tasks.merge` for everything that `records` say about it."""
    rows: dict[str, dict[str, Any]] = {}
    for record in records:
        row = rows.get(record.task)
        if row is None:
            row = rows[record.task] = _new_row(record)
        row["events"] += 1
        row["updated_ns"] = max(row["updated_ns"], record.at_ns)
        row["last_seq"] = max(row["last_seq"], record.seq)
        _fold(row, record)
    return rows


def _new_row(record: Record) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys((*_STATE, *_LAST))
    row.update(dict.fromkeys((*_SUMS, *_MORE_SUMS), 0))
    kind: TaskKind = "late" if LATE_MARK in record.task else "task"
    row.update(
        id=record.task,
        tenant=record.tenant,
        kind=kind,
        workflow="",
        user="",
        batch="",
        line=0,
        contract="",
        created_ns=record.at_ns,
        updated_ns=record.at_ns,
        last_seq=record.seq,
    )
    if isinstance(record.event, Settled):
        _lone(row, record.event)
    return row


def _lone(row: dict[str, Any], settled: Settled) -> None:
    """What the row says if the task turns out to have no `Started`: it is the call itself and is over."""
    answered = settled.status in ("ok", "cache_hit")
    if row["kind"] != "late":
        row["kind"] = "call"
    row["lone"] = {
        "status": "finished",
        "outcome": ("simulated" if settled.simulated else "resolved")
        if answered and row["kind"] == "call"
        else "cancelled"
        if settled.status == "client_gone"
        else "failed",
        "finished_ns": settled.started_ns + settled.duration_us * 1000,
        "confidence": settled.confidence,
        "tier": settled.tier,
        "escalations": len(settled.escalations),
        "simulated": settled.simulated,
        "degraded": settled.degraded,
        "error": settled.error,
        "message": settled.message,
    }
    row.update(
        workflow=settled.caller.workflow,
        user=settled.caller.user,
        contract=settled.caller.versions.contract,
        created_ns=settled.started_ns,
    )


def _fold(row: dict[str, Any], record: Record) -> None:
    """What one record changes on its task's row."""
    match record.event:
        case Settled() as call:
            real, simulated = _money(call)
            row["model_calls" if call.kind == "model" else "tool_calls"] += 1
            row["input_tokens"] += call.usage.input_total
            row["output_tokens"] += call.usage.output_total
            row["cost_nano_usd"] += real
            row["simulated_nano_usd"] += simulated
            row["saved_nano_usd"] += call.saved_nano_usd
        case Started() as started:
            row.update(
                kind="task",
                status="running",
                workflow=started.workflow,
                user=started.caller.user,
                contract=started.versions.contract,
                batch=started.batch,
                line=started.line,
                created_ns=record.at_ns,
                fence=record.fence,
            )
            row.pop("lone", None)
        case ApprovalAsked() as asked:
            row["asked"] += 1
            row["wake_at_ns"] = min(asked.expires_ns, row["wake_at_ns"] or asked.expires_ns)
        case ApprovalDecided():
            row["asked"] -= 1
        case InDoubt():
            row["doubted"] += 1
        case DoubtSettled():
            row["doubted"] -= 1
        case Finished() as finished:
            _finish(row, record, finished)
        case OutcomeSeen() as seen:
            row.update(success=seen.success, success_source=seen.source)
        case _:
            pass


def _finish(row: dict[str, Any], record: Record, finished: Finished) -> None:
    row.update(
        status="finished",
        outcome=finished.outcome,
        finished_ns=record.at_ns,
        wake_at_ns=0,
        tier=finished.tier,
        confidence=finished.confidence,
        escalations=finished.escalations,
        simulated=finished.simulated,
        degraded=finished.degraded,
        error=finished.error,
        message=finished.message,
    )


def roll_sums(records: Iterable[Record], price_of: PriceOfVersion) -> dict[RollKey, RollSum]:
    """What the calls among `records` add to the roll-ups."""
    sums: dict[RollKey, RollSum] = {}
    for record in records:
        if isinstance(record.event, Settled):
            _roll_call(sums, record.tenant, record.event, price_of)
    return sums


def _roll_call(sums: dict[RollKey, RollSum], tenant: str, call: Settled, price_of: PriceOfVersion) -> None:
    hour, workflow = call.started_ns // NS_PER_HOUR, call.caller.workflow
    for part in parts_of(call):
        key: RollKey = (
            hour,
            tenant,
            workflow,
            part.role,
            call.kind,
            call.name,
            part.deployment,
            part.tier,
            int(part.simulated),
            call.cache if part.role == "call" else "",
            part.status,
        )
        into = sums.get(key)
        if into is None:
            into = sums[key] = RollSum()
        into.n += 1
        into.counts[part.simulated] += part.cost_nano_usd
        for index, amount in enumerate(structs.astuple(part.usage)):
            into.usage[index] += amount
        for line, amount in lines_of(part, price_of(part.price) if part.price else None).items():
            into.lines[line] += amount
        if part.role == "call":
            into.saved += call.saved_nano_usd
            into.took(call.duration_us)
