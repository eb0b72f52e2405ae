"""What a vendor bills for a try that did not say: for answers that broke off, and for vendors that name no usage.

Above: attempt. Below: call, health, retry, tokens. Values to values, but for `learn`, which notes what the vendor does say, so that the estimates
follow each deployment's own tokenizer.
"""

from __future__ import annotations

from interlock.core.chat import ChatResponse
from interlock.core.errors import InterlockError, UpstreamError
from interlock.core.money import Usage

from . import retry, tokens
from .call import Trial
from .health import DeploymentHealth


def learn(health: DeploymentHealth, trial: Trial, response: ChatResponse) -> None:
    """Keeps how the vendor's own counts compare with the estimates."""
    text = response.text or "".join(each.arguments for each in response.tool_calls)
    health.counted(
        input_share=response.usage.input_total / max(1, trial.fitted.ask.input_tokens),
        output_share=response.usage.output / max(1, tokens.likely(text)) if text else None,
    )


def of_silent(health: DeploymentHealth, trial: Trial, response: ChatResponse) -> Usage:
    """The likely usage of a whole answer whose vendor names none."""
    return Usage(input=_input(health, trial), output=_output(health, [response.text]))


def of_broken(health: DeploymentHealth, trial: Trial, error: BaseException, seconds: float) -> tuple[Usage, bool]:
    """(usage of a try that broke off after `seconds`, whether any of it is an estimate).

    The vendor's word counts where it gave it. Else the input is what such a request usually weighs, and the output what was
    relayed; where nothing was to be seen of a whole answer, what the deployment usually writes in that time.
    """
    if isinstance(error, InterlockError) and not retry.may_have_run(error):
        return Usage(), False
    said = error.usage if isinstance(error, UpstreamError) and error.usage is not None else trial.usage_seen
    if said is not None and said.output_total and not trial.text_seen:
        return said, False
    output = _output(health, trial.text_seen) or _by_pace(health, trial, seconds)
    if said is None:
        return Usage(input=_input(health, trial), output=output), True
    return said + Usage(output=max(0, output - said.output_total)), True


def _input(health: DeploymentHealth, trial: Trial) -> int:
    share = tokens.LIKELY_SHARE if health.input_share is None else health.input_share
    return round(trial.fitted.ask.input_tokens * share)


def _output(health: DeploymentHealth, texts: list[str]) -> int:
    """At least one token for each piece, since no vendor sends less at a time."""
    share = 1.0 if health.output_share is None else health.output_share
    return max(len(texts), round(tokens.likely("".join(texts)) * share)) if any(texts) else 0


def _by_pace(health: DeploymentHealth, trial: Trial, seconds: float) -> int:
    """Output tokens that the deployment has usually made by then, when none was seen; a stream would have shown them."""
    if trial.fitted.request.stream or health.output_per_s is None:
        return 0
    return min(int(health.output_per_s * seconds), trial.fitted.ask.output_tokens)
