"""Settlement: exactly one ledger event per call, whatever way it ended; reservations are released with it.

Above: chat, stream. Below: call, tokens, `core`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from interlock.core.budget import Spend
from interlock.core.chat import ChatResponse
from interlock.core.errors import (
    DeadlineMissed,
    InterlockError,
    LimitReached,
    LimitUnknown,
    RequestRefused,
    Shed,
    UpstreamStalled,
    UpstreamTimeout,
)
from interlock.core.events import Attempt, Settled, Status
from interlock.core.money import Usage
from interlock.core.ports import ChatReply

from . import retry
from .call import Answer, Call
from .desk import Desk
from .forms import CRASHED
from .hold import release
from .settings import Parts
from .unsaid import unsaid

NOTHING = Usage()


def status_of(error: BaseException) -> Status:
    """How a call ended that ended with `error`."""
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return "client_gone"
    if isinstance(error, (DeadlineMissed, UpstreamTimeout, UpstreamStalled)):
        return "timeout"
    if isinstance(error, Shed):
        return "shed"
    if isinstance(error, (LimitReached, LimitUnknown, RequestRefused)):
        return "refused"
    return "error"


def answered(desk: Desk, call: Call, answer: Answer) -> ChatReply:
    """Settles a call that has an answer."""
    response = answer.response
    attempts, usage, cost = _sums(call)
    event = Settled(
        call=call.id,
        kind="model",
        name=call.request.model,
        caller=call.caller,
        status="cache_hit" if answer.cache else "ok",
        started_ns=call.started_ns,
        duration_us=call.elapsed_us(),
        first_token_us=call.first_token_us,
        deployment=answer.deployment,
        tier=answer.tier,
        attempts=attempts,
        usage=usage,
        cost_nano_usd=cost,
        reserved_nano_usd=call.reserved_nano_usd,
        saved_nano_usd=answer.saved_nano_usd,
        price=answer.price,
        simulated=response.simulated,
        degraded=answer.degraded,
        cache=answer.cache,
        confidence=answer.confidence,
        escalations=tuple(call.escalations),
        reasons=tuple(call.reasons),
        input_cap=call.input_cap,
        schema_violations=call.violations,
        private=call.seen.private,
        signals=call.seen.signals,
    )
    _write(desk, call, event, response)
    return ChatReply(response=response, settled=event)


def failed(desk: Desk, call: Call, error: BaseException, response: ChatResponse | None = None) -> Settled:
    """Settles a call that ended without a whole answer; `response` is what was relayed until then."""
    known = error if isinstance(error, InterlockError) else None
    status = status_of(error)
    if status == "refused" and call.attempts:
        status = "error"  # a refusal means that nothing was sent
    attempts, usage, cost = _sums(call)
    event = Settled(
        call=call.id,
        kind="model",
        name=call.request.model,
        caller=call.caller,
        status=status,
        started_ns=call.started_ns,
        duration_us=call.elapsed_us(),
        first_token_us=call.first_token_us,
        attempts=attempts,
        usage=usage,
        cost_nano_usd=cost,
        reserved_nano_usd=call.reserved_nano_usd,
        escalations=tuple(call.escalations),
        reasons=tuple(call.reasons),
        input_cap=call.input_cap,
        schema_violations=call.violations,
        private=call.seen.private,
        signals=call.seen.signals,
        error=known.code if known else type(error).__name__,
        message=known.message if known else str(error),
        limit=known.limit if isinstance(known, LimitReached) else "",
        retry_after_s=retry.worth_again_s(error),
        simulated=any(attempt.simulated for attempt in attempts),
    )
    _write(desk, call, event, response)
    return event


def if_crashed(
    call: Call, upper: Usage = NOTHING, upper_cost_nano_usd: int = 0, price: str = "", *, simulated: bool = False
) -> Settled:
    """The event that is true if the process dies while the call is under way."""
    return Settled(
        call=call.id,
        kind="model",
        name=call.request.model,
        caller=call.caller,
        status="crashed",
        started_ns=call.started_ns,
        usage=upper,
        cost_nano_usd=upper_cost_nano_usd,
        reserved_nano_usd=upper_cost_nano_usd,
        price=price,
        simulated=simulated,
        reasons=tuple(call.reasons),
        message=CRASHED,
    )


def spend_of(settled: Settled) -> Spend:
    """What a settled model call took out of its task's budget; a task's budget is rebuilt from these."""
    return Spend(
        model_calls=sum(1 for each in settled.attempts if _ran(each.status, each.usage))
        or int(settled.status == "crashed"),
        input_tokens=settled.usage.input_total,
        output_tokens=settled.usage.output_total,
        cost_nano_usd=settled.cost_nano_usd,
    )


def _ran(status: Status, usage: Usage) -> bool:
    return status == "ok" or bool(usage.input_total or usage.output_total)


def _sums(call: Call) -> tuple[tuple[Attempt, ...], Usage, int]:
    """The attempts, and what they used and cost together."""
    attempts = tuple(call.attempts)
    if not attempts:
        return attempts, NOTHING, 0
    usage, cost = attempts[0].usage, attempts[0].cost_nano_usd
    for attempt in attempts[1:]:
        usage, cost = usage + attempt.usage, cost + attempt.cost_nano_usd
    return attempts, usage, cost


def _write(desk: Desk, call: Call, event: Settled, response: ChatResponse | None) -> None:
    if call.slot < 0:
        return
    slot, call.slot = call.slot, -1
    if call.held is not None:
        held, call.held = call.held, None
        release(held, event)
    if desk.settings.premium is not None:
        desk.steering.settled(call)
    slo_ms = call.workflow.p95_latency_slo_ms
    if slo_ms is not None and event.status in ("ok", "timeout"):
        desk.health.workflow(call.caller.workflow).finished(slow=event.duration_us > slo_ms * 1000)
    event = unsaid(event, call.request)
    desk.parts.ledger.settle(slot, event, _content(desk.parts, call, response), fence=call.fence)


def _content(parts: Parts, call: Call, response: ChatResponse | None) -> dict[str, Any] | None:
    """What travels beside the event: a task's answers, since its state is folded from them, and else what the workflow stores."""
    store = call.workflow.store_prompts
    if store == "none" and call.lone:
        return None
    kept: Callable[[str], str] | None = _as_it_is if store == "full" else parts.redact if store == "redacted" else None
    content: dict[str, Any] = {}
    if response is not None and (kept or not call.lone):
        clean = _as_it_is if kept is None or not call.lone else kept
        content["response"] = {
            "text": clean(response.text),
            "tool_calls": [
                {"id": each.id, "name": each.name, "arguments": clean(each.arguments)} for each in response.tool_calls
            ],
            "finish": response.finish,
            "confidence": response.confidence,
            "simulated": response.simulated,
            "refusal": response.refusal,
        }
    if kept is not None:
        content["request"] = [{"role": each.role, "text": kept(each.text)} for each in call.request.messages]
    return content or None


def _as_it_is(text: str) -> str:
    return text
