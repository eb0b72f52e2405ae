"""One task as a tree on the terminal: what came in, every step with its why, what came out, what it cost.

Above: `trace`, `approve`. Below: the ledger's trace, rich. Content is shown as it was stored, always as data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import DecodeError, Struct, json, structs
from rich.console import Console
from rich.text import Text

from interlock.core.sealing import why_unreadable

from .options import millis, moment
from .palette import ACCENT, BAD, DIM, GOOD, KINDS, OUTCOMES, STATUSES, WARN, words
from .text import cell, clean, compact, money, one_line, plural

if TYPE_CHECKING:
    from interlock.ledger.read import Trace, TracedAttempt, TracedCall, TracedStep

WIDEST = 160
ANSWER_LINES = 12
COLUMNS = ("kind", "name", "status", "where", "time", "tokens", "cost")


class Passage(Struct, frozen=True):
    """The article that the on-device tier would quote."""

    article: str


class Understood(Struct, frozen=True):
    """An answer of the on-device tier, as far as it is shown."""

    intent: str
    confidence: float
    accepted: bool
    threshold: float
    reason: str = ""
    passage: Passage | None = None


class Row(Struct, frozen=True):
    """One step: a line, and what explains it below."""

    step: int
    kind: str
    """Key of `KINDS`."""
    name: str
    status: str = ""
    style: str = ""
    where: str = ""
    time: str = ""
    tokens: str = ""
    cost: str = ""
    why: tuple[Text, ...] = ()


def draw(where: Console, trace: Trace) -> None:
    """The whole task."""
    width = min(where.width, WIDEST)
    where.print(heading(trace), soft_wrap=True)
    for line in came_in(trace):
        where.print(line, soft_wrap=True)
    where.print()
    rows = list(rows_of(trace))
    widths = {name: max((len(getattr(row, name)) for row in rows), default=0) for name in COLUMNS}
    for row in rows:
        where.print(line_of(row, widths), no_wrap=True, overflow="ellipsis", crop=True)
        for why in row.why:
            why.truncate(width - 8, overflow="ellipsis")
            where.print(Text("      │ ", DIM).append_text(why), no_wrap=True, overflow="ellipsis")
    for line in came_out(trace):
        where.print(line, soft_wrap=True)
    where.print()
    where.print(total(trace), soft_wrap=True)


def heading(trace: Trace) -> Text:
    """Which task, and how it ended."""
    task = trace.task
    state = "in_doubt" if task.status == "in_doubt" else task.outcome or task.status
    parts = [
        cell(task.task, ACCENT),
        cell(task.workflow or "lone call"),
        cell(words(state), f"{ACCENT} {OUTCOMES.get(state, WARN)}"),
    ]
    if task.error or task.message:
        parts.append(cell(f"{task.error}: {task.message}".strip(": "), DIM))
    return Text("  ").join(parts)


def came_in(trace: Trace) -> Iterator[Text]:
    """The input, as far as it was kept."""
    first = next((step for step in trace.steps if step.type == "started"), None)
    if first is None:
        return
    given: Mapping[str, Any] = (first.content or {}).get("input", {})
    if why := why_unreadable(first.content):
        yield Text("  in    ", DIM).append(f"its content cannot be read: {one_line(why)}", DIM)
    elif not given:
        yield Text("  in    ", DIM).append("its content was not kept (store_prompts)", DIM)
    for index, (name, value) in enumerate(given.items()):
        label = "  in    " if not index else "        "
        yield Text.assemble((f"{label}{one_line(name)}: ", DIM), compact(value, 600))
    if trace.task.batch:
        yield Text("        ").append(one_line(f"line {trace.task.line} of {trace.task.batch}"), DIM)


def rows_of(trace: Trace) -> Iterator[Row]:
    """Every step that is more than an announcement of another one."""
    settled = {step.step for step in trace.steps if step.call is not None or step.type == "arrived"}
    announced = {step.detail["step"]: step for step in trace.steps if step.type == "intended"}
    for step in trace.steps:
        if step.call is not None:
            yield call_row(step, step.call, announced.get(step.step))
        elif step.type == "intended":
            if step.detail["step"] not in settled:
                yield open_row(step)
        elif step.type == "arrived":
            yield arrived_row(step, announced.get(step.step))
        elif step.type not in ("started", "finished"):
            yield decision_row(step)


def call_row(step: TracedStep, call: TracedCall, announced: TracedStep | None) -> Row:
    """A model or tool call that has settled."""
    tokens = sum(amount for bucket, amount in call.usage.items() if bucket != "compute_ms")
    cost = money(call.cost_nano_usd) if call.cost_nano_usd or not call.simulated else "simulated"
    deployment = call.deployment if call.deployment != call.name else ""
    return Row(
        step=step.step,
        kind=call.kind,
        name=one_line(call.name, 40),
        status=call.status,
        style=STATUSES.get(call.status, ""),
        where=one_line(" ".join(filter(None, (deployment, f"[{call.tier}]" if call.tier else ""))), 48),
        time=millis(round(call.duration_ms * 1000)),
        tokens=f"{tokens:,} tok" if tokens else "",
        cost=cost if call.kind == "model" or call.cost_nano_usd else "",
        why=tuple(why_of(step, call, announced)),
    )


def why_of(step: TracedStep, call: TracedCall, announced: TracedStep | None) -> Iterator[Text]:
    """What went in and came out of a call, and each decision about it."""
    arguments = (announced.content or {}).get("arguments") if announced else None
    if arguments:
        yield cell(compact(arguments))
    if announced and announced.detail.get("compensates"):
        yield cell(f"undoes step {announced.detail['compensates']}", WARN)
    for reason in call.reasons:
        yield cell(reason, DIM)
    for escalation in call.escalations:
        yield cell(f"escalated from {escalation.from_model} to {escalation.to_model}: {escalation.reason}", WARN)
    if len(call.attempts) > 1 or any(attempt.status != "ok" for attempt in call.attempts):
        for number, attempt in enumerate(call.attempts, start=1):
            yield attempt_line(number, attempt)
    if call.cache:
        yield cell(f"from the {call.cache} cache, saved {money(call.saved_nano_usd)}", GOOD)
    if call.degraded:
        yield cell(f"degraded: {call.degraded}", WARN)
    if len(call.usage) > 1:
        yield cell("tokens: " + ", ".join(f"{bucket} {amount:,}" for bucket, amount in call.usage.items()), DIM)
    if call.error or call.message:
        yield cell(f"{call.error}: {call.message}".strip(": "), BAD)
    result = result_of(step.content)
    if result:
        sure = f"   (confidence {call.confidence:.2f})" if call.confidence is not None else ""
        yield cell(f"→ {result}").append(sure, DIM)


def attempt_line(number: int, attempt: TracedAttempt) -> Text:
    """One try of a call."""
    text = Text(f"attempt {number}  {one_line(attempt.deployment)}  ", DIM)
    text.append(attempt.status, STATUSES.get(attempt.status, ""))
    if attempt.purpose:
        text.append(f"  {one_line(attempt.purpose)}", DIM)
    text.append(f"  {millis(round(attempt.duration_ms * 1000))}  {money(attempt.cost_nano_usd)}", DIM)
    if attempt.error or attempt.message:
        text.append("  " + one_line(f"{attempt.error}: {attempt.message}".strip(": ")), DIM)
    return text


def result_of(content: Mapping[str, Any] | None) -> str:
    """What a call gave back, on one line; empty where it was not kept."""
    content = content or {}
    if why := why_unreadable(content):
        return f"(cannot be read: {why})"
    response = content.get("response")
    if isinstance(response, dict):
        said: dict[str, Any] = response  # pyright: ignore[reportUnknownVariableType]
        understood = understood_of(said.get("text"))
        if understood:
            return understood
        calls = [f"{call.get('name')}({compact(call.get('arguments', ''))})" for call in said.get("tool_calls") or ()]
        return compact(said.get("text") or ", ".join(calls) or said.get("refusal") or "", 400)
    if "error" in content:
        return ""
    return compact(content["result"], 400) if "result" in content else ""


def understood_of(text: Any) -> str:
    """What the on-device tier made of a text, in words; empty where `text` is no answer of it."""
    if not isinstance(text, str) or not text.startswith('{"intent":'):
        return ""
    try:
        found = json.decode(text, type=Understood)
    except DecodeError:
        return ""
    need = f"{'enough' if found.accepted else 'not enough'}: {found.threshold:.2f} are needed"
    words = f"understood {found.intent or 'nothing'} ({found.confidence:.2f}, {need})"
    passage = f"; best passage {found.passage.article}" if found.passage else ""
    return one_line(f"{words}{passage}{f'; {found.reason}' if found.reason and not found.accepted else ''}", 400)


def open_row(step: TracedStep) -> Row:
    """A call that was announced and has not settled."""
    detail = step.detail
    arguments = (step.content or {}).get("arguments")
    why = (cell(compact(arguments)),) if arguments else ()
    awaits = detail.get("awaits", "")
    status = f"waits for a {awaits}" if awaits else "not settled"
    kind = "waiting" if awaits else detail["kind"]
    return Row(detail["step"], kind, one_line(detail["name"], 40), status, WARN, why=why)


def arrived_row(step: TracedStep, announced: TracedStep | None) -> Row:
    """What a call waited for: time, a signal, a task of its own."""
    detail, content = step.detail, step.content or {}
    ok, by = detail.get("ok", True), detail.get("by", "")
    asked = (announced.content or {}).get("arguments") if announced else None
    told = content.get("result", content.get("error"))
    why = [cell(compact(asked))] if asked else []
    why += [cell(f"→ {compact(told, 400)}", "" if ok else BAD)] if told is not None else []
    status = f"{by} {detail.get('what', '') if by == 'child' else ''}".strip()
    return Row(step.step, "waiting", one_line(detail["name"], 40), status, GOOD if ok else BAD, why=tuple(why))


def decision_row(step: TracedStep) -> Row:
    """A decision, a question to a person, or an answer."""
    detail, content = step.detail, step.content or {}
    match step.type:
        case "approval_asked":
            until = moment(detail["expires_ns"])[:16]
            asked = cell(compact(content.get("arguments", {})))
            rule = cell(f"{detail['rule']}; until {until}, then {detail.get('on_expiry', 'deny')}", DIM)
            return Row(step.step, "waiting", f"asks for approval of {one_line(detail['tool'], 40)}", why=(asked, rule))
        case "approval_decided":
            edited = [cell(compact(content["arguments"]))] if "arguments" in content else []
            note = [cell(detail["note"], DIM)] if detail.get("note") else []
            said = f"{detail['decision']} by {one_line(detail['who'], 40)}"
            return Row(step.step, "waiting", said, why=(*edited, *note))
        case "in_doubt":
            why = cell("nobody knows whether it happened; a person has to say", WARN)
            return Row(
                step.step, "waiting", f"in doubt: {one_line(detail['tool'], 40)} at step {detail['step']}", why=(why,)
            )
        case "doubt_settled":
            return Row(step.step, "waiting", f"{detail['decision']} said {one_line(detail['who'], 40)}")
        case "outcome_seen":
            name = "a success" if detail["success"] else "no success"
            return Row(
                step.step, "decision", f"{name} according to {detail['source']}", why=notes(detail.get("note", ""))
            )
        case _:
            return Row(
                step.step, "decision", one_line(detail.get("name", step.type), 40), why=notes(detail.get("reason", ""))
            )


def notes(text: str) -> tuple[Text, ...]:
    return (cell(text, DIM),) if text else ()


def line_of(row: Row, widths: Mapping[str, int]) -> Text:
    """A step as one line with its columns aligned."""
    text = Text(f" {row.step:>3}  ", DIM)
    text.append(f"{row.kind:<{widths['kind']}}  ", KINDS.get(row.kind, ""))
    if not row.status:
        return text.append(row.name)
    text.append(f"{row.name:<{widths['name']}}  ").append(f"{row.status:<{widths['status']}}  ", row.style)
    text.append(f"{row.where:<{widths['where']}}  ", DIM)
    text.append(f"{row.time:>{widths['time']}}  {row.tokens:>{widths['tokens']}}  {row.cost:>{widths['cost']}}")
    text.rstrip()
    return text


def came_out(trace: Trace) -> Iterator[Text]:
    """The answer, or what a person gets instead."""
    last = next((step for step in reversed(trace.steps) if step.type == "finished"), None)
    content = (last.content if last else None) or {}
    answer = content.get("answer")
    if answer is not None:
        lines = clean(answer if isinstance(answer, str) else compact(answer)).strip().split("\n")
        yield Text()
        for index, line in enumerate(lines[:ANSWER_LINES]):
            yield Text("  out   " if not index else "        ", DIM).append(line)
        if len(lines) > ANSWER_LINES:
            yield Text("        … --json has all of it", DIM)
    if content.get("citations"):
        yield Text("        cites " + one_line(", ".join(map(str, content["citations"]))), DIM)
    handover = content.get("handover")
    if isinstance(handover, dict):
        reason: Any = handover.get("reason", "")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        yield Text()
        yield Text("  out   ", DIM).append_text(cell(f"to a person: {reason}", "blue"))


def total(trace: Trace) -> Text:
    """What it came to, and which versions decided it."""
    task = trace.task
    calls = f"{plural(task.model_calls, 'model call')} · {plural(task.tool_calls, 'tool call')}"
    tokens = f"{task.input_tokens:,} + {task.output_tokens:,} tokens"
    parts = [calls, tokens, money(task.cost_nano_usd)]
    if task.simulated_nano_usd:
        parts.append(f"simulated calls would have cost {money(task.simulated_nano_usd)}")
    if task.saved_nano_usd:
        parts.append(f"saved {money(task.saved_nano_usd)}")
    if task.finished:
        parts.append(millis(round(task.duration_ms * 1000)))
    versions = " · ".join(f"{name} {value}" for name, value in structs.asdict(trace.versions).items() if value)
    prices = "; ".join(f"{price.model} {price.version} ({price.source})" for price in trace.prices)
    text = Text("  total ", DIM).append(" · ".join(parts), ACCENT)
    for name, said in (("versions", versions), ("prices", prices)):
        if said:
            text.append(f"\n  {name:<9}", DIM).append(one_line(said), DIM)
    return text
