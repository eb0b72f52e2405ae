"""The escalation loop: check the answer against its schema and rules, have it repaired once, else ask the next tier.

Above: chat. Below: attempt, escalate, exchange.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, structs

from interlock.core.chat import ChatRequest, Fact
from interlock.core.errors import InterlockError, OutputInvalid
from interlock.core.events import Escalation
from interlock.core.residency import OutsideBounds

from . import degrade, escalate, fitting, ladder, mend, verify
from .attempt import after, first
from .call import Answer, Call, Tried
from .checks import NOT_LOOKED, Seen
from .desk import Desk
from .escalate import Good, Repair, Up
from .exchange import Exchange
from .route import Candidate, Plan


class Climb:
    """One call's way up its tiers."""

    __slots__ = ("_asked", "_call", "_desk", "_exchange", "_plan", "_tried", "held")

    def __init__(self, desk: Desk, exchange: Exchange, call: Call, plan: Plan, tried: Tried | None = None) -> None:
        """`tried`: its first try is over already."""
        self._tried = tried
        self._desk = desk
        self._exchange = exchange
        self._call = call
        self._plan = plan
        self._asked = frozenset((call.target,))
        self.held: Answer | None = None
        """The last answer that satisfied the schema, good enough or not; the rung `best_effort`."""

    async def up(self) -> Answer:
        """The first answer that is good enough, or the last when nothing better can be had.

        Raises:
            OutputInvalid: no candidate kept to the schema. InterlockError: as `first`.
        """
        call = self._call
        await fitting.fit(self._desk, self._exchange, call, self._plan)
        answer = await self._first(self._plan.candidates, call.request)
        repaired = False
        while True:
            answer, faults = self._checked(answer)
            seen, weighed = NOT_LOOKED, None
            if call.workflow.checks and not faults:
                seen = await verify.look(self._desk, self._exchange, call, answer)
                answer, weighed = self._weighed(answer, seen)
            verdict, notes = self._verdict(answer, faults, seen, weighed, repaired=repaired)
            call.reasons.extend(notes)
            if isinstance(verdict, Good):
                return self._marked(answer)
            if isinstance(verdict, Repair):
                again = escalate.repair_request(call.request, answer.response, verdict.faults)
                candidates = (answer.candidate,) if answer.candidate else self._plan.candidates
                answer, repaired = await self._first(candidates, again), True
                continue
            better = await self._above(answer, verdict)
            if better is None:
                return self._marked(answer)
            answer, repaired = better, False

    async def down(self, cause: InterlockError) -> Answer:
        """What the degradation ladder still finds. Raises `cause` where it finds nothing."""
        found, rung = await ladder.descend(self._desk, self._call, self._plan, cause, self.held, self._valid)
        return structs.replace(found, degraded=rung)

    async def _valid(self, candidates: Sequence[Candidate], request: ChatRequest) -> Answer:
        """The first candidate's answer, if it satisfies the schema; the ladder asks this way. Raises as `up`."""
        answer, faults = self._checked(await self._first(candidates, request))
        if faults:
            raise _invalid(answer, faults)
        return answer

    async def _first(self, candidates: Sequence[Candidate], request: ChatRequest) -> Answer:
        tried, self._tried = self._tried, None
        if tried is not None:
            return await after(self._desk, self._call, candidates, request, self._exchange.whole, tried)
        return await first(self._desk, self._call, candidates, request, self._exchange.whole)

    def _checked(self, answer: Answer) -> tuple[Answer, list[str]]:
        """The answer with its confidence, and what is wrong with it by the schema."""
        request = self._call.request
        schema = request.output_schema
        value, faults = escalate.content_of(request, answer.response)
        violated = bool(faults)
        if faults:
            answer, value, faults = self._mended(answer, faults)
        if schema is not None and value is not UNSET and not faults:
            faults = self._exchange.validate(schema, value) or self._exchange.beside(schema, answer.response)
        if violated or faults:
            self._call.violations += 1
        confidence = escalate.confidence_of(request, answer.response, value)
        answer = answer if confidence is None else structs.replace(answer, confidence=confidence)
        if not faults:
            self.held = answer
        return answer, faults

    def _mended(self, answer: Answer, faults: list[str]) -> tuple[Answer, Any, list[str]]:
        """The answer whose JSON was only wrapped in something, taken out of it; as it was where that does not help."""
        text = mend.mended(answer.response.text)
        if text is None:
            return answer, UNSET, faults
        self._call.note(f"schema_violation: {faults[0]}: mended here")
        response = structs.replace(answer.response, text=text, raw=b"", raw_dialect="")
        value, faults = escalate.content_of(self._call.request, response)
        return structs.replace(answer, response=response), value, faults

    def _weighed(self, answer: Answer, seen: Seen) -> tuple[Answer, Up | None]:
        """The answer with the chance that its checks give it, and whom the learned route would ask instead."""
        up, chance = self._desk.steering.judge(self._call, self._plan, answer, seen)
        if chance is None:
            return answer, up
        weighed = structs.replace(answer, confidence=chance)
        if self.held is answer:
            self.held = weighed
        return weighed, up

    def _verdict(
        self, answer: Answer, faults: Sequence[str], seen: Seen, weighed: Up | None, *, repaired: bool
    ) -> tuple[escalate.Verdict, tuple[str, ...]]:
        settings = self._desk.settings
        rules = settings.rules
        if rules and answer.candidate is not None and answer.candidate.deployment.dialect in settings.self_judging:
            rules = ()
        facts: Mapping[str, Fact] = {**self._call.facts(answer.confidence), **seen.facts} if rules else {}
        verdict, notes = escalate.judge(rules, facts, faults, repaired, self._asked, self._call.held_before)
        return escalate.checked(verdict, seen, weighed), notes

    async def _above(self, answer: Answer, verdict: Up) -> Answer | None:
        """The next tier's answer, or `None` where the present one has to do."""
        call = self._call
        self._asked |= {verdict.target}
        candidates = self._next(answer, verdict.target)
        if not candidates:
            if verdict.must:
                raise _invalid(answer, (verdict.reason,))
            call.note(f"accepted although {verdict.reason}: no other model to ask")
            return None
        tier = candidates[0].tier
        if not verdict.must and (why := self._too_slow(candidates[0]) or self._desk.steering.refusal(call, tier)):
            call.note(f"not escalated although {verdict.reason}: {why}")
            return None
        try:
            better = await self._first(candidates, call.request)
        except InterlockError as error:
            if self.held is None or verdict.must or not degrade.degradable(error):
                raise
            call.note(
                f"degraded to smaller_model: {verdict.reason}, but {candidates[0].name} did not answer: {error.message}"
            )
            self.held = structs.replace(self.held, degraded="smaller_model")
            return None
        call.escalations.append(
            Escalation(from_model=answer.deployment, to_model=better.deployment, reason=verdict.reason)
        )
        return better

    def _next(self, answer: Answer, target: str) -> tuple[Candidate, ...]:
        """Who is asked next: a rule's target, or the tiers above the one that answered."""
        if target:
            try:
                plan = self._desk.router.plan(self._call.request.model, target, self._call.bounds)
            except OutsideBounds as error:
                self._call.note(f"not asked: {error.message}")
                return ()
            tier = plan.candidates[0].tier  # no dearer one stands in: the present answer is there to fall back on
            return tuple(each for each in plan.candidates if each.tier == tier and each.name != answer.deployment)
        candidates = self._plan.candidates
        at = next((place for place, each in enumerate(candidates) if each.name == answer.deployment), len(candidates))
        return tuple(each for each in candidates[at + 1 :] if each.tier != answer.tier)

    def _too_slow(self, candidate: Candidate) -> str:
        call, desk = self._call, self._desk
        slo_ms = call.workflow.p95_latency_slo_ms
        latency_s = desk.health.deployment(candidate.name).latency_s
        return escalate.within_slo(
            call.elapsed_us() / 1000,
            None if latency_s is None else latency_s * 1000,
            slo_ms,
            desk.health.workflow(call.caller.workflow).slow_share,
            desk.settings.slo_miss_share,
        )

    def _marked(self, answer: Answer) -> Answer:
        """The answer to give out; one that our own cap cut short says so."""
        if self._desk.steering.watches:
            self._desk.steering.rated(self._call)
        if self.held is not None and self.held.degraded and self.held.response is answer.response:
            return self.held
        if answer.cut_to:
            self._call.note(f"best_effort: cut at {answer.cut_to} output tokens, all that the budget had left")
            return structs.replace(answer, degraded="best_effort")
        return answer


def _invalid(answer: Answer, faults: Sequence[str]) -> OutputInvalid:
    return OutputInvalid(
        f"{answer.deployment} did not keep to the output schema: {'; '.join(faults[:3])}.",
        hint="Loosen the schema, or route this to a stronger model.",
    )
