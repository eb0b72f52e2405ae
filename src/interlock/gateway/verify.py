"""Runs a workflow's verifiers on an answer before it is given out, cheap ones first.

Above: climb. Below: attempt, call, checks, `core.verify`. A check that calls a model does so as a further try
of the same call: reserved, settled and priced on its own attempt line, under the call's deadline and budget.
"""

from __future__ import annotations

from typing import cast

from msgspec import UNSET, structs

from interlock.core.chat import ChatRequest, ChatResponse
from interlock.core.errors import InterlockError
from interlock.core.verify import Answered, AskingVerifier, Finding, RunningVerifier, Verifier

from . import escalate
from .attempt import first
from .call import Answer, Call
from .checks import NOT_LOOKED, Check, Seen
from .desk import Desk
from .exchange import Exchange

UNJUDGED = Finding()


async def look(desk: Desk, exchange: Exchange, call: Call, answer: Answer) -> Seen:
    """What the workflow's checks say of the answer. A check that cannot be carried out says nothing and is noted.

    An answer that calls tools is not judged, nor is one that says itself how sure it is.
    """
    checks = call.workflow.checks
    judging = answer.candidate is not None and answer.candidate.deployment.dialect in desk.settings.self_judging
    if not checks or judging or answer.response.tool_calls:
        return NOT_LOOKED
    value, faults = escalate.content_of(call.request, answer.response)
    answered = Answered(call.request, answer.response, None if value is UNSET else value, tuple(faults))
    findings: dict[str, Finding] = {}
    failed = ""
    for check in checks:
        if failed and check.needs == "calls":
            call.note(f"check {check.name} left out: {failed}")
            continue
        finding = await _carried_out(desk, exchange, call, answer, check, answered)
        findings[check.name] = finding
        if not failed and check.at_least is not None and finding.score is not None and finding.score < check.at_least:
            failed = f"{check.name} {finding.score:.2f} < {check.at_least:g}: {finding.why}".rstrip(": ")
    return Seen(findings, failed)


async def _carried_out(
    desk: Desk, exchange: Exchange, call: Call, answer: Answer, check: Check, answered: Answered
) -> Finding:
    """What one check says. A plug-in's own fault must not fail a call that has its answer, so it counts as nothing said."""
    try:
        return await _asked(desk, exchange, call, answer, check, answered)
    except InterlockError as error:
        call.note(f"check {check.name} not carried out: {error.message}")
    except Exception as error:  # noqa: BLE001 - whatever a verifier of somebody else's package raises
        call.note(f"check {check.name} failed: {type(error).__name__}: {error}")
    return UNJUDGED


async def _asked(
    desk: Desk, exchange: Exchange, call: Call, answer: Answer, check: Check, answered: Answered
) -> Finding:
    if check.needs == "answer":
        return cast(Verifier, check.verifier).check(answered)
    if check.needs == "sandbox":
        runner = desk.parts.code_runner
        if runner is None:
            call.note(f"check {check.name} not carried out: there is no sandbox here")
            return UNJUDGED
        return await cast(RunningVerifier, check.verifier).check(answered, runner)

    async def ask(model: str, request: ChatRequest) -> ChatResponse:
        plan = desk.router.plan(model or call.request.model, "", call.bounds)
        candidates = plan.candidates if model or answer.candidate is None else (answer.candidate,)
        call.purpose = f"check:{check.name}"
        try:
            asked = structs.replace(request, model=model or call.request.model)
            return (await first(desk, call, candidates, asked, exchange.whole)).response
        finally:
            call.purpose = ""

    return await cast(AskingVerifier, check.verifier).check(answered, ask)
