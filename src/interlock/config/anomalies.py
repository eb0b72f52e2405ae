"""What a contract's `anomalies` may say: from when on a task that goes in circles is warned and stopped. Above: contract. Below: blocks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from .blocks import Amount, Block, Count, Texts


class Bounds(Block):
    """0: never."""

    warn: Amount = 0.0
    stop: Amount = 0.0

    @model_validator(mode="after")
    def _warned_first(self) -> Bounds:
        if self.stop and self.warn > self.stop:
            raise ValueError("warn comes before stop")
        return self


def _bounds(value: Any) -> Any:
    """`5` alone is where the task is stopped; `false` looks for nothing."""
    if value is False:
        return {}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"warn": value, "stop": value}
    return value


def _pair(warn: float, stop: float) -> Any:
    return Field(default_factory=lambda: Bounds(warn=warn, stop=stop))


Pair = Annotated[Bounds, BeforeValidator(_bounds)]


class Anomalies(Block):
    """Each kind with its bounds."""

    repeats: Pair = _pair(3, 5)
    """The same call with the same arguments and the same result."""
    cycles: Pair = _pair(3, 5)
    """Rounds of two to four calls that repeat with the same results."""
    no_news: Pair = _pair(6, 12)
    """Reading calls in a row that told nothing new."""
    fan_out: Pair = _pair(16, 64)
    """Tool calls that one answer asks for."""
    depth: Pair = _pair(3, 6)
    """Tasks below tasks."""
    growth_tokens: Pair = _pair(8_000, 0)
    """Input tokens by which each model call exceeds the one before."""
    injections: Pair = _pair(1, 0)
    """Results of tools that show signs of an injection, where the workspace's guards look for any."""
    usual: Pair = _pair(1.0, 3.0)
    """Cost and model calls, as multiples of what 99 % of the successful runs need."""
    usual_runs: Annotated[Count, Field(ge=10)] = 30
    """So many successful runs are needed before there is a usual."""
    polls: Texts = ()
    """Tools that may be asked the same again and again."""
    then: Literal["fail", "hand_over", "warn"] = "fail"
    """What becomes of a task that goes on after the warning; `warn`: it is never stopped."""


def switched(value: Any) -> Any:
    """`anomalies: false` looks for nothing."""
    if value is not False:
        return value
    nothing: dict[str, Any] = dict.fromkeys(
        ("repeats", "cycles", "no_news", "fan_out", "depth", "growth_tokens", "injections", "usual"), False
    )
    return {**nothing, "then": "warn"}
