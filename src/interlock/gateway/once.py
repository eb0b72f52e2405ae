"""One try at one candidate deployment: capacity, circuit and retry budget are checked, the request is sent under its deadline, the result is accounted for.

Above: attempt, which asks one candidate after another. Below: bill, call, health, retry, shape, standing. What is asked for (a whole answer or
an opened stream) is handed in as `Send`, so that both walks share every rule. A try ends exactly once, through `end_answered` or `end_broken`; both give
its place back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from msgspec import structs

from interlock.core.chat import ChatRequest, ChatResponse
from interlock.core.errors import (
    BadReply,
    InterlockError,
    InvalidRequest,
    LimitReached,
    Overtaken,
    RateLimited,
    Shed,
    UpstreamError,
    UpstreamTimeout,
)
from interlock.core.money import Usage
from interlock.core.residency import Bounds, OutsideBounds
from interlock.core.time import Deadline

from . import bill, retry, shape
from .admit import NORMAL
from .call import Answer, Call, Guess, Trial
from .desk import Desk
from .fair import PRIORITIES
from .guarded import cleaned
from .health import DeploymentHealth
from .route import Candidate
from .settle import status_of

T = TypeVar("T")
Send = Callable[[Call, Trial, ChatRequest, Deadline], Awaitable[T]]
"""(call, try, fitted request, deadline) → what the try yields. Raises UpstreamError or InvalidRequest."""
BACKSTOP_S = 0.05
"""The provider is given this long to notice the deadline itself and to say which way it was missed."""
PATIENCE = 0.6
"""Share of the time left that a try may take while somebody else could still be asked."""
LEAST_PART_S = 1.0
"""Below this, or twice its usual time, a try gets all of the time that is left."""
OVERTAKEN = "overtaken"
"""Why a try is cancelled that a second one was faster than."""
ROOM_ROUNDS = 3
"""How often a call waits for a vendor's room before it gives up."""


class Job(Generic[T]):
    """What candidates are asked for."""

    __slots__ = ("input_tokens", "key", "request", "send")

    def __init__(self, request: ChatRequest, input_tokens: int, key: str, send: Send[T]) -> None:
        self.request = request
        self.input_tokens = input_tokens
        """Upper estimate."""
        self.key = key
        """Idempotency key, the same for every try of the request."""
        self.send = send


async def ask(desk: Desk, call: Call, candidate: Candidate, job: Job[T], last: bool) -> T:
    """What one try at `candidate` yields; `last`: nobody else can be asked after it.

    Raises:
        LimitReached: the budget has no room for it. UpstreamError, InvalidRequest, Shed: it failed, or was not sent; it is counted by then.
    """
    if call.bounds is not None:
        _inside(call.bounds, candidate)
    clock, lane = desk.parts.clock, desk.lane(candidate)
    health, profile, request = lane.health, lane.profile, job.request
    now_ns = clock.wall_ns()
    price = lane.price(job.input_tokens, now_ns)
    if desk.needs_confidence and profile.logprobs and not request.logprobs and not request.stream:
        request = structs.replace(request, logprobs=True)
    fitted = shape.fit(request, job.input_tokens, call.budget, price, profile, desk.settings.min_output_tokens)
    trial = Trial(candidate, fitted, price, job.key, now_ns, clock.monotonic_s())
    await _leave_to_send(desk, call, trial, health, last)
    trial.started_s = clock.monotonic_s()
    try:
        call.begin(trial)
    except LimitReached:
        health.breaker.abandoned()
        _free(desk, health, trial, None)
        raise
    try:
        return await _timed(desk, call, trial, job.send, last)
    except (UpstreamError, InvalidRequest, Shed) as error:
        count(desk, call, trial, error)
        raise
    except BaseException as error:
        health.breaker.abandoned()
        end_broken(desk, call, trial, error)
        raise


def _inside(bounds: Bounds, candidate: Candidate) -> None:
    """Plans keep to bounds; whoever finds a candidate by another way is stopped here. Raises OutsideBounds."""
    found = bounds.judge(candidate.deployment.provider, candidate.deployment.region)
    if found.outcome != "allow":
        raise OutsideBounds(f"{candidate.name} may not be asked: {found.told}")


async def _leave_to_send(desk: Desk, call: Call, trial: Trial, health: DeploymentHealth, last: bool) -> None:
    """A place for the try, as soon as there is one and everybody agrees that it may be sent.

    Raises:
        CircuitOpen: it failed too often of late. RateLimited: the vendor has no room in time. Shed: too many wait for a place.
    """
    clock, name = desk.parts.clock, trial.candidate.name
    now_s = clock.monotonic_s()
    if health.of is None:
        health.told(trial.candidate.deployment, now_s)
    if health.blocked_until_s or health.limits.known:
        await _room(desk, call, trial, health, last)
    extra = call.attempts[-1].status in ("error", "timeout") if call.attempts else False
    if extra:
        await _extra(desk, call, trial, health)
    else:
        desk.health.extras.called()
    line = health.line
    if line.inside < line.limit:
        line.inside += 1
    else:
        try:
            await line.enter(call.deadline, clock, call.caller.tenant, priority_of(desk, call), call.input_tokens)
        except BaseException:
            _not_sent(health, trial)
            raise
    trial.crowd = line.inside
    trial.placed = True
    if closed := health.breaker.enter(clock.monotonic_s()):
        line.leave()
        trial.placed = False
        _not_sent(health, trial)
        call.note(f"{name} not asked: {closed}")
        error = health.breaker.refusal(closed, clock.monotonic_s())
        error.deployment = name
        raise error
    if health.limits.known:
        trial.weight = _weight(health, trial)
        health.limits.sent(trial.weight, clock.monotonic_s())


def priority_of(desk: Desk, call: Call) -> int:
    """Place in `fair.PRIORITIES`: what the caller says (`priority` among its facts), else what its workflow or model has."""
    declared = desk.settings.priorities
    said = call.request.facts.get("priority") or declared.get(call.caller.workflow) or declared.get(call.request.model)
    return PRIORITIES.index(said) if said in PRIORITIES else NORMAL


async def _extra(desk: Desk, call: Call, trial: Trial, health: DeploymentHealth) -> None:
    """Leave for a further send, so that no outage is amplified. Raises CircuitOpen where there is none."""
    clock, standing = desk.parts.clock, health.standing
    while (may := standing.may()) == "wait":
        left_s = call.deadline.left_s(clock)
        try:
            async with asyncio.timeout(left_s):
                await standing.change()
        except TimeoutError:
            break
    if may == "go":
        standing.begin()
        trial.extra = "proven"
    elif desk.health.extras.take(clock.monotonic_s()):
        standing.begin()
        trial.extra = "token"
    else:
        why = "it failed last, and no further tries are in hand"
        call.note(f"{trial.candidate.name} not asked: {why}")
        error = health.breaker.refusal(why, clock.monotonic_s())
        error.deployment = trial.candidate.name
        raise error


def _not_sent(health: DeploymentHealth, trial: Trial) -> None:
    if trial.extra:
        health.standing.ended(None)
        trial.extra = ""


async def _room(desk: Desk, call: Call, trial: Trial, health: DeploymentHealth, last: bool) -> None:
    """Waits for the vendor's room, where that is short and nobody else could be asked meanwhile.

    Raises:
        RateLimited: it is not worth the wait.
    """
    parts, retrying, name = desk.parts, desk.settings.retrying, trial.candidate.name
    for _ in range(ROOM_ROUNDS):
        now_s = parts.clock.monotonic_s()
        wait_s = max(health.blocked_s(now_s), health.limits.wait_s(_weight(health, trial), now_s))
        if not wait_s:
            return
        if not last or wait_s > retrying.retry_after_max_s or wait_s >= call.deadline.left_s(parts.clock):
            break
        call.note(f"{name} wants no call for another {wait_s:.1f} s: waited")
        await parts.sleep(wait_s + parts.rng.uniform(0.0, min(wait_s, retrying.base_s)))
    now_s = parts.clock.monotonic_s()
    wait_s = max(health.blocked_s(now_s), health.limits.wait_s(_weight(health, trial), now_s))
    if wait_s:
        call.note(f"{name} not asked: it wants no call for another {wait_s:.1f} s")
        error = RateLimited(f"not asked: rate limited for another {wait_s:.1f} s.", upstream_status=429)
        error.retry_after_s, error.deployment = wait_s, name
        raise error


def _weight(health: DeploymentHealth, trial: Trial) -> int:
    return health.weight(trial.fitted.ask.input_tokens, trial.fitted.ask.output_tokens)


async def _timed(desk: Desk, call: Call, trial: Trial, send: Send[T], last: bool) -> T:
    """`send` under the deployment's timeout and the call's deadline, of which a part is kept back for whoever may have to stand in."""
    clock = desk.parts.clock
    timeout_s = trial.candidate.deployment.timeout_s
    if not last and (part_s := PATIENCE * call.deadline.left_s(clock)) < timeout_s:
        usual_s = desk.health.deployment(trial.candidate.name).latency_s or 0.0
        if part_s >= max(LEAST_PART_S, 2 * usual_s):
            timeout_s = part_s
    return await within(desk, call, trial, send, call.deadline.sooner(clock, timeout_s))


async def within(desk: Desk, call: Call, trial: Trial, send: Send[T], deadline: Deadline) -> T:
    """What one try yields until `deadline`; not counted here."""
    backstop = desk.watch.over(deadline.left_s(desk.parts.clock) + BACKSTOP_S)
    try:
        with backstop:
            return await send(call, trial, trial.fitted.request, deadline)
    except TimeoutError:
        if not backstop.expired:
            raise
        raise UpstreamTimeout(f"{trial.candidate.name} gave no answer within {deadline.total_s:g} s.") from None
    except InterlockError:
        raise
    except Exception as error:  # a plug-in's own fault must not pass for ours, nor leave the call without fallback
        raise plugin_failed(trial, error) from error


def plugin_failed(trial: Trial, error: Exception) -> BadReply:
    """What a plug-in's own fault is told as."""
    return BadReply(f"the provider plug-in of {trial.candidate.name} failed: {type(error).__name__}: {error}")


def count(desk: Desk, call: Call, trial: Trial, error: UpstreamError | InvalidRequest | Shed) -> None:
    """Counts a failed try, on the call and on the deployment."""
    name = trial.candidate.name
    if isinstance(error, UpstreamError):
        error.deployment = error.deployment or name
    else:
        call.note(f"{name}: {error.message}")
    blame(desk, trial, error)
    end_broken(desk, call, trial, error)


def blame(desk: Desk, trial: Trial, error: BaseException) -> None:
    """What a failure says about the deployment, be it before or in the middle of its answer."""
    health = desk.health.deployment(trial.candidate.name)
    now_s = desk.parts.clock.monotonic_s()
    if not isinstance(error, UpstreamError) or _cut_short(trial, error, now_s):
        health.breaker.abandoned()  # nothing was sent, or its caller's patience ended: it says nothing about the deployment
    elif isinstance(error, RateLimited):
        health.refused(now_s, error.retry_after_s)
    elif retry.counts_against(error):
        health.failed(now_s, error)
    else:
        health.breaker.succeeded()


def _cut_short(trial: Trial, error: UpstreamError, now_s: float) -> bool:
    """The try was given less time than its deployment is."""
    allowed_s = trial.candidate.deployment.timeout_s - BACKSTOP_S
    return isinstance(error, UpstreamTimeout) and now_s - trial.started_s < allowed_s


def begun(desk: Desk, trial: Trial) -> None:
    """The first piece of a stream has come: nobody waits for it any more, so its place is free, unless places are counted for good."""
    health = desk.health.deployment(trial.candidate.name)
    if trial.placed and not trial.candidate.deployment.max_concurrent:
        trial.placed = False
        health.left(trial.started_s, desk.parts.clock, 0, trial.crowd, stream=True)


def end_answered(desk: Desk, call: Call, trial: Trial, response: ChatResponse) -> Answer:
    """Counts a try that brought a whole answer, and learns from it."""
    health = desk.health.deployment(trial.candidate.name)
    answer = counted(desk, health, call, trial, response)
    now_s, output = desk.parts.clock.monotonic_s(), response.usage.output_total
    said = response.text or "".join([each.arguments for each in response.tool_calls])
    learn(desk, health, trial.fitted.ask.input_tokens, trial.parts, said, response.usage)
    health.answered(trial.started_s, now_s, output)
    if trial.placed and not trial.fitted.request.stream:
        health.paced(trial.started_s, desk.parts.clock, now_s, output, trial.crowd, health.line.inside, stream=False)
    if trial.placed:
        trial.placed = False
        health.line.leave()
    return answer


def counted(desk: Desk, health: DeploymentHealth, call: Call, trial: Trial, response: ChatResponse) -> Answer:
    """What the call used, everywhere it goes."""
    candidate, usage = trial.candidate, response.usage
    into = usage.input_total
    if not into and not usage.output_total and not usage.compute_ms:
        usage = bill.of_silent(health, trial, response)
        call.note(f"{candidate.name} named no usage: estimated from the text")
        into = usage.input_total
    if trial.price.above_input or into > trial.fitted.ask.input_tokens:
        # Only more input than was estimated, or a dear tier taken by estimate, can make another price apply.
        trial.price = desk.parts.price_of(candidate.deployment, into)
    call.end(trial, "ok", usage, None, simulated=response.simulated or candidate.deployment.simulated)
    if call.guesses:
        _learn_better(call, trial, usage)
    if trial.weight:
        health.limits.ended(trial.weight)
    if trial.extra:
        _proved(desk, health, trial, well=True)
    return Answer(
        response,
        candidate.name,
        candidate.tier,
        candidate,
        trial.price.version,
        confidence=response.confidence,
        cut_to=trial.fitted.cut_to if response.finish == "length" else 0,
    )


def learn(desk: Desk, health: DeploymentHealth, estimate: int, parts: int, text: str, usage: Usage) -> None:
    """What a whole answer's words and counts say about its deployment; its time is `health.answered`'s and `health.paced`'s."""
    if usage.input_total or usage.output_total or usage.compute_ms:
        bill.learn(health, estimate, parts, text, usage)
    if desk.health.hedges is not None:
        desk.health.hedges.answered()


def _learn_better(call: Call, trial: Trial, usage: Usage) -> None:
    """Tries of this request at the same model that broke off before: now it is known how they weighed."""
    for guess in call.guesses:
        before, now = guess.trial.candidate.deployment, trial.candidate.deployment
        if before.model == now.model and guess.trial.fitted.ask.input_tokens == trial.fitted.ask.input_tokens:
            call.amend(guess, bill.better(guess, usage))
    call.guesses.clear()


def end_broken(desk: Desk, call: Call, trial: Trial, error: BaseException) -> None:
    """Counts a try that brought no whole answer, with what the vendor will bill for it as far as can be known."""
    candidate = trial.candidate
    health = desk.health.deployment(candidate.name)
    if isinstance(error, asyncio.CancelledError) and error.args[:1] == (OVERTAKEN,):
        error = Overtaken(f"{candidate.name} was overtaken by a second try")
    seconds = desk.parts.clock.monotonic_s() - trial.started_s
    usage, estimated = bill.of_broken(health, trial, error, seconds)
    if estimated:
        call.note(f"{candidate.name}: usage of the broken answer estimated ({usage.output_total} output tokens)")
    trial.price = desk.parts.price_of(candidate.deployment, usage.input_total)
    if estimated:
        call.guesses.append(Guess(len(call.attempts), trial, usage, bill.was_made(trial, error)))
    known = error if isinstance(error, InterlockError) else None
    if known is not None:
        cleaned(desk.parts.redact, known)
    call.end(trial, status_of(error), usage, known, simulated=candidate.deployment.simulated)
    _free(desk, health, trial, error)


def _free(desk: Desk, health: DeploymentHealth, trial: Trial, error: BaseException | None) -> None:
    """The try's place is free, and it has shown what it has shown."""
    if trial.weight:
        health.limits.ended(trial.weight)
    if trial.extra:
        failed = isinstance(error, UpstreamError) and retry.counts_against(error)
        _proved(desk, health, trial, well=False if failed else None)
    if trial.placed:
        trial.placed = False
        health.line.leave()


def _proved(desk: Desk, health: DeploymentHealth, trial: Trial, *, well: bool | None) -> None:
    if trial.extra == "token" and well is not False:
        desk.health.extras.give_back()
    trial.extra = ""
    health.standing.ended(well)
