"""Approvals: a person decides before a tool runs. The question is bound to the call and to the hash of its arguments.

Above: `decide`. Below: `state`, `actions`. A waiting task is a row: nothing of it stays in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from interlock.core.errors import ToolArgumentsInvalid
from interlock.core.events import ApprovalAsked, ApprovalDecided
from interlock.core.store import Signal
from interlock.core.time import NS_PER_S

from . import information
from .actions import Entry, PlannedCall, arguments_hash, as_object, noted
from .contract import Contract
from .state import Approval, State

APPROVAL_SIGNAL = "approval"
_DECISIONS = ("approve", "edit", "deny")


class Judged(Struct, frozen=True):
    """One call with what was decided about it."""

    verdict: Literal["free", "ask", "wait", "denied"]
    call: PlannedCall
    """As decided: a person may have edited it, a policy may have refused it."""
    why: str = ""
    """The rule that asks, or the reason."""
    card: tuple[str, ...] = ()
    """What a person reads besides."""


def rule_for(contract: Contract, tool: str, arguments: Any) -> str:
    """The rule that makes a call need approval, as it stands in the contract; empty where none does.

    A condition that cannot be decided, because the arguments lack a name it uses, asks a person.
    """
    rule = contract.approvals.get(tool)
    if rule is None:
        return ""
    if rule is True:
        return "requires_human_approval: true"
    facts = as_object(arguments)
    return "" if rule.evaluate(facts) is False else f"requires_human_approval: {rule.explain(facts)}"


def standing(state: State, call: PlannedCall, turn: int) -> Approval | None:
    """The latest question that was put about exactly this call."""
    digest = arguments_hash(call.arguments)
    for approval in reversed(state.approvals):
        asked = approval.asked
        if (asked.tool_call_id, asked.tool, asked.arguments_hash, approval.turn) == (
            call.tool_call_id,
            call.name,
            digest,
            turn,
        ):
            return approval
    return None


def question(contract: Contract, judged: Judged, now_ns: int) -> tuple[ApprovalAsked, dict[str, Any]]:
    """The question about one call. `step` is filled in with its own place when it is written."""
    call, rule = judged.call, judged.why
    asked = ApprovalAsked(
        step=0,
        tool=call.name,
        arguments_hash=arguments_hash(call.arguments),
        rule=rule,
        expires_ns=now_ns + int(contract.approval_expires_s * NS_PER_S),
        on_expiry=contract.approval_on_expiry,
        tool_call_id=call.tool_call_id,
        workflow=contract.workflow,
    )
    card = {"card": judged.card, "policy": information.version_of(contract)} if judged.card else {}
    return asked, {"arguments": call.arguments, "why": rule, **card}


def verdicts(
    state: State, contract: Contract, calls: Sequence[PlannedCall], turn: int, *, declared: bool = False
) -> list[Judged]:
    """Whether each call may run. `declared`: the calls are steps of the contract's own flow."""
    stand = [standing(state, call, turn) for call in calls]
    new = [call for call, approval in zip(calls, stand, strict=True) if approval is None]
    flow = iter(information.judged(state, contract, new, declared=declared))
    return [
        _new(state, contract, call, next(flow)) if approval is None else _decided(call, approval)
        for call, approval in zip(calls, stand, strict=True)
    ]


def _new(state: State, contract: Contract, call: PlannedCall, flow: information.Verdict) -> Judged:
    """A call that nobody was asked about yet: the contract's rule and the information-flow policy."""
    if not _makes_sense(contract, call):
        return Judged("free", call)  # the tool refuses it, and says why
    if flow.outcome == "deny" or (flow.outcome == "ask" and contract.unsure == "deny"):
        return Judged("free", replace(call, refused=flow.reason, verdict=flow.told, effect="none"))
    rule = rule_for(contract, call.name, call.arguments)
    if flow.outcome == "allow":
        return Judged("ask", call, rule) if rule else Judged("free", call)
    why = f"{information.RULE}{flow.reason}"
    return Judged("ask", call, f"{rule}; {why}" if rule else why, information.card(flow, state, contract))


def _decided(call: PlannedCall, approval: Approval) -> Judged:
    """A call that a person was asked about, as decided."""
    decided = approval.decided
    if decided is None:
        return Judged("wait", call, approval.asked.rule)
    if decided.decision == "deny" or (decided.decision == "expire" and approval.asked.on_expiry == "deny"):
        return Judged("denied", call, decided.note or f"{decided.decision} by {decided.who}")
    if decided.decision == "edit":
        edited = PlannedCall(call.name, approval.edited, call.effect, tool_call_id=call.tool_call_id)
        return Judged("free", edited, f"edited by {decided.who}")
    return Judged("free", call)


def _makes_sense(contract: Contract, call: PlannedCall) -> bool:
    """Nobody is asked about a call that the tool would refuse anyway."""
    grant = contract.grants.get(call.name)
    if grant is None:
        return False
    try:
        grant.tool.convert(call.arguments)
    except ToolArgumentsInvalid:
        return False
    return True


def open_questions(state: State) -> list[Approval]:
    """Questions that nobody has answered."""
    return [approval for approval in state.approvals if approval.decided is None]


def expiries(state: State, now_ns: int) -> list[Entry]:
    """The clock's decisions on questions whose time is up."""
    return [
        (
            ApprovalDecided(a.seq, "expire", "clock", a.asked.arguments_hash, f"nobody answered: {a.asked.on_expiry}"),
            None,
        )
        for a in open_questions(state)
        if a.asked.expires_ns <= now_ns
    ]


def decisions(state: State, contract: Contract, signals: Sequence[Signal]) -> list[Entry]:
    """What people decided, as entries; a decision that fits no open question, or comes second, is noted and changes nothing."""
    entries, still_open = list[Entry](), {approval.seq: approval for approval in open_questions(state)}
    for signal in signals:
        if signal.name == APPROVAL_SIGNAL:
            entries.append(_decision(still_open, contract, signal))
            if isinstance(event := entries[-1][0], ApprovalDecided):
                del still_open[event.step]
    return entries


def _decision(still_open: Mapping[int, Approval], contract: Contract, signal: Signal) -> Entry:
    given = signal.payload
    step, decision, who = given.get("step"), given.get("decision"), str(given.get("who", ""))
    approval = still_open.get(step) if isinstance(step, int) else None
    if approval is None or decision not in _DECISIONS:
        return noted(
            "signal_ignored", f"{signal.id}: nothing is asked at step {step}, or {decision!r} is none of {_DECISIONS}"
        )
    if signal.at_ns and signal.at_ns > approval.asked.expires_ns:
        return noted("signal_ignored", f"{signal.id}: the question at step {step} had expired")
    bound = given.get("arguments_hash")
    if bound and bound != approval.asked.arguments_hash:
        return noted("signal_ignored", f"{signal.id}: it decides on other arguments than step {step} asks about")
    if decision != "edit":
        return ApprovalDecided(
            approval.seq, decision, who, approval.asked.arguments_hash, str(given.get("note", ""))
        ), None
    arguments = given.get("arguments")
    if not _makes_sense(contract, PlannedCall(approval.asked.tool, arguments)):
        return noted("signal_ignored", f"{signal.id}: {approval.asked.tool} would refuse the edited arguments")
    digest = arguments_hash(arguments)
    return ApprovalDecided(approval.seq, "edit", who, digest, str(given.get("note", ""))), {"arguments": arguments}
