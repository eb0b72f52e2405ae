"""What a record is as a row, and what a batch of records adds to its tasks.

Above: writes. Below: core. Pure: values in, rows out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Struct, structs

from interlock.core.events import (
    ApprovalAsked,
    ApprovalDecided,
    Arrived,
    DoubtSettled,
    Event,
    Finished,
    InDoubt,
    Intended,
    Noted,
    Outcome,
    OutcomeSeen,
    Record,
    Settled,
    Started,
)
from interlock.core.shares import money_of
from interlock.core.store import ARRIVED, TaskKind

from .bodies import NOTHING

LATE_MARK = "!"
"""Between the task and the call in the id under which a fenced-out call is kept."""

_encoder = msgspec.json.Encoder(enc_hook=str)
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_NO_CALL = (None,) * 9
_STATE = ("status", "outcome", "wake_at_ns", "confidence", "tier", "escalations", "simulated", "degraded")
_LAST = ("success", "success_source", "error", "message")
_SAID = (*_STATE, *_LAST)
_said, _UNSAID = itemgetter(*_SAID), (None,) * len(_SAID)
_SUMS = ("events", "model_calls", "tool_calls", "input_tokens", "output_tokens", "cost_nano_usd")
_MORE_SUMS = ("simulated_nano_usd", "saved_nano_usd", "asked", "doubted", "finished_ns", "fence")


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


def record_of(row: Sequence[Any], content: bytes | None) -> Record:
    """A row of `events.of_task`, with its content as JSON."""
    said = None if content is None else msgspec.json.decode(content)
    return Record(row[0], row[1], row[3], row[2], decode_event(row[4]), said)


def body_of(record: Record) -> bytes:
    """Its content as JSON, as whoever settled it has encoded it already; `null` where there is none."""
    return record.body or (NOTHING if record.content is None else encode(record.content).encode())


def event_row(record: Record, said: bytes | str | None) -> tuple[Any, ...]:
    """The parameters of `events.insert`; `said` is what is kept for its content."""
    event = record.event
    if isinstance(event, Settled):
        return call_row(record, event, said)
    tag = event.__struct_config__.tag
    return (record.task, record.seq, record.at_ns, record.tenant, tag, encode(event), said, *_NO_CALL)


def call_row(record: Record, call: Settled, said: bytes | str | None) -> tuple[Any, ...]:
    """The same for a settled call."""
    real, simulated = money(call)
    return (
        record.task,
        record.seq,
        record.at_ns,
        record.tenant,
        "settled",
        record.encoded.decode() if record.encoded else encode(call),
        said,
        call.caller.workflow,
        call.tier,
        call.status,
        call.started_ns,
        call.duration_us,
        len(call.escalations),
        call.simulated,
        real,
        simulated,
    )


def to_parent(record: Record, finished: Finished) -> list[tuple[str, str, str, str, int]]:
    """The parameters of `signals.add` for whoever waits for the task that has ended: at most one."""
    if not finished.parent:
        return []
    told = encode({"step": finished.parent_step, "child": record.task})
    return [(finished.parent, f"arrived:{record.task}", ARRIVED, told, record.at_ns)]


def money(settled: Settled) -> tuple[int, int]:
    """`core.store.money_of`, with the usual call in front: one try, nothing simulated."""
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


def only_adds(row: Mapping[str, Any]) -> bool:
    """Whether such a row, where the task has one already, changes its sums and nothing that any index holds."""
    return not (row["finished_ns"] or row["asked"] or row["doubted"] or _said(row) != _UNSAID)


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
        priority=0,
        lock="",
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
    late = row["kind"] == "late"
    if not late:
        row["kind"] = "call"
    row["lone"] = {
        "status": "finished",
        "outcome": lone_outcome(settled, late=late),
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


def lone_outcome(settled: Settled, *, late: bool = False) -> Outcome:
    """How a task that is nothing but this call ended. A late call's answer served nobody."""
    if settled.status in ("ok", "cache_hit") and not late:
        return "simulated" if settled.simulated else "resolved"
    return "cancelled" if settled.status == "client_gone" else "failed"


def _fold(row: dict[str, Any], record: Record) -> None:
    """What one record changes on its task's row."""
    match record.event:
        case Settled() as call:
            real, simulated = money(call)
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
                priority=started.priority,
                lock=started.lock,
                created_ns=record.at_ns,
                fence=record.fence,
            )
            row.pop("lone", None)
        case Intended() as intended if intended.awaits:
            # Due until its worker lets go of it: one that dies before has told nobody what to wait for.
            row.update(status="waiting", wake_at_ns=1)
        case Arrived(then="running"):
            row.update(status="running", wake_at_ns=0)
        case Arrived(then="waiting"):
            row.update(status="waiting", wake_at_ns=1)
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
        case Noted(name="paused"):
            row["status"] = "paused"
        case Noted(name="unpaused"):
            row.update(status="running", unpaused=True)
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
