"""Fork: a copy of a task goes on from one of its steps under another prompt, model or contract, with its side effects held back.

Above: `app`. Below: `run`, `state`, the tools' grants. The fork is a task of its own, under the workflow's name and `~fork`, so that its cost is on the books and its
outcome on nobody's. What the original did before the step is copied without its cost; a tool with an effect is not called again: where the original made the very
same call its result is given, else the model is told that nothing was done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from interlock.core.caller import Caller
from interlock.core.errors import InvalidRequest
from interlock.core.events import Intended, Noted, Record, Settled, Started
from interlock.core.money import Usage
from interlock.tools.call import Grant

from .actions import arguments_hash
from .contract import Contract
from .state import State, fold

FORK = "~fork"
HELD_BACK = "held_back"


def copied(records: Sequence[Record], at: int, task: str, now_ns: int, contract: Contract) -> list[Record]:
    """The log of the fork before it goes on: everything before seq `at`, without its cost, as if it had just happened: time that has passed
    since counts towards no limit.

    Raises:
        InvalidRequest: the task has no decision to be taken anew there.
    """
    kept = [record for record in records if record.seq < at]
    if len(kept) < 1 or at < 1 or at > records[-1].seq:
        raise InvalidRequest(f"there is no step {at} to fork at", param="at", hint=f"Steps: 1 to {records[-1].seq}.")
    open_calls = {r.event.step for r in kept if isinstance(r.event, Intended)} - {r.seq for r in kept}
    if open_calls:
        raise InvalidRequest(
            f"step {at} lies between a call's beginning and its end",
            param="at",
            hint=f"Fork at step {max(open_calls) + 1} instead.",
        )
    later_ns = now_ns - kept[-1].at_ns
    made = [_as_of(record, task, contract, later_ns) for record in kept]
    note = Noted("forked", f"from {records[0].task} at step {at}")
    return [*made, Record(task, fold(made).next_seq, records[0].tenant, now_ns, note)]


def held_back(contract: Contract, original: State) -> Contract:
    """The contract with nothing left that has an effect: no tool, none that undoes one, and no task that is begun, which would have its own."""
    known = {
        (action.name, action.arguments_hash): action.result
        for action in original.actions
        if action.kind == "tool" and action.ok and action.arguments_hash
    }
    grants, undo_grants = (
        {name: grant if grant.tool.effect == "none" else _without_effect(grant, known) for name, grant in each.items()}
        for each in (contract.grants, contract.undo_grants)
    )
    awaits = {name: how for name, how in contract.awaits.items() if how.kind != "child"}
    return replace(contract, grants=grants, undo_grants=undo_grants, awaits=awaits)


def _without_effect(grant: Grant, known: Mapping[tuple[str, str], Any]) -> Grant:
    tool = grant.tool

    def stand_in(**given: Any) -> Any:
        arguments = given.get("arguments") if tool.checker is not None else given
        result = known.get((tool.name, arguments_hash(msgspec.to_builtins(arguments, enc_hook=str))))
        return {HELD_BACK: True, "note": "This is a trial run: nothing was done."} if result is None else result

    return replace(
        grant,
        tool=replace(tool, function=stand_in, takes_ctx=False, effect="none", reconcile=None),
        cache_ttl_s=0.0,
        fallback=None,
    )


def _as_of(record: Record, task: str, contract: Contract, later_ns: int) -> Record:
    event = record.event
    if isinstance(event, Started):
        caller = Caller(
            event.caller.tenant,
            event.caller.user,
            event.caller.key_id,
            contract.workflow,
            task,
            versions=contract.versions,
            labels=event.caller.labels,
        )
        event = replace(
            event,
            workflow=contract.workflow,
            caller=caller,
            versions=contract.versions,
            batch="",
            line=0,
            parent="",
            parent_step=0,
        )
    if isinstance(event, Settled):
        caller = replace(event.caller, task=task, workflow=contract.workflow)
        event = replace(
            event, caller=caller, started_ns=event.started_ns + later_ns, attempts=(), usage=Usage(), cost_nano_usd=0, saved_nano_usd=0, reserved_nano_usd=0,
            reasons=(f"copied from step {record.seq} of {record.task}, with no cost of its own",),
        )  # fmt: skip
    return replace(record, task=task, event=event, fence=0, at_ns=record.at_ns + later_ns)
