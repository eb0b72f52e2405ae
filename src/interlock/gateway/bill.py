"""Estimated usage, where a vendor reports none: for answers that broke off, and for vendors that never do.

Above: attempt. Below: call, health, retry, tokens. Values to values, but for `learn`, which notes what the vendor does say, so that the estimates
follow each deployment's own tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from interlock.core.chat import ChatResponse
from interlock.core.errors import BadReply, InterlockError, UpstreamCut, UpstreamError, UpstreamStalled
from interlock.core.money import Usage
from interlock.core.ports import NOTHING_SENT

from . import retry, tokens
from .call import Guess, Trial
from .health import DeploymentHealth

TOKEN_CHARS = 6
"""Pieces that are no longer than this on average are taken for tokens until a whole answer has shown how many each has."""


def learn(health: DeploymentHealth, estimate: int, parts: int, text: str, usage: Usage) -> None:
    """Keeps how the vendor's own counts compare with the estimates: `estimate` was the upper one of the input, `parts` the pieces seen."""
    learn_all(health, ((estimate, parts, text, usage),))


def learn_all(health: DeploymentHealth, answers: Sequence[tuple[int, int, str, Usage]]) -> None:
    """The same of several answers, in the order in which they came."""
    shares: list[tuple[float, float | None]] = []
    weights = health.weights
    for estimate, parts, text, usage in answers:
        input_tokens = usage.input_total
        likely = tokens.likely(text) if text else 0
        shares.append((input_tokens / max(1, estimate), usage.output / likely if likely else None))
        weights.add(estimate, input_tokens, usage.output_total, parts)
    health.counted(shares)


def of_silent(health: DeploymentHealth, trial: Trial, response: ChatResponse) -> Usage:
    """The likely usage of a whole answer whose vendor names none."""
    shown = _shown(health, trial)
    return Usage(input=_input(health, trial), output=_output(health, [response.text]) if shown is None else shown)


def of_broken(health: DeploymentHealth, trial: Trial, error: BaseException, seconds: float) -> tuple[Usage, bool]:
    """(usage of a try that broke off after `seconds`, whether any of it is an estimate).

    The vendor's word counts where it gave it. Else the input is what such a request weighed before, and the output what was
    relayed; where nothing was to be seen of a whole answer, what the deployment usually writes in that time.
    """
    told = error.usage if isinstance(error, UpstreamError) else None
    if told is None and isinstance(error, InterlockError) and not retry.may_have_run(error):
        return Usage(), False
    if NOTHING_SENT in error.args:
        return Usage(), False
    said = trial.usage_seen if told is None else told
    if said is not None and (trial.usage_final or (said.output_total and not trial.text_seen)):
        return said, False
    shown = _shown(health, trial)
    output = _output(health, trial.text_seen) if shown is None else shown
    if was_made(trial, error) and health.weights.usual is not None:
        output = round(health.weights.usual)
    output = output or _by_pace(health, trial, seconds)
    if said is None:
        return Usage(input=_input(health, trial), output=output), True
    return said + Usage(output=max(0, output - said.output_total)), True


def was_made(trial: Trial, error: BaseException) -> bool:
    """Whether the whole answer had been made, and so is billed, though nothing of it could be used."""
    broken = (BadReply,) if trial.fitted.request.stream else (BadReply, UpstreamCut, UpstreamStalled)
    return not trial.parts and isinstance(error, broken)


def better(guess: Guess, answered: Usage) -> Usage:
    """A broken try's usage, now that the same model has answered the same request: its input weighed the same, and an answer that
    had been made is likely to have been as long.
    """
    if guess.whole:
        return answered
    usage = guess.usage
    return structs.replace(answered, output=usage.output, reasoning=usage.reasoning) if usage.input_total else usage


def _input(health: DeploymentHealth, trial: Trial) -> int:
    known = health.weights.input(trial.fitted.ask.input_tokens)
    if known is not None:
        return known
    share = tokens.LIKELY_SHARE if health.input_share is None else health.input_share
    return round(trial.fitted.ask.input_tokens * share)


def _shown(health: DeploymentHealth, trial: Trial) -> int | None:
    """Output tokens of the pieces that were seen; `None` where there were none, or nothing is known of how many each has."""
    if not trial.parts:
        return None
    known = health.weights.output(trial.parts)
    if known is None and sum(map(len, trial.text_seen)) <= TOKEN_CHARS * trial.parts:
        return trial.parts
    return known


def _output(health: DeploymentHealth, texts: list[str]) -> int:
    """At least one token for each piece, since no vendor sends less at a time."""
    share = 1.0 if health.output_share is None else health.output_share
    return max(len(texts), round(tokens.likely("".join(texts)) * share)) if any(texts) else 0


def _by_pace(health: DeploymentHealth, trial: Trial, seconds: float) -> int:
    """Output tokens that the deployment has usually made by then, and no more than it usually makes, when none was seen; a stream
    would have shown them.
    """
    if trial.fitted.request.stream or health.output_per_s is None:
        return 0
    most = trial.fitted.ask.output_tokens if health.weights.usual is None else round(health.weights.usual)
    return min(int(health.output_per_s * seconds), trial.fitted.ask.output_tokens, most)
