"""What a contract's `slo` may say: what was promised of the workflow, over which window, and what becomes of a spent budget.

Above: contract. Below: blocks. Shares are written `99.5%`, times `6s` or `800ms`, windows `28d`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from .blocks import Block, Count, NanoUsd, Share, Text

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
WINDOW_S = 28 * 86_400.0
LONGEST_S = 366 * 86_400.0


def seconds(value: Any) -> float:
    """`800ms`, `6s`, `5m`, `24h`, `28d`, `4w` → seconds."""
    expected = "expected a time such as 800ms, 6s, 24h or 28d"
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError(expected)
    if not isinstance(value, str):
        found = float(value)
    else:
        match = _TIME.fullmatch(value.strip())
        if match is None:
            raise ValueError(expected)
        found = float(match[1]) * _UNITS[match[2]]
    if not 0 < found <= LONGEST_S:
        raise ValueError("expected a time between 1ms and 366d")
    return found


def _at_least(value: Any) -> Any:
    """`">=1"` and `1` say the same."""
    if isinstance(value, str) and (match := re.fullmatch(r">=\s*(\d+)", value.strip())):
        return {"at_least": int(match[1])}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"at_least": value}
    if isinstance(value, str):
        raise ValueError('expected a number of citations such as ">=1"')
    return value


def _actions(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Time = Annotated[float, PlainValidator(seconds)]
Window = Annotated[Time, Field(ge=86_400.0)]


class Cited(Block):
    """Answers name their sources."""

    at_least: Annotated[Count, Field(ge=1)] = 1
    share: Share = 0.99
    """Of the tasks that were resolved."""


class Slo(Block):
    """The agreement of one workflow; what is left out is not agreed."""

    success: Share | None = None
    """Share of the tasks that end in a success."""
    p50: Time | None = None
    """Half of the tasks take no longer."""
    p90: Time | None = None
    p95: Time | None = None
    p99: Time | None = None
    cited: Annotated[Cited | None, BeforeValidator(_at_least)] = None
    policy_violations: Count | None = None
    """Most tasks of a window in which a rule or the policy refused a call."""
    cost_per_success: NanoUsd | None = None
    window: Window = Field(default_factory=lambda: WINDOW_S)
    when_spent: Annotated[tuple[Literal["cap_premium", "stop_rollouts"], ...], BeforeValidator(_actions)] = ()
    """What a spent budget brings about."""
    runbook: Text = ""
    """What to do when it burns, in your own words."""

    @model_validator(mode="after")
    def _reachable(self) -> Slo:
        for name in ("success", "cited"):
            promised = self.success if name == "success" else self.cited.share if self.cited else None
            if promised is not None and not 0.5 <= promised < 1:
                raise ValueError(f"{name}: a promise lies between 50% and 99.999%; 100% leaves nothing to go wrong")
        return self
