"""The walk of one call for embeddings. Calls of one tenant for one model that come within milliseconds go upstream together.

Above: `app`. Below: attempt, begin, settle, micro, split. Each caller has its own call: begun, limited, reserved and settled on its own, with its share of
what the vendor bills; the upstream call is made once for all of them, under the same breaker, retries and fallbacks as any chat.
"""

from __future__ import annotations

import asyncio

from msgspec import structs

from interlock.core.budget import Budget, Spend
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChatResponse, Message
from interlock.core.embed import EmbeddingProvider, EmbedReply, EmbedRequest, EmbedResponse
from interlock.core.errors import DeadlineMissed, InvalidRequest, UpstreamRejected
from interlock.core.events import Attempt
from interlock.core.money import Usage
from interlock.core.time import Deadline

from . import guarded, settle, shape, split
from .attempt import Send, end_answered, first
from .begin import Beginner
from .call import Answer, Call, Trial
from .desk import Desk
from .micro import Group, Groups, Member, Micro
from .route import Plan

USUAL = Micro()
Sent = tuple[Answer, EmbedResponse]


class Embeddings:
    """`core.embed.EmbedGateway` over the parts of a gateway."""

    def __init__(self, desk: Desk, micro: Micro = USUAL) -> None:
        self._desk = desk
        self._beginner = Beginner(desk)
        self._groups = Groups(micro, desk.parts.sleep, self._send)

    async def embed(
        self, caller: Caller, request: EmbedRequest, *, budget: Budget | None = None, deadline: Deadline | None = None
    ) -> EmbedReply:
        """The vectors, in the order of the inputs.

        Raises:
            InterlockError: of the kind that says what the caller can do; the call has settled by then.
        """
        desk = self._desk
        if desk.parts.guards is not None:
            request = guarded.inputs(desk.parts.guards, caller, request)
        # Route and limits. From here on one event is owed, and the flight journal holds it should the process die.
        call, plan = await self._beginner.begin(caller, _as_chat(request), budget, deadline, 0)
        member: Member | None = None
        try:
            with await desk.gate.enter(call.deadline, desk.parts.clock, call.caller.tenant):  # admit
                member = self._groups.join(call, plan, request, self._reserve(call, plan))
                return await self._outcome(member)
        except BaseException as error:
            if member is None:  # else its group settles it
                settle.failed(desk, call, error)
            raise

    async def close(self) -> None:
        """Ends what is under way; every call settles."""
        await self._groups.close()

    async def _outcome(self, member: Member) -> EmbedReply:
        """What became of it. Who goes away leaves a place that is settled with its share when the vendor has answered."""
        deadline = member.call.deadline
        left: BaseException
        try:
            done, _ = await asyncio.wait((member.done,), timeout=deadline.left_s(self._desk.parts.clock))
            if done:
                return member.done.result()
            left = DeadlineMissed(f"the call's deadline of {deadline.total_s:g} s passed.")
        except asyncio.CancelledError as gone:
            left = gone
        if not member.done.done():
            self._groups.leave(member, left)
        raise left

    def _reserve(self, call: Call, plan: Plan) -> Spend:
        """Holds back what the call may use at its first candidate. Raises LimitReached."""
        price = self._desk.parts.price_of(plan.candidates[0].deployment, call.input_tokens)
        cost = shape.upper_cost(price, call.input_tokens, 0)
        ask = Spend(model_calls=1, input_tokens=call.input_tokens, cost_nano_usd=cost)
        if call.budget is not None:
            call.budget.reserve(ask)
        call.reserved_nano_usd = cost
        return ask

    # --- one upstream call for a group ---

    async def _send(self, group: Group) -> None:
        """Asks once for the whole group, and settles every member, whatever happens."""
        shared = self._call_of(group)
        if (over := group.over) is not None:
            self._failed(group, shared, over)
            return
        try:
            answer, response = await first(
                self._desk, shared, group.plan.candidates, shared.request, self._sender(group)
            )
        except (InvalidRequest, UpstreamRejected) as error:
            if len(group.members) == 1:
                self._failed(group, shared, error)
                return
            # One bad input must not fail its neighbours: each is asked for alone.
            self._bill(group, shared)
            await asyncio.gather(*(self._send(group.alone(member)) for member in group.members))
        except BaseException as error:
            self._failed(group, shared, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            self._answered(group, shared, answer, response)

    def _sender(self, group: Group) -> Send[Sent]:
        """The request on the wire is the group's, whatever the stand-in says that limits and routing looked at."""

        async def send(call: Call, trial: Trial, _request: ChatRequest, deadline: Deadline) -> Sent:
            return await self._ask(group, call, trial, deadline)

        return send

    async def _ask(self, group: Group, call: Call, trial: Trial, deadline: Deadline) -> Sent:
        """One try on the wire. Raises as `EmbeddingProvider.embed`."""
        deployment = trial.candidate.deployment
        provider = self._desk.parts.providers.get(deployment.dialect)
        if not isinstance(provider, EmbeddingProvider):
            raise InvalidRequest(
                f"{deployment.name} makes no embeddings.", param="model", hint="Name an embedding model."
            )
        request = group.request()
        response = await provider.embed(deployment, request, deadline, trial.key)
        if len(response.vectors) != len(request.inputs):
            raise split.miscounted(deployment.name, len(request.inputs), len(response.vectors))
        said = ChatResponse(model=response.model, usage=response.usage, simulated=response.simulated)
        return end_answered(self._desk, call, trial, said), response

    def _call_of(self, group: Group) -> Call:
        """The call that the upstream sees; it owns no place in the ledger, its attempts are shared out to the members."""
        lead = group.members[0].call
        calls = [member.call for member in group.members]
        clock = self._desk.parts.clock
        return Call(
            lead.id if len(calls) == 1 else f"{lead.id}+{len(calls) - 1}",  # another body, so another idempotency key
            lead.caller,
            structs.replace(lead.request, messages=()),
            None,
            min((call.deadline for call in calls), key=lambda each: each.at_s),
            0,
            lead.workflow,
            sum(call.input_tokens for call in calls),
            clock,
            clock.wall_ns(),
            clock.monotonic_s(),
            bounds=lead.bounds,
        )

    # --- what came of it, for each ---

    def _answered(self, group: Group, shared: Call, answer: Answer, response: EmbedResponse) -> None:
        self._bill(group, shared)
        at = 0
        for member in group.members:
            count = len(member.request.inputs)
            vectors, at = response.vectors[at : at + count], at + count
            call = member.call
            if member.gone is not None:
                settle.failed(self._desk, call, member.gone)
                continue
            usage = sum((each.usage for each in call.attempts if each.status == "ok"), Usage())
            said = structs.replace(answer.response, usage=usage)
            reply = settle.answered(self._desk, call, structs.replace(answer, response=said))
            mine = EmbedResponse(response.model, vectors, usage, response.simulated)
            member.resolve(EmbedReply(mine, reply.settled))

    def _failed(self, group: Group, shared: Call, error: BaseException) -> None:
        self._bill(group, shared)
        for member in group.members:
            settle.failed(self._desk, member.call, member.gone or error)
            member.fail(error)

    def _bill(self, group: Group, shared: Call) -> None:
        """Shares out what the tries used, and gives reservations back."""
        weights = [max(1, member.call.input_tokens) for member in group.members]
        for attempt in shared.attempts:
            for member, share in zip(group.members, split.attempt(attempt, weights), strict=True):
                member.call.attempts.append(share)
        for member in group.members:
            member.call.reasons.extend(shared.reasons)
            if len(group.members) > 1:
                member.call.note(f"asked for together with {len(group.members) - 1} other calls")
            if member.call.budget is not None:
                member.call.budget.settle(member.ask, _spent(shared.attempts, member.call.attempts))
                member.ask = Spend()
        shared.attempts, shared.reasons = [], []


def _spent(tries: list[Attempt], shares: list[Attempt]) -> Spend:
    """What a member's shares of these tries take out of its budget."""
    mine = shares[len(shares) - len(tries) :]
    return Spend(
        model_calls=sum(1 for each in mine if each.status == "ok" or each.usage.input_total),
        input_tokens=sum(each.usage.input_total for each in mine),
        cost_nano_usd=sum(each.cost_nano_usd for each in mine),
    )


def _as_chat(request: EmbedRequest) -> ChatRequest:
    """The request as routing, limits and the ledger look at calls: one message for each input, and nothing to be said."""
    texts = [each if isinstance(each, str) else " " * (4 * len(each)) for each in request.inputs]
    messages = tuple([Message("user", text) for text in texts])
    return ChatRequest(
        model=request.model, messages=messages, max_output_tokens=1, user=request.user, call=request.call
    )
