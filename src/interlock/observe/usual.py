"""What successful runs of a workflow need: the measure for runs that need far more.

Above: app reads the newest runs and hands this to the agents, who write it into a task's `Started`. Below: core. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from interlock.core.events import Usual

AT_LEAST = 30
"""Successful runs below which there is no usual."""
SHARE = 0.99


class Run(Protocol):
    """What is looked at of a run that succeeded."""

    @property
    def cost_nano_usd(self) -> int: ...
    @property
    def simulated_nano_usd(self) -> int: ...
    @property
    def model_calls(self) -> int: ...


def usual_of(successes: Sequence[Run], *, share: float = SHARE, at_least: int = AT_LEAST) -> Usual | None:
    """What `share` of the successful runs needed at most; `None` for fewer than `at_least` of them.

    The quantile is the smallest observed value that the next run of the same kind stays within with a chance of `share`
    (rank ⌈share·(n+1)⌉, split conformal prediction: Vovk et al. 2005; Lei et al. 2018); with fewer than 99 runs that is the largest.
    """
    if len(successes) < at_least:
        return None
    return Usual(
        runs=len(successes),
        share=share,
        cost_nano_usd=_quantile((run.cost_nano_usd + run.simulated_nano_usd for run in successes), share),
        model_calls=_quantile((run.model_calls for run in successes), share),
    )


def _quantile(values: Iterable[int], share: float) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered), math.ceil(share * (len(ordered) + 1))) - 1]
