"""The model loop: prompt, input and tools to the model; its calls performed; its answer checked against the schema on our side.

Above: `decide`. Below: `state`, `approve`, `human`. The conversation is rebuilt from the log at every turn, never stored.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from interlock.core.chat import ChatRequest, Message, ToolCall, ToolSpec
from interlock.core.events import Finished
from interlock.core.unreadable import UNREADABLE
from interlock.tools.verdict import modified

from . import anomalies, approve, information, justify, limits, outage, waits
from .actions import AskApproval, CallModel, CallTools, Decision, Entry, Finish, PlannedCall, Wait, as_object, noted
from .compensate import end
from .contract import Contract
from .human import gathered, hand_over
from .state import Action, State
from .understand import understanding_of

VIOLATION = "schema_violation"
_MAX_INPUT_CHARS = 200_000


class Turn(Struct, frozen=True):
    """One answer of the model: what it said, and what it wants called."""

    step: int
    text: str
    calls: tuple[ToolCall, ...]
    refusal: str = ""
    cut: bool = False
    """The model was stopped by a limit on its output."""


def next_step(state: State, contract: Contract, now_ns: int) -> Decision:
    """The loop's next action."""
    if not contract.model:
        return hand_over(state, "no_model", _left(state) or "the contract names no model")
    failed = _failed_call(state, contract, now_ns)
    if failed is not None:
        return _without_model(state, contract, failed)
    turns = turns_of(state, contract)
    if not turns:
        return _ask_model(state, contract, turns)
    last = turns[-1]
    if last.calls:
        return _tools(state, contract, turns, now_ns)
    return _conclude(state, contract, turns)


def turns_of(state: State, contract: Contract) -> list[Turn]:
    """The model's answers, oldest first; ids of calls are made unique where a model repeats or leaves them out."""
    turns: list[Turn] = []
    names = {wire: name for name, wire in wire_names(contract).items()}
    for action in state.answers:
        response: dict[str, Any] = (action.content or {}).get("response", {})
        calls: dict[str, ToolCall] = {}
        for index, call in enumerate(response.get("tool_calls") or ()):
            name = str(call.get("id") or f"call_{index}")
            name = name if name not in calls else f"{name}_{index}"
            tool = str(call.get("name") or "")
            calls[name] = ToolCall(name, names.get(tool, tool), call.get("arguments") or "{}")
        text = str(response.get("text") or "")
        refusal, cut = str(response.get("refusal") or ""), response.get("finish") == "length"
        turns.append(Turn(action.step, text, tuple(calls.values()), refusal, cut))
    return turns


def wire_names(contract: Contract) -> dict[str, str]:
    """The tools' names as models see them: vendors take letters, digits, - and _ only, so `orders.get` is `orders_get`."""
    names: dict[str, str] = {}
    for name in contract.grants:
        wire = name.replace(".", "_")
        names[name] = wire if wire not in names.values() else f"{wire}_{len(names)}"
    return names


def _failed_call(state: State, contract: Contract, now_ns: int) -> Action | None:
    """The latest model call where it failed for good; one that a crash cut off is no failure, nor one that may pass: it is made again."""
    models = [a for a in state.actions if a.kind == "model" and not a.tier0]
    last = models[-1] if models else None
    if last is None or last.ok or last.settled is None or last.settled.status in ("crashed", "client_gone"):
        return None
    return None if outage.wait_s(state, contract, last, now_ns) else last


def _without_model(state: State, contract: Contract, failed: Action) -> Decision:
    """The gateway has tried everything: a person takes over where people are part of the contract, else the task failed."""
    settled = failed.settled
    code, message = (settled.error, settled.message) if settled else ("error", "")
    if contract.tier0 or contract.flows:
        return hand_over(state, "no_usable_model", f"{_left(state)}; no model could answer: {code}: {message}")
    return end(state, contract, "failed", code or "model_failed", message, {"partial": gathered(state)})


def _ask_model(state: State, contract: Contract, turns: list[Turn], notes: tuple[Entry, ...] = ()) -> CallModel:
    left = limits.left_output_tokens(state, contract)
    understood = understanding_of(state)
    request = ChatRequest(
        model=contract.model,
        messages=messages(state, contract, turns),
        tools=_specs(contract),
        temperature=None if contract.seed is None else 0.0,
        seed=contract.seed,
        max_output_tokens=left,
        output_schema=contract.output_schema,
        facts={**contract.facts(state.input), **({"intent": understood.intent} if understood else {})},
    )
    return CallModel(request, key=_unfinished_key(state), notes=notes)


def _specs(contract: Contract) -> tuple[ToolSpec, ...]:
    wire = wire_names(contract)
    return tuple(replace(justify.spec_of(grant), name=wire[name]) for name, grant in contract.grants.items())


def _unfinished_key(state: State) -> str:
    """The key of a model call that a crash cut off: it is the same call again."""
    models = [a for a in state.actions if a.kind == "model" and not a.tier0]
    return models[-1].key if models and not (models[-1].ok and models[-1].content is not None) else ""


def _tools(state: State, contract: Contract, turns: list[Turn], now_ns: int) -> Decision:
    """What the last turn asked for: questions first, then everything that may run, at the same time."""
    turn = turns[-1]
    made = {action.tool_call_id for action in state.actions if action.turn == turn.step}
    left = [planned(call, contract) for call in turn.calls if call.id not in made]
    checked = justify.checked(state, contract, turn.step, turn.calls, left)
    if checked.over is not None:
        return limits.stop(state, checked.over)
    verdicts = approve.verdicts(state, contract, checked.calls, turn.step)
    denied = [f"{each.call.name}: {each.why}" for each in verdicts if each.verdict == "denied"]
    if denied:
        return end(state, contract, "denied", "approval_denied", "; ".join(denied))
    questions = [approve.question(contract, each, now_ns) for each in verdicts if each.verdict == "ask"]
    if questions:
        return AskApproval(tuple(questions))
    may = [*checked.refused, *(each.call for each in verdicts if each.verdict == "free")]
    free = waits.planned(state, contract, may)
    if free:
        return CallTools(free, checked.notes(free))
    if verdicts:
        return Wait("approval")
    if waits.open_waits(state):
        return Wait("waits")
    return _ask_model(state, contract, turns)


def planned(call: ToolCall, contract: Contract) -> PlannedCall:
    """A model's call as one to be made. Text that is no JSON goes on as it is, so that the tool desk can refuse it."""
    try:
        arguments = msgspec.json.decode(call.arguments)
    except UNREADABLE:
        arguments = call.arguments
    grant = contract.grants.get(call.name)
    if grant is not None and grant.rules:
        arguments = modified(grant.rules, arguments)  # a person is asked about what would be done
    return PlannedCall(call.name, arguments, contract.effect_of(call.name), tool_call_id=call.id)


def _conclude(state: State, contract: Contract, turns: list[Turn]) -> Decision:
    """The answer, one request to mend it, or the end of a task whose model cannot keep to the schema."""
    cut = limits.cut_off(state, contract) if turns[-1].cut else None
    if cut is not None:
        return limits.stop(state, cut)
    value, faults = read_answer(contract, turns[-1])
    if not faults:
        value, verdict = information.held(state, contract, value)
        notes = (noted(information.HELD, verdict.told),) if verdict.outcome == "change" else ()
        return _resolved(state, value, notes)
    said = "; ".join(faults[:5])
    if sum(1 for turn in turns if not turn.calls) == 1:
        notes = () if state.note(VIOLATION) else (noted(VIOLATION, said),)
        return _ask_model(state, contract, turns, notes)
    report = {"partial": gathered(state), "faults": faults[:5]}
    return end(state, contract, "failed", "output_schema_violation", said, report)


def read_answer(contract: Contract, turn: Turn) -> tuple[Any, list[str]]:
    """The answer as the schema wants it, and what is wrong with it."""
    if turn.refusal:
        return None, [f"the model refused: {turn.refusal}"]
    if not turn.text.strip():
        return None, ["the answer is empty"]
    if turn.cut:
        return None, ["the answer was cut off at the model's own maximum length; a shorter one is needed"]
    if contract.output_schema is None:
        return turn.text, []
    try:
        value = msgspec.json.decode(_unfenced(turn.text))
    except UNREADABLE as invalid:
        return None, [f"the answer is not JSON: {invalid}"]
    return value, contract.output_checker.faults(value) if contract.output_checker else []


def _unfenced(text: str) -> str:
    """JSON without the Markdown fence that some models put around it."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text[3:-3].removeprefix("json").strip()
    return text


def _resolved(state: State, value: Any, notes: tuple[Entry, ...]) -> Decision:
    settled = state.answers[-1].settled
    simulated = any(a.settled is not None and a.settled.simulated for a in state.answers)
    fields = as_object(value)
    said = fields.get("confidence")
    own = float(said) if isinstance(said, (int, float)) and not isinstance(said, bool) and 0 <= said <= 1 else None
    confidence = own if own is not None else settled.confidence if settled else None
    finished = Finished(
        "simulated" if simulated else "resolved",
        tier=settled.tier if settled else "",
        confidence=confidence,
        escalations=state.escalations + int(state.note("left_flow") is not None),
        simulated=simulated,
        degraded=settled.degraded if settled else "",
    )
    citations: Any = fields.get("citations")
    content: dict[str, Any] = {
        "answer": fields.get("answer", value),
        "citations": citations if isinstance(citations, list) else [],
        **({"output": value} if "answer" in fields else {}),
    }
    return Finish(finished, content, notes)


def messages(state: State, contract: Contract, turns: list[Turn]) -> tuple[Message, ...]:
    """The conversation: prompt, input, each turn with the results of its calls, and a request to mend an unusable answer."""
    said: list[Message] = [Message("system", contract.prompt)] if contract.prompt else []
    said.append(Message("user", opening(state, contract)))
    wire = wire_names(contract)
    said += _notes(state, -1, turns[0].step if turns else None)
    for at, turn in enumerate(turns):
        asked = tuple(replace(call, name=wire.get(call.name, call.name)) for call in turn.calls)
        said.append(Message("assistant", turn.text, tool_calls=asked))
        results = {action.tool_call_id: action for action in state.actions if action.turn == turn.step}
        said += [Message("tool", answer_to(results.get(call.id), state), tool_call_id=call.id) for call in turn.calls]
        if not turn.calls:
            _, faults = read_answer(contract, turn)
            said.append(Message("user", f"That cannot be used: {'; '.join(faults[:5])}. Answer again, correctly."))
        said += _notes(state, turn.step, turns[at + 1].step if at + 1 < len(turns) else None)
    return tuple(said)


def _notes(state: State, after: int, before: int | None) -> list[Message]:
    """Warnings between two steps (`None`: up to now)."""
    told = anomalies.lines_after(state, after, before)
    return [Message("user", f"Note from the system that runs you: {line}") for line in told]


def opening(state: State, contract: Contract) -> str:
    """The first user message: the text, then the other inputs and what a flow gathered before it was left."""
    text = str(state.input.get(contract.text_input, ""))[:_MAX_INPUT_CHARS]
    others = {
        name: value for name, value in state.input.items() if name != contract.text_input and name in contract.inputs
    }
    known = _known(state)
    done = [_shown(a) for a in state.actions if a.kind == "tool" and a.turn == 0 and not a.compensates]
    parts = {"Given with it": others, "Already known": known, "Already done": done}
    lines = [f"{title}: {msgspec.json.encode(part).decode()}" for title, part in parts.items() if part]
    return "\n\n".join([text, *lines])


def _known(state: State) -> dict[str, Any]:
    """What the device is sure of, and the slots that a flow found."""
    understood, facts = understanding_of(state), gathered(state)
    known = {key: facts[key] for key in ("slots", "missing") if facts.get(key)}
    if understood is not None and understood.accepted:
        known["intent"] = understood.intent
    if understood is not None and understood.passage and understood.passage.get("good"):
        known["passage"] = {key: understood.passage.get(key) for key in ("article", "text")}
    return known


def answer_to(action: Action | None, state: State) -> str:
    """What the model reads as the result of a call."""
    if action is None:
        return '{"error":{"code":"not_done","message":"This call was not made."}}'
    shown = _shown(action)
    for approval in state.approvals:
        about = (approval.turn, approval.asked.tool_call_id) == (action.turn, action.tool_call_id)
        if about and approval.decided and approval.decided.decision == "edit":
            shown["changed_by_a_person"] = {"arguments": approval.edited, "note": approval.decided.note}
    return msgspec.json.encode(shown).decode()


def _shown(action: Action) -> dict[str, Any]:
    if action.ok:
        return {
            "result": action.result,
            **({} if action.turn else {"tool": action.name, "arguments": action.arguments}),
        }
    if action.ruling == "compensate":
        return {"error": {"code": "undone", "message": f"A person had {action.name} undone, whatever it did."}}
    if action.ruling == "skip":
        return {"error": {"code": "skipped", "message": f"A person decided that {action.name} is not to be done."}}
    return {
        "error": (action.content or {}).get("error", {"code": "unknown", "message": "It is not known what happened."})
    }


def _left(state: State) -> str:
    note = state.note("left_flow")
    return note.reason if note else ""
