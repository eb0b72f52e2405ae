"""Where the values of a task's calls come from: the information-flow policy, folded from the task's records, asked before a call is intended.

Above: `approve`, `converse`. Below: `state`, governance's `Policy`. Nothing of it is stored: a task that is resumed, replayed or forked folds to the same policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from interlock.core.events import FLOW
from interlock.core.verdicts import ALLOW, Verdict
from interlock.governance.decisions import Policy

from .actions import PlannedCall, as_object
from .contract import Contract
from .state import Action, State

if TYPE_CHECKING:
    from interlock.governance.flow import FlowPolicy

RULE = FLOW
"""How the rule of a question begins that this policy asked for."""
HELD = "answer_held"
_ENDORSING = ("approve", "edit")


def judged(state: State, contract: Contract, calls: Sequence[PlannedCall], *, declared: bool = False) -> list[Verdict]:
    """What the policy says of each call, in their order: a call counts as done for those after it. `declared`: the contract's own steps, whose words are the contract's."""
    if contract.information is None or not calls:
        return [ALLOW] * len(calls)
    known = policy_of(state, contract)
    found: list[Verdict] = []
    for call in calls:
        given = as_object(call.arguments)
        found.append(contract.information.call(known, call.name, given, declared=declared))
        if found[-1].outcome != "deny":
            known.made(call.name, given)
    return found


def policy_of(state: State, contract: Contract) -> FlowPolicy:
    """The policy after everything that the task has done so far; the contract has terms."""
    assert contract.information is not None
    policy = contract.information.task(_request(state, contract), given=_told(state), house=contract.prompt)
    for action in state.actions:
        if action.kind != "tool" or action.compensates or action.refused:
            continue
        arguments = as_object(action.arguments)
        if action.ok and not suspicious(action):
            policy.after(action.name, arguments, action.result, endorsed=_endorsed(state, action))
        elif action.settled is not None:
            policy.distrusted(action.name, arguments, action.result)
        else:
            policy.made(action.name, arguments)
    return policy


def labels_of(state: State, contract: Contract) -> tuple[str, ...]:
    """What the task's texts bear by now: what it began with, what its tools brought by their contracts (`untrusted`, `tenant`, `secret`, `source:…`), and what stood beside it: what
    a session kept, what a task that it began bore in the end.
    """
    began = state.started.caller.labels if state.started is not None else ()
    brought = {label for action in state.actions for label in _brought(action)}
    if contract.information is None:
        return tuple(sorted({*began, *brought}))
    strange = {"untrusted"} if any(each.trust != "user" for each in contract.inputs.values()) else set[str]()
    return tuple(sorted({*began, *brought, *strange, *policy_of(state, contract).labels()}))


def _brought(action: Action) -> tuple[str, ...]:
    """What one call's event says that its answer bears."""
    arrived = action.arrived.labels if action.arrived is not None else ()
    return (*arrived, *(action.settled.caller.labels if action.settled is not None else ()))


def version_of(contract: Contract) -> str:
    """The version of the contracts that decided; empty without any."""
    return contract.information.version if contract.information is not None else ""


def card(policy_verdict: Verdict, state: State, contract: Contract) -> tuple[str, ...]:
    """What a person reads about a call that was not allowed by itself: all that stands against it, and where the value was seen."""
    seen = policy_of(state, contract).origin(policy_verdict.value)
    signs = [
        f"what {action.name} returned shows signs of an injection: nothing of it is trusted"
        for action in state.actions
        if action.kind == "tool" and action.ok and suspicious(action)
    ]
    return (*policy_verdict.card, *((seen,) if seen else ()), *dict.fromkeys(signs))


def suspicious(action: Action) -> bool:
    """Whether what the tool returned stood out: a sign can only take trust away."""
    return action.settled is not None and any(each.startswith("injection:") for each in action.settled.signals)


def held(state: State, contract: Contract, value: Any) -> tuple[Any, Verdict]:
    """An answer as it may leave, and the policy's verdict: `change` where that is another than was written."""
    if contract.information is None:
        return value, ALLOW
    found: list[Verdict] = []
    leaves = _without(contract.information, policy_of(state, contract), value, found)
    return leaves, next((each for each in found if each.outcome != "allow"), ALLOW)


def _without(policy: Policy, known: FlowPolicy, value: Any, found: list[Verdict]) -> Any:
    """A value whose texts are as they may leave; the verdicts about them go into `found`."""
    if isinstance(value, str):
        found.append(policy.final(known, value))
        return found[-1].value
    if isinstance(value, list):
        return [_without(policy, known, each, found) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _without(policy, known, each, found) for key, each in cast("dict[str, Any]", value).items()}
    return value


def _request(state: State, contract: Contract) -> str:
    """What the task's user said: its trusted inputs, the text first."""
    names = [contract.text_input, *(name for name in contract.inputs if name != contract.text_input)]
    trusted = [name for name in names if name in contract.inputs and contract.inputs[name].trust == "user"]
    told = _told(state)
    return "\n".join(str(told[name]) for name in trusted if told.get(name) is not None)


def vouched(contract: Contract, tool: str) -> tuple[str, ...]:
    """The inputs of a task that this contract's tool begins, whose words are known to be the user's: the policy has let them pass, or a person has."""
    terms = contract.information.terms.tools.get(tool) if contract.information is not None else None
    return tuple(name for name, each in terms.arguments.items() if each.role in ("authority", "text")) if terms else ()


def _told(state: State) -> dict[str, Any]:
    """The inputs that are the caller's own word, and not that of a parent's model."""
    if state.vouched is None:
        return state.input
    return {name: value for name, value in state.input.items() if name in state.vouched}


def _endorsed(state: State, action: Action) -> bool:
    """A person has said yes to the call although the policy could not."""
    return any(
        approval.decided is not None
        and approval.decided.decision in _ENDORSING
        and RULE in approval.asked.rule
        and (approval.turn, approval.asked.tool_call_id) == (action.turn, action.tool_call_id)
        for approval in state.approvals
    )
