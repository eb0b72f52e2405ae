"""A contract's limits, checked before the call that would exceed them. Each ends the task as `limit_reached` with what there is so far.

Above: `decide`. Below: `state`, `actions`. Steps, calls, calls per tool and seconds are decided here from the log; tokens and cost are
reserved by the gateway on the task's `Budget`, which is rebuilt from the log, and come back as a refused call.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from interlock.core.budget import Budget
from interlock.core.errors import LimitReached
from interlock.core.events import Finished
from interlock.core.time import Clock, Deadline

from . import seconds, waits
from .actions import CallModel, CallTools, Decision, Finish
from .contract import TIER0_MODEL, Contract
from .human import gathered
from .state import State

DEFAULT_MAX_STEPS = 100
"""Where a contract says nothing: a model that calls tools for ever does not run for ever."""


def guard(state: State, contract: Contract, decision: Decision, now_ns: int) -> Decision:
    """`decision`, or the end of the task where it would exceed a limit. Compensations are never held back."""
    if not isinstance(decision, (CallModel, CallTools)):
        return decision
    late = out_of_time(state, contract, now_ns)
    hit = late or _exceeded(state, contract, decision)
    return stop(state, hit) if hit else decision


def out_of_time(state: State, contract: Contract, now_ns: int) -> LimitReached | None:
    """Whether the task has run for longer than it may; time spent waiting does not count, what children worked does."""
    allowed = contract.limits.max_seconds
    used = round(seconds.worked_s(state, now_ns), 3)
    if allowed is None or used < allowed:
        return None
    return LimitReached("max_seconds", used=used, asked=0, maximum=allowed)


def refused(state: State) -> LimitReached | None:
    """The limit that a call ran into at the gateway or at the tool desk; one that has room again later is waited for instead."""
    for action in state.actions:
        settled = action.settled
        if settled is not None and settled.status == "refused" and settled.limit and not settled.retry_after_s:
            stopped = LimitReached(settled.limit, used=0, asked=0, maximum=0)
            stopped.message = settled.message
            return stopped
    return None


def stop(state: State, hit: LimitReached) -> Finish:
    """The end at a limit: typed, and with everything that is known so far."""
    finished = Finished(
        "limit_reached",
        escalations=state.escalations,
        error=hit.limit,
        message=hit.message,
        simulated=any(a.settled is not None and a.settled.simulated for a in state.answers),
    )
    return Finish(finished, {"answer": _last_words(state), "partial": gathered(state)})


def left_output_tokens(state: State, contract: Contract) -> int | None:
    """How many tokens the next answer may have; `None` where the contract says nothing."""
    maximum = contract.limits.max_output_tokens
    return None if maximum is None else max(1, maximum - state.spent.output_tokens)


def cut_off(state: State, contract: Contract) -> LimitReached | None:
    """The limit that stopped a model in the middle of its answer; `None` where the model's own maximum did."""
    maximum, used = contract.limits.max_output_tokens, state.spent.output_tokens
    return None if maximum is None else LimitReached("max_output_tokens", used=used, asked=1, maximum=maximum)


def budget_of(state: State, contract: Contract) -> Budget:
    """What the task may still use, as its log says; calls that crashed count with their reservations."""
    return Budget(contract.limits, state.spent + state.held)


def deadline_of(state: State, contract: Contract, clock: Clock) -> Deadline | None:
    """When the task has to be over, for the calls it makes."""
    if contract.limits.max_seconds is None:
        return None
    return Deadline.after(clock, max(0.0, seconds.left_s(state, contract, clock.wall_ns())))


def _exceeded(state: State, contract: Contract, decision: CallModel | CallTools) -> LimitReached | None:
    limits, spent = contract.limits, state.spent + state.held
    tools = Counter(call.name for call in decision.calls) if isinstance(decision, CallTools) else Counter[str]()
    counted_model = isinstance(decision, CallModel) and not decision.request.model.startswith(TIER0_MODEL)
    asks: list[tuple[str, int, int, int | None]] = [
        (
            "max_steps",
            spent.steps,
            tools.total() or 1,
            DEFAULT_MAX_STEPS if limits.max_steps is None else limits.max_steps,
        ),
        ("max_tool_calls", spent.tool_calls, tools.total(), limits.max_tool_calls),
        ("max_model_calls", spent.model_calls, int(counted_model), limits.max_model_calls),
    ]
    if counted_model:
        asks += [
            ("max_input_tokens", spent.input_tokens, 1, limits.max_input_tokens),
            ("max_output_tokens", spent.output_tokens, 1, limits.max_output_tokens),
        ]
    if isinstance(decision, CallTools) and any(call.awaits == "child" for call in decision.calls):
        depth = state.started.depth if state.started else 0
        asks.append(("max_depth", depth, 1, depth + waits.levels_left(contract)))
    made = Counter(action.name for action in state.actions if action.kind == "tool" and not action.compensates)
    for name, asked in tools.items():
        grant = contract.grants.get(name)
        asks.append((f"tools.{name}.max_calls", made[name], asked, grant.max_calls if grant else None))
    for limit, used, asked, maximum in asks:
        if maximum is not None and asked and used + asked > maximum:
            return LimitReached(limit, used=used, asked=asked, maximum=maximum)
    return None


def _last_words(state: State) -> Any:
    """What the model said last, where it said something."""
    texts = [(a.content or {}).get("response", {}).get("text", "") for a in state.answers]
    return next((text for text in reversed(texts) if text), None)
