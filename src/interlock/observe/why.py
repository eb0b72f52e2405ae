"""Why a task went as it did: for each decision what was seen, which rule decided, in which version, and what it cost.

Above: cli (`interlock trace ID --why`), the trace page. Below: the ledger's trace. Everything here was recorded when it was decided; nothing is worked out again,
so a decision that recorded no rule says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from interlock.core.caller import Versions
from interlock.core.text import clean, plural
from interlock.ledger.read import Trace, TracedCall, TracedStep

LONGEST = 400
NO_RULE = "no rule was recorded"


class Why(Struct, frozen=True):
    """One decision."""

    step: int
    at: str
    """ISO 8601, UTC."""
    decided: str
    seen: tuple[str, ...]
    """What there was to go by."""
    rule: tuple[str, ...]
    """What decided, in the order in which it did, with the values that it saw."""
    version: str
    """Of what the rule stands in: `route 1a2b3c`."""
    cost_nano_usd: int = 0
    simulated_nano_usd: int = 0


def why(trace: Trace) -> list[Why]:
    """Every decision of a task or a lone call, in order; the costs add up to the task's."""
    announced = {step.detail["step"]: step for step in trace.steps if step.type == "intended"}
    found: list[Why] = []
    for step in trace.steps:
        if step.call is not None:
            found.append(_of_call(step, step.call, announced.get(step.step)))
        elif step.type != "intended":
            found.append(_of_event(step, trace.versions))
    return found


def _of_call(step: TracedStep, call: TracedCall, announced: TracedStep | None) -> Why:
    seen = tuple(_seen(step, call, announced))
    rule = [*call.reasons, *(f"escalated {e.from_model} → {e.to_model}: {e.reason}" for e in call.escalations)]
    rule += [f"taken from the {call.cache} cache"] if call.cache else []
    rule += [f"rung {call.degraded} of the ladder"] if call.degraded else []
    rule += [f"{call.error}: {call.message}".strip(": ")] if call.error or call.message else []
    if call.kind == "model":
        decided = f"asked {call.deployment}" if call.deployment else f"asked for {call.name}, nobody answered"
        decided += f" ({call.tier})" if call.tier else ""
        version = _versions(call.versions, "route", "prompt", "policy")
    else:
        decided = f"called {call.name}: {call.status}"
        version = _versions(call.versions, "contract")
    return Why(
        step.step,
        step.at,
        _line(decided),
        seen,
        tuple(map(_line, rule)) or (NO_RULE,),
        version,
        call.cost_nano_usd,
        call.simulated_nano_usd,
    )


def _seen(step: TracedStep, call: TracedCall, announced: TracedStep | None) -> Iterator[str]:
    kept: Mapping[str, Any] = step.content or {}
    arguments = kept.get("arguments") or ((announced.content or {}).get("arguments") if announced else None)
    if arguments:
        yield _line(f"arguments {_text(arguments)}")
    if call.kind == "model":
        request = kept.get("request")
        if isinstance(request, list) and request:
            last: Any = request[-1]  # pyright: ignore[reportUnknownVariableType]
            yield _line(f"{plural(len(request), 'turn')}, the last: {_text(last)}")  # pyright: ignore[reportUnknownArgumentType]
        read = sum(amount for name, amount in call.usage.items() if name.startswith(("input", "cache")))
        if read:
            yield plural(read, "token")
    if call.confidence is not None:
        yield f"confidence {call.confidence:.3f}"
    if len(call.attempts) > 1:
        yield ", ".join(f"{each.deployment or 'try'} {each.status}" for each in call.attempts)


def _of_event(step: TracedStep, versions: Versions) -> Why:
    detail, content = step.detail, step.content or {}
    contract = _versions(versions, "contract")
    match step.type:
        case "started":
            given: dict[str, Any] = content.get("input") or {}
            seen = tuple(_line(f"{name}: {_text(value)}") for name, value in given.items())
            every = _versions(versions, "contract", "prompt", "policy", "route")
            return _why(step, f"began as {detail.get('workflow')}", seen, ("whoever asked for it",), every)
        case "approval_asked":
            seen = (_line(f"arguments {_text(content.get('arguments', {}))}"),)
            return _why(step, f"asked a person about {detail['tool']}", seen, (_line(detail["rule"]),), contract)
        case "approval_decided":
            said = (f"{detail['who']}{': ' + detail['note'] if detail.get('note') else ''}",)
            return _why(step, detail["decision"], _arguments(content), tuple(map(_line, said)), "")
        case "in_doubt":
            rule = ("nobody knows whether it happened, and its effect cannot be repeated",)
            return _why(step, f"left {detail['tool']} to a person", (f"step {detail['step']}",), rule, contract)
        case "doubt_settled":
            return _why(step, detail["decision"], (), (_line(detail["who"]),), "")
        case "finished":
            sure = detail.get("confidence")
            seen = () if sure is None else (f"confidence {sure:.3f}",)
            ended = f"{detail.get('error', '')}: {detail.get('message', '')}".strip(": ")
            return _why(step, f"ended {detail['outcome']}", seen, (_line(ended or "nothing was left to do"),), contract)
        case "outcome_seen":
            verdict = "a success" if detail["success"] else "no success"
            return _why(step, verdict, (), (_line(f"{detail['source']} {detail.get('note', '')}".strip()),), "")
        case _:
            name = str(detail.get("name") or step.type)
            return _why(step, name, _arguments(content), (_line(str(detail.get("reason") or NO_RULE)),), contract)


def _why(step: TracedStep, decided: str, seen: tuple[str, ...], rule: tuple[str, ...], version: str) -> Why:
    return Why(step.step, step.at, _line(decided), seen, rule, version)


def _arguments(content: Mapping[str, Any]) -> tuple[str, ...]:
    return (_line(_text(content)),) if content else ()


def _versions(versions: Versions, *kinds: str) -> str:
    named = ((kind, getattr(versions, kind)) for kind in kinds)
    return " · ".join(f"{kind} {version}" for kind, version in named if version)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "text" in value and value["text"]:
        return str(value["text"])  # pyright: ignore[reportUnknownArgumentType]
    return msgspec.json.encode(value, enc_hook=str).decode()


def _line(text: str) -> str:
    """One line, without control characters, cut where it is long."""
    whole = " ".join(clean(text).split())
    return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]}…"
