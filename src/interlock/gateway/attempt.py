"""Asking candidates in order: tries under breaker, retry budget, budget and deadline, then the next candidate.

Above: chat, stream, degrade. Below: call, health, retry, shape. What is asked for (a whole answer or an opened stream) is handed in
as `Send`, so that both walks share every rule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec import structs

from interlock.core.chat import ChatRequest, ChatResponse
from interlock.core.errors import (
    BadReply,
    DeadlineMissed,
    Exhausted,
    InterlockError,
    InvalidRequest,
    LimitReached,
    RateLimited,
    Shed,
    UpstreamError,
    UpstreamTimeout,
)
from interlock.core.time import Deadline

from . import bill, retry, shape, tokens
from .call import Answer, Call, Trial
from .desk import Desk
from .health import DeploymentHealth
from .route import Candidate
from .settle import status_of

T = TypeVar("T")
Send = Callable[[Call, Trial, ChatRequest, Deadline], Awaitable[T]]
"""(call, try, fitted request, deadline) → what the try yields. Raises UpstreamError or InvalidRequest."""
BACKSTOP_S = 0.05
"""The provider is given this long to notice the deadline itself and to say which way it was missed."""


async def first(desk: Desk, call: Call, candidates: Sequence[Candidate], request: ChatRequest, send: Send[T]) -> T:
    """What the first candidate that answers yields.

    Raises:
        LimitReached: the budget has no room for any of them. UpstreamRejected: the vendor finds the request at fault.
        RateLimited, Shed: nobody has room now. Exhausted: several failed. The one error, when there was one candidate. DeadlineMissed.
    """
    errors: list[InterlockError] = []
    input_tokens = call.input_tokens if request is call.request else tokens.of_request(request)
    for place, candidate in enumerate(candidates):
        rest = candidates[place + 1 :]
        others = bool(rest) and any(each.tier == candidate.tier for each in rest)
        if call.deadline.passed(desk.parts.clock):
            raise _missed(call, errors)
        try:
            return await ask(desk, call, candidate, request, input_tokens, send, others)
        except LimitReached as error:
            call.note(f"{candidate.name} not asked: {error.message}")
            if error.limit not in ("max_cost_nano_usd", "context_window"):
                raise
            errors.append(error)
        except (UpstreamError, InvalidRequest, Shed) as error:
            if retry.final(error):
                raise
            errors.append(error)
    if call.deadline.passed(desk.parts.clock):
        raise _missed(call, errors)
    raise _summed_up(errors)


async def ask(
    desk: Desk, call: Call, candidate: Candidate, request: ChatRequest, input_tokens: int, send: Send[T], others: bool
) -> T:
    """One candidate, tried again where that may help; `others` of its tier stand by.

    Raises the last error; each try is on the call by then.
    """
    parts, settings = desk.parts, desk.settings
    deployment = candidate.deployment
    health = desk.health.deployment(candidate.name)
    price = parts.price_of(deployment, input_tokens)
    profile = parts.profile_of(deployment)
    if desk.needs_confidence and profile.logprobs and not request.logprobs and not request.stream:
        request = structs.replace(request, logprobs=True)
    key = f"{call.id}.{len(call.attempts)}"
    tries = 0
    while True:
        if health.blocked_until_s:
            await _room(desk, call, candidate, health, others)
        fitted = shape.fit(request, input_tokens, call.budget, price, profile, settings.min_output_tokens)
        if closed := health.breaker.enter(parts.clock.monotonic_s()):
            raise _unavailable(call, candidate, closed)
        trial = Trial(candidate, fitted, price, key, parts.clock)
        try:
            call.begin(trial)
        except LimitReached:
            health.breaker.abandoned()
            raise
        tries += 1
        try:
            return await _timed(desk, call, trial, send)
        except (UpstreamError, InvalidRequest, Shed) as error:
            wait_s = _after_failure(desk, call, trial, health, error, tries, others)
        except BaseException as error:
            health.breaker.abandoned()
            end_broken(desk, call, trial, error)
            raise
        await parts.sleep(wait_s)


async def _room(desk: Desk, call: Call, candidate: Candidate, health: DeploymentHealth, others: bool) -> None:
    """Waits out the time in which the vendor wants no calls, where that is short and nobody else of the tier stands by.

    Raises:
        RateLimited: it is not worth the wait.
    """
    parts, retrying = desk.parts, desk.settings.retrying
    blocked_s = health.blocked_s(parts.clock.monotonic_s())
    for _ in range(retrying.max_tries):
        if not blocked_s:
            return
        if others or blocked_s > retrying.retry_after_max_s or blocked_s >= call.deadline.left_s(parts.clock):
            break
        call.note(f"{candidate.name} wants no call for another {blocked_s:.1f} s: waited")
        await parts.sleep(blocked_s + parts.rng.uniform(0.0, retrying.base_s))
        blocked_s = health.blocked_s(parts.clock.monotonic_s())
    if blocked_s:
        call.note(f"{candidate.name} not asked: it wants no call for another {blocked_s:.1f} s")
        error = RateLimited(f"not asked: rate limited for another {blocked_s:.1f} s.", upstream_status=429)
        error.retry_after_s, error.deployment = blocked_s, candidate.name
        raise error


async def _timed(desk: Desk, call: Call, trial: Trial, send: Send[T]) -> T:
    """`send` under the deployment's timeout and the call's deadline; whichever comes first ends it."""
    clock = desk.parts.clock
    timeout_s = trial.candidate.deployment.timeout_s
    deadline = call.deadline.sooner(clock, timeout_s)
    backstop = desk.watch.over(deadline.left_s(clock) + BACKSTOP_S)
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
        raise BadReply(
            f"the provider plug-in of {trial.candidate.name} failed: {type(error).__name__}: {error}"
        ) from error


def _after_failure(
    desk: Desk,
    call: Call,
    trial: Trial,
    health: DeploymentHealth,
    error: UpstreamError | InvalidRequest | Shed,
    tries: int,
    others: bool,
) -> float:
    """Counts a failed try; returns the seconds to wait before the next, or raises where there is none."""
    parts = desk.parts
    name = trial.candidate.name
    if isinstance(error, UpstreamError):
        error.deployment = error.deployment or name
    end_broken(desk, call, trial, error)
    now_s = parts.clock.monotonic_s()
    if not isinstance(error, UpstreamError):  # nothing was sent
        health.breaker.abandoned()
        call.note(f"{name}: {error.message}")
        raise error
    if isinstance(error, UpstreamTimeout) and call.deadline.passed(parts.clock):
        health.breaker.abandoned()  # its caller's patience ended, which says nothing about the deployment
    elif retry.counts_against(error):
        health.breaker.failed(now_s)
    elif isinstance(error, RateLimited):
        health.breaker.abandoned()
        health.blocked_until_s = max(health.blocked_until_s, now_s + (error.retry_after_s or 0.0))
    else:
        health.breaker.succeeded()
    decision = retry.decide(
        error, tries, call.deadline.left_s(parts.clock), health.retries, desk.settings.retrying, parts.rng, others
    )
    if isinstance(decision, retry.NoMore):
        call.note(f"{name} given up: {decision.reason}")
        raise error
    health.take_retry()
    call.note(f"{name} again in {decision.wait_s:.2f} s after {error.code}")
    return decision.wait_s


def end_answered(desk: Desk, call: Call, trial: Trial, response: ChatResponse) -> Answer:
    """Counts a try that brought a whole answer."""
    name, usage = trial.candidate.name, response.usage
    health = desk.health.deployment(name)
    if not usage.input_total and not usage.output_total and not usage.compute_ms:
        usage = bill.of_silent(health, trial, response)
        call.note(f"{name} named no usage: estimated from the text")
    else:
        bill.learn(health, trial, response)
    if trial.price.above_input or usage.input_total > trial.fitted.ask.input_tokens:
        # Only more input than was estimated, or a dear tier taken by estimate, can make another price apply.
        trial.price = desk.parts.price_of(trial.candidate.deployment, usage.input_total)
    call.end(trial, "ok", usage, None, simulated=response.simulated or trial.candidate.deployment.simulated)
    health.answered(desk.parts.clock.monotonic_s() - trial.started_s, usage.output_total)
    return Answer(
        response=response,
        candidate=trial.candidate,
        deployment=name,
        tier=trial.candidate.tier,
        price=trial.price.version,
        confidence=response.confidence,
        cut_to=trial.fitted.cut_to if response.finish == "length" else 0,
    )


def end_broken(desk: Desk, call: Call, trial: Trial, error: BaseException) -> None:
    """Counts a try that brought no whole answer, with what the vendor will bill for it as far as can be known."""
    candidate = trial.candidate
    seconds = desk.parts.clock.monotonic_s() - trial.started_s
    usage, estimated = bill.of_broken(desk.health.deployment(candidate.name), trial, error, seconds)
    if estimated:
        call.note(f"{candidate.name}: usage of the broken answer estimated ({usage.output_total} output tokens)")
    trial.price = desk.parts.price_of(candidate.deployment, usage.input_total)
    known = error if isinstance(error, InterlockError) else None
    call.end(trial, status_of(error), usage, known, simulated=candidate.deployment.simulated)


def _unavailable(call: Call, candidate: Candidate, why: str) -> UpstreamError:
    call.note(f"{candidate.name} not asked: {why}")
    error = UpstreamError(f"not asked: {why}.")
    error.deployment = candidate.name
    return error


def _summed_up(errors: Sequence[InterlockError]) -> InterlockError:
    """One error for several: what all have in common, where they do, since it says best what the caller can do."""
    if len(errors) == 1 or all(isinstance(each, LimitReached) for each in errors):
        return errors[0]
    waits = [each for each in errors if isinstance(each, (RateLimited, Shed))]
    if len(waits) == len(errors):
        return min(waits, key=lambda each: each.retry_after_s or 0.0)
    return Exhausted(errors)


def _missed(call: Call, errors: Sequence[InterlockError]) -> DeadlineMissed:
    last = f" Last: {errors[-1].message}" if errors else ""
    return DeadlineMissed(
        f"the call's deadline of {call.deadline.total_s:g} s passed after {len(call.attempts)} tries.{last}"
    )
