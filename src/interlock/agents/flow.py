"""Flows: the steps a contract declares for an intent that the on-device tier recognised. No model is called.

Above: `decide`. Below: `slots`, `state`, `approve`. The flow's place is not stored: it is walked again over the results in the log,
which is pure and costs microseconds. Whatever does not fit leaves the flow with the reason and all that was gathered.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from interlock.config.templates import NameMissing
from interlock.core.events import Finished
from interlock.core.ports import ON_DEVICE_TIER
from interlock.core.time import NS_PER_S

from . import approve, waits
from .actions import AskApproval, CallTools, Decision, Entry, Finish, PlannedCall, Wait, Write, noted
from .compensate import end
from .contract import Contract, Flow, FlowStep
from .slots import Found, currencies, extract
from .state import Action, State
from .understand import Understood, understanding_of

LEFT = "left_flow"
CHOSEN = "flow_chosen"


def next_step(state: State, contract: Contract, now_ns: int) -> Decision | None:
    """The flow's next action, the note that it is left, or `None` when no flow handles the task (any more)."""
    if state.note(LEFT) or not contract.tier0:
        return None
    understood = understanding_of(state)
    reason = why_not(contract, understood)
    if understood is None or reason:
        return leave(reason)
    flow = contract.flows[understood.intent]
    if flow.from_knowledge:
        return _from_knowledge(state, understood)
    found = extract(flow.slots, _text(state, contract), state.input, _today(state))
    if found.missing:
        lacking = "; ".join(f"{name} {why}" for name, why in found.missing.items())
        return leave(f"missing: {lacking}", found)
    return _walk(state, contract, flow, understood, found, now_ns)


def why_not(contract: Contract, understood: Understood | None) -> str:
    """Why no flow may handle the task; empty when one may."""
    if understood is None:
        return "the on-device tier could not be asked"
    if not understood.accepted:
        seen = f"{understood.intent or 'nothing'} (confidence={understood.confidence:.2f} < {understood.threshold:.2f})"
        return f"not sure enough: {seen}{'; ' + understood.reason if understood.reason else ''}"
    if understood.intent not in contract.flows:
        return f"no flow is declared for {understood.intent}"
    return ""


def leave(reason: str, found: Found | None = None) -> Write:
    """The note that the flow is left, with what its extractors found."""
    content: dict[str, Any] = {"slots": found.values, "missing": found.missing} if found else {}
    return Write((noted(LEFT, reason, content),))


def _from_knowledge(state: State, understood: Understood) -> Decision:
    passage = understood.passage
    if passage is None or not passage.get("good"):
        return leave("no passage answers it well enough")
    cited = [str(passage[name]) for name in ("article", "also") if passage.get(name)]
    return _answered(state, understood, str(passage.get("text", "")), cited)


def _walk(state: State, contract: Contract, flow: Flow, understood: Understood, found: Found, now_ns: int) -> Decision:
    """Steps in order: those done give their results to the scope, the first that is not done is the next action."""
    scope = {**_inputs(state, contract), **_unset(flow), **found.values, **_currency(state, contract, flow)}
    calls = {action.tool_call_id: action for action in state.actions if action.tool_call_id.startswith("flow:")}
    for index, step in enumerate(flow.steps):
        holds = True if step.when is None else step.when.evaluate(scope)
        if holds is None:
            return leave(f"cannot decide `{step.when and step.when.text}`: a name it needs is not known", found)
        if not holds:
            continue
        try:
            if step.answer is not None:
                return _answered(state, understood, step.answer.render(scope), list(step.cite))
            planned = _planned(index, step, scope, contract)
        except NameMissing as missing:
            return leave(f"step {index + 1} needs {missing.name}, which is not there", found)
        done = calls.get(planned.tool_call_id)
        if done is None:
            return _call(state, contract, planned, understood, now_ns)
        if done.waits:
            return Wait("waits")
        problem = _problem(done, planned)
        if problem:
            return leave(problem, found)
        if step.save_as:
            scope[step.save_as] = done.result
    return leave("no step of the flow answers this case", found)


def _planned(index: int, step: FlowStep, scope: dict[str, Any], contract: Contract) -> PlannedCall:
    arguments = step.arguments.value(scope) if step.arguments else {}
    given = {name: value for name, value in arguments.items() if value is not None}
    return PlannedCall(step.call, given, contract.effect_of(step.call), tool_call_id=f"flow:{index + 1}")


def _call(state: State, contract: Contract, planned: PlannedCall, understood: Understood, now_ns: int) -> Decision:
    """The call, or the question about it."""
    notes: tuple[Entry, ...] = ()
    if state.note(CHOSEN) is None:
        notes = (noted(CHOSEN, f"{understood.intent} (confidence={understood.confidence:.2f})"),)
    judged = approve.verdicts(state, contract, (planned,), 0, declared=True)[0]
    match judged.verdict:
        case "free":
            return CallTools(waits.planned(state, contract, (judged.call,)), notes)
        case "ask":
            return AskApproval((approve.question(contract, judged, now_ns),), notes)
        case "wait":
            return Wait("approval")
        case "denied":
            return end(state, contract, "denied", "approval_denied", f"{judged.call.name}: {judged.why}")


def _problem(done: Action, planned: PlannedCall) -> str:
    """Why the result in the log cannot be used for this step; empty when it can."""
    if done.name != planned.name:
        return f"the flow has changed: it did {done.name} where it now has {planned.name}"
    if done.ok:
        return ""
    if done.ruling in ("skip", "compensate"):
        return f"{done.name} was {'skipped' if done.ruling == 'skip' else 'undone'} by a person"
    error = (done.content or {}).get("error", {})
    return f"{done.name} failed: {error.get('code', 'error')}: {error.get('message', '')}"


def _answered(state: State, understood: Understood, text: str, citations: list[str]) -> Finish:
    finished = Finished(
        "resolved", tier=ON_DEVICE_TIER, confidence=understood.confidence, escalations=state.escalations
    )
    return Finish(finished, {"answer": text, "citations": citations, "intent": understood.intent})


def _inputs(state: State, contract: Contract) -> dict[str, Any]:
    return {name: state.input.get(name) for name in contract.inputs}


def _unset(flow: Flow) -> dict[str, Any]:
    """Optional slots are known to be absent, so that a condition can ask for them."""
    return {slot.name: None for slot in flow.slots}


def _currency(state: State, contract: Contract, flow: Flow) -> dict[str, Any]:
    """`NAME_currency` beside each amount."""
    amounts = [slot.name for slot in flow.slots if slot.type == "amount"]
    named = dict.fromkeys(currencies(_text(state, contract))) if amounts else {}
    return {f"{name}_currency": next(iter(named)) if len(named) == 1 else None for name in amounts}


def _text(state: State, contract: Contract) -> str:
    return str(state.input.get(contract.text_input, ""))


def _today(state: State) -> date:
    """The day the task began, in UTC: relative dates mean that day however long the task waits."""
    return datetime.fromtimestamp(state.started_ns / NS_PER_S, UTC).date()
