"""What other services are to be told of tasks: kept before it is true, so that no crash between the two leaves it untold.

Above: compose. Below: the agents' states, the outbox. `webhooks` sends what is kept, once the store says that it has become true.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from interlock.agents.contract import Contract
from interlock.agents.fork import FORK
from interlock.agents.question import questions_of
from interlock.agents.result import result_of
from interlock.agents.state import State, apply
from interlock.config.webhooks import Told, Webhook
from interlock.core.events import ApprovalAsked, Finished, InDoubt, Record
from interlock.core.outbox import OutboxRow
from interlock.core.time import NS_PER_MS, NS_PER_S

SOON_NS = 20 * NS_PER_MS
"""After so long what a message tells is most likely true."""
MOST_REMINDERS = 10

Keep = Callable[[Sequence[OutboxRow]], Awaitable[None]]


class Telling:
    """`agents.run.Tell`."""

    def __init__(self, receivers: Sequence[Webhook], keep: Keep, kept: Callable[[], object]) -> None:
        """`kept` hears that there is something to be sent."""
        self._receivers, self._keep, self._kept = receivers, keep, kept

    async def __call__(self, state: State, contract: Contract, records: Sequence[Record]) -> None:
        """Keeps messages about questions and the end among `records`."""
        rows = messages(self._receivers, state, contract, records)
        if rows:
            await self._keep(rows)
            self._kept()


def messages(
    receivers: Sequence[Webhook], state: State, contract: Contract, records: Sequence[Record]
) -> list[OutboxRow]:
    """One row for each receiver of each thing to be told. A fork is a trial, of which nobody is told."""
    if contract.workflow.endswith(FORK):
        return []
    asked = {each.seq if isinstance(each.event, ApprovalAsked) else each.event.step for each in records
             if isinstance(each.event, ApprovalAsked | InDoubt)}  # fmt: skip
    ended = any(isinstance(each.event, Finished) for each in records)
    if not (asked or ended):
        return []
    for each in records:
        state = apply(state, each)
    result = msgspec.to_builtins(result_of(state), enc_hook=str)
    those = _those_for(receivers, "task_finished", contract) if ended else []
    rows = [_row(receiver, records[-1], contract, 0, "task_finished", result) for receiver in those]
    for question in questions_of(state):
        if question.step not in asked:
            continue
        about = msgspec.to_builtins(question, enc_hook=str)
        about["decide"] = f"/api/approvals/{question.task}/{question.step}"
        for receiver in _those_for(receivers, "approval_asked", contract):
            row = _row(receiver, records[-1], contract, question.step, "approval_asked", about)
            rows += [row, *_reminders(row, contract, question.expires_ns, about)]
    return rows


def receiver_id(receiver: Webhook) -> str:
    """Eight hex digits that stay the same while the address does."""
    return hashlib.sha256(receiver.url.encode()).hexdigest()[:8]


def _those_for(receivers: Sequence[Webhook], event: Told, contract: Contract) -> list[Webhook]:
    return [
        each
        for each in receivers
        if event in each.events and (not each.workflows or contract.workflow in each.workflows)
    ]


def _row(receiver: Webhook, record: Record, contract: Contract, step: int, event: str, data: Any) -> OutboxRow:
    body = msgspec.json.encode({"type": event, "workflow": contract.workflow, "data": data}, enc_hook=str).decode()
    return OutboxRow(
        id=f"msg_{record.task}:{step or 'finished'}:{receiver_id(receiver)}",
        tenant=record.tenant,
        task=record.task,
        step=step,
        workflow=contract.workflow,
        receiver=receiver.url,
        body=body,
        fence=record.fence,
        since_ns=record.at_ns,
        next_ns=record.at_ns + SOON_NS,
    )


def _reminders(row: OutboxRow, contract: Contract, expires_ns: int, about: Any) -> list[OutboxRow]:
    """The same again while nobody has answered."""
    every_ns = int(contract.remind_every_s * NS_PER_S)
    if not every_ns:
        return []
    body = msgspec.json.encode({"type": "approval_reminder", "workflow": row.workflow, "data": about}, enc_hook=str)
    made: list[OutboxRow] = []
    for count in range(1, MOST_REMINDERS + 1):
        at_ns = row.since_ns + count * every_ns
        if expires_ns and at_ns >= expires_ns:
            break
        changed = {"id": f"{row.id}:{count}", "body": body.decode(), "since_ns": at_ns, "next_ns": at_ns}
        made.append(msgspec.structs.replace(row, **changed))
    return made
