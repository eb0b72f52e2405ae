"""What a right answer is worth to a route, from the goal that it is trained for; and what looking at an answer before deciding is worth.

Below: numpy, `route_judge`, `core.routes`. Above: `route_train`. Everything is measured on left-out chances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import structs

from interlock.core.routes import Example, LearnedRoute, Stage
from interlock.ondevice.route_judge import Look, figures, spent

WORTHS = 60
DIGITS = 5


@dataclass(frozen=True)
class Aim:
    """What the decisions shall reach."""

    recover: float = 0.8
    """Share of the gap between the cheapest and the best model; used where no cost of failure is given."""
    failure_nano_usd: int | None = None
    """What a wrong answer costs (e.g. a person's minutes)."""


def weighed(route: LearnedRoute, rows: Sequence[Example], looks: Sequence[Look], aim: Aim) -> LearnedRoute:
    """The route with its worth, the worth of looking, and its figures."""
    judged = [(each, look) for each, look in zip(rows, looks, strict=True) if len(each.right) == len(route.models)]
    if not judged:  # every row knows one model's outcome: decide by the labels' means
        judged = [
            (structs.replace(each, right=dict(look.before)), look) for each, look in zip(rows, looks, strict=True)
        ]
    examples, seen = [each for each, _ in judged], [look for _, look in judged]
    made = (
        _worth_recovering(route, examples, seen, aim.recover)
        if aim.failure_nano_usd is None
        else _worth_of_failure(route, examples, seen, aim.failure_nano_usd)
    )
    measured = {name: rounded(value) for name, value in figures(made, examples, seen).items()}
    return structs.replace(made, figures=measured)


def _worth_recovering(
    route: LearnedRoute, rows: Sequence[Example], looks: Sequence[Look], share: float
) -> LearnedRoute:
    """The least worth whose decisions close `share` of the gap between the cheapest and the best model."""
    cheapest = route.overall[route.models[0]]
    target = cheapest + share * (max(route.overall.values()) - cheapest)
    top = max(*route.costs_nano_usd.values(), 1)
    made = route
    for worth in np.geomspace(top / 10, top * 1000, WORTHS):
        made = _looking(structs.replace(route, worth_nano_usd=round(float(worth))), rows, looks)
        if spent(made, rows, looks).right >= target:
            break
    return made


def _worth_of_failure(
    route: LearnedRoute, rows: Sequence[Example], looks: Sequence[Look], failure: int
) -> LearnedRoute:
    """What a failure costs and what a success costs: the fixed point is the least cost per success (Dinkelbach 1967)."""
    made = route
    success = float(min(route.costs_nano_usd.values()))
    for _ in range(20):
        made = _looking(structs.replace(route, worth_nano_usd=round(failure + success)), rows, looks)
        result = spent(made, rows, looks)
        again = (result.nano_usd + failure * (1 - result.right)) / max(result.right, 1e-3)
        if abs(again - success) <= 1 + success / 1000:
            break
        success = again
    return made


def _looking(route: LearnedRoute, rows: Sequence[Example], looks: Sequence[Look]) -> LearnedRoute:
    """The route with what it is worth, after each model, to have looked at its answer before deciding."""
    after: dict[str, Stage] = {}
    for name, stage in route.after.items():
        gains = [
            _left(route, each, _best(route, look.before, name, each))
            - _left(route, each, _best(route, look.after[name], name, each))
            for each, look in zip(rows, looks, strict=True)
            if name in look.after
        ]
        after[name] = structs.replace(stage, looking_nano_usd=max(0, round(mean(gains))))
    return structs.replace(route, after=after)


def _best(route: LearnedRoute, chances: Mapping[str, float], answered: str, example: Example) -> tuple[str, int]:
    """(model, nano-dollars still to pay) with the least expected loss once `answered` has been paid."""
    losses = {
        name: (0 if name == answered else route.costs_nano_usd[name]) + route.worth_nano_usd * (1 - chances[name])
        for name in chances
        if name in example.right
    }
    best = min(losses, key=lambda name: losses[name])
    return best, 0 if best == answered else route.costs_nano_usd[best]


def _left(route: LearnedRoute, example: Example, choice: tuple[str, int]) -> float:
    return choice[1] + route.worth_nano_usd * (1 - example.right[choice[0]])


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.5
