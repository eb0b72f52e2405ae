"""How good a route is, against labels: recovered share of the gap, share of calls for it, cost per success.

Below: numpy, `core.routes`. Above: `route_train`, `app`, the bench. The figures are RouteLLM's (Ong et al. 2024, arXiv:2406.18665): order
prompts by how much the strong model is expected to add, send the first x % to it, and look at the share of the gap that this closes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interlock.core.routes import Example, LearnedRoute, measures, onward, start

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A two-model router over all thresholds. Shares of calls in per cent."""

    apgr: float
    """Mean share of the gap between always-weak and always-strong that is closed; 0.5 for a random order."""
    cpt50: float
    """Calls to the strong model that close half of the gap."""
    cpt80: float


def curve(scores: Floats, weak: Floats, strong: Floats) -> Curve | None:
    """The curve of an order by `scores`, highest first to the strong model; `None` where the strong model is no better.

    Rows with equal scores count as in a random order among themselves.
    """
    gap = float((strong - weak).sum())
    if gap <= 0:
        return None
    closed = np.concatenate([[0.0], np.cumsum(_ordered(scores, strong - weak))]) / gap
    asked = np.linspace(0.0, 1.0, len(closed))
    area = float(((closed[1:] + closed[:-1]) / 2).mean())
    return Curve(area, *(100 * float(asked[np.argmax(closed >= level - 1e-9)]) for level in (0.5, 0.8)))


def _ordered(scores: Floats, gains: Floats) -> Floats:
    """Gains by falling score; within a tie each row brings the tie's mean."""
    order = np.argsort(-scores, kind="stable")
    _, tie, sizes = np.unique(-scores[order], return_inverse=True, return_counts=True)
    means = np.bincount(tie, gains[order]) / sizes
    return means[tie]


def auroc(scores: Floats, right: Floats) -> float:
    """Chance that a right answer scores above a wrong one; 0.5 where all are the same."""
    good = right >= 0.5  # labels are 0 or 1, or a share
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[inverse]
    hits, misses = int(good.sum()), int((~good).sum())
    return float((ranks[good].sum() - hits * (hits + 1) / 2) / (hits * misses)) if hits and misses else 0.5


def calibration_error(chances: Floats, right: Floats, bins: int = 10) -> float:
    """Mean distance between chance and share of right answers, over bins with equally many rows."""
    parts = np.array_split(np.argsort(chances, kind="stable"), min(bins, len(chances)))
    return float(sum(abs(chances[part].sum() - right[part].sum()) for part in parts) / len(chances))


@dataclass(frozen=True)
class Spent:
    """What a way of choosing brings and costs, per prompt."""

    right: float
    nano_usd: float
    dearest_share: float
    """Of prompts that reached the dearest model."""

    @property
    def nano_usd_per_success(self) -> float:
        return self.nano_usd / self.right if self.right else float("inf")


def walked(
    route: LearnedRoute, example: Example, before: Mapping[str, float], after: Mapping[str, Mapping[str, float]]
) -> tuple[str, int, bool]:
    """(model whose answer stands, nano-dollars, whether the dearest was asked) for one prompt, as the gateway would decide."""
    usable = [name for name in route.models if name in example.right]
    model = start(route, before, usable, route.shadow_price_nano_usd).model
    asked = [model]
    while model in after and len(asked) < len(usable):
        left = [name for name in usable if name not in asked or name == model]
        choice = onward(route, model, after[model], left, route.shadow_price_nano_usd)
        if choice is None:
            break
        model = choice.model
        asked.append(model)
    cost = sum(example.costs_nano_usd.get(name, route.costs_nano_usd[name]) for name in asked)
    return model, cost, route.models[-1] in asked


def spent(route: LearnedRoute, examples: Sequence[Example], looks: Sequence[Look]) -> Spent:
    """What the route's own decisions bring on labelled prompts."""
    walks = [(each, walked(route, each, look.before, look.after)) for each, look in zip(examples, looks, strict=True)]
    number = max(1, len(walks))
    return Spent(
        sum(each.right[model] for each, (model, _, _) in walks) / number,
        sum(cost for _, (_, cost, _) in walks) / number,
        sum(dearest for _, (_, _, dearest) in walks) / number,
    )


def always(route: LearnedRoute, examples: Sequence[Example], model: str) -> Spent:
    """What one model alone brings."""
    rows = [each for each in examples if model in each.right]
    number = max(1, len(rows))
    cost = sum(each.costs_nano_usd.get(model, route.costs_nano_usd[model]) for each in rows) / number
    return Spent(sum(each.right[model] for each in rows) / number, cost, float(model == route.models[-1]))


@dataclass(frozen=True)
class Look:
    """What a route says of one prompt."""

    before: Mapping[str, float]
    after: Mapping[str, Mapping[str, float]]
    """By the model whose answer was checked."""
    table: Mapping[str, float]


def look(route: LearnedRoute, example: Example, vector: Sequence[float] | None) -> Look:
    """The chances of one prompt before any answer, and after each answer whose checks are at hand."""
    measured = measures(example.prompt)
    return Look(
        route.before.chances(example.task, measured, {}, vector),
        {
            name: stage.chances(example.task, measured, example.signals[name], vector)
            for name, stage in route.after.items()
            if name in example.signals
        },
        route.rates(example.task),
    )


def figures(route: LearnedRoute, examples: Sequence[Example], looks: Sequence[Look]) -> dict[str, float]:
    """Everything measured, by name. The curves compare the cheapest model with the best of the others."""
    found: dict[str, float] = {"rows": float(len(examples))}
    for name in route.models:
        alone = always(route, examples, name)
        found |= {
            f"always {name}: right": alone.right,
            f"always {name}: usd_per_success": alone.nano_usd_per_success / 1e9,
        }
        rows = [place for place, each in enumerate(examples) if name in each.right]
        if rows:
            chances = np.array([looks[place].before[name] for place in rows])
            right = np.array([examples[place].right[name] for place in rows])
            found[f"before {name}: auroc"] = auroc(chances, right)
            found[f"before {name}: calibration_error"] = calibration_error(chances, right)
    found |= _curves(route, examples, looks)
    own = spent(route, examples, looks)
    found |= {
        "route: right": own.right,
        "route: usd_per_call": own.nano_usd / 1e9,
        "route: usd_per_success": own.nano_usd_per_success / 1e9,
        "route: dearest_share": own.dearest_share,
    }
    return found


def _curves(route: LearnedRoute, examples: Sequence[Example], looks: Sequence[Look]) -> dict[str, float]:
    weak = route.models[0]
    strong = max(route.models[1:], key=lambda name: route.overall[name], default="")
    rows = [place for place, each in enumerate(examples) if weak in each.right and strong in each.right]
    if not rows:
        return {}
    y = np.array([[examples[place].right[weak], examples[place].right[strong]] for place in rows])
    ways: dict[str, list[Mapping[str, float]]] = {}
    if len(route.table) > 1:  # by one task alone every prompt is the same
        ways["table"] = [looks[place].table for place in rows]
    ways["before"] = [looks[place].before for place in rows]
    if all(weak in looks[place].after for place in rows):
        ways["after"] = [looks[place].after[weak] for place in rows]
    found: dict[str, float] = {}
    for way, chances in ways.items():
        drawn = curve(np.array([each[strong] - each[weak] for each in chances]), y[:, 0], y[:, 1])
        if drawn is not None:
            found |= {f"{way}: apgr": drawn.apgr, f"{way}: cpt50": drawn.cpt50, f"{way}: cpt80": drawn.cpt80}
        found[f"{way} {weak}: auroc"] = auroc(np.array([each[weak] for each in chances]), y[:, 0])
        found[f"{way} {weak}: calibration_error"] = calibration_error(
            np.array([each[weak] for each in chances]), y[:, 0]
        )
    return found
