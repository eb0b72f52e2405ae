"""Judging a way of training on one labelled file: folds that keep near-same prompts on one side, each judged by a route that never saw it.

Below: `route_train`, `route_judge`. Above: `app`, the bench.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import structs

from interlock.core.routes import Example, LearnedRoute
from interlock.ondevice.route_judge import Look, curve, figures, look

Vectors = npt.NDArray[np.float32]
Train = Callable[[Sequence[Example], Vectors | None], LearnedRoute]


def folds(groups: Sequence[int], number: int, rng: random.Random) -> list[list[int]]:
    """Places of the examples, in `number` parts of about the same size; a group is never split."""
    members: dict[int, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    order = list(members.values())
    rng.shuffle(order)
    parts: list[list[int]] = [[] for _ in range(number)]
    for each in order:
        min(parts, key=len).extend(each)
    return [part for part in parts if part]


def cross(
    examples: Sequence[Example], vectors: Vectors | None, parts: Sequence[Sequence[int]], train: Train
) -> dict[str, float]:
    """The figures over all examples, each looked at by the route of the other parts; decisions are those of the last of these routes
    with its worth averaged over all of them.
    """
    looks: list[Look | None] = [None] * len(examples)
    worths: list[int] = []
    route: LearnedRoute | None = None
    for part in parts:
        held = set(part)
        rest = [place for place in range(len(examples)) if place not in held]
        route = train([examples[place] for place in rest], None if vectors is None else vectors[rest])
        worths.append(route.worth_nano_usd)
        for place in part:
            looks[place] = looked(route, examples[place], vectors, place)
    assert route is not None, "there is at least one part"
    route = structs.replace(route, worth_nano_usd=round(sum(worths) / len(worths)))
    return figures(route, examples, [each for each in looks if each is not None])


def held_out(
    examples: Sequence[Example], vectors: Vectors | None, taught: Sequence[int], judged: Sequence[int], train: Train
) -> tuple[LearnedRoute, dict[str, float]]:
    """A route from `taught` and its figures on `judged`."""
    route = train([examples[place] for place in taught], None if vectors is None else vectors[list(taught)])
    looks = [looked(route, examples[place], vectors, place) for place in judged]
    return route, figures(route, [examples[place] for place in judged], looks)


def looked(route: LearnedRoute, example: Example, vectors: Vectors | None, place: int) -> Look:
    """What `route` says of one example."""
    return look(route, example, None if vectors is None else vectors[place].tolist())


def random_order(examples: Sequence[Example], weak: str, strong: str, rng: random.Random) -> dict[str, float]:
    """The curve of a random order, as a baseline."""
    rows = [each for each in examples if weak in each.right and strong in each.right]
    scores = np.array([rng.random() for _ in rows])
    drawn = curve(
        scores, np.array([each.right[weak] for each in rows]), np.array([each.right[strong] for each in rows])
    )
    return {} if drawn is None else {"apgr": drawn.apgr, "cpt50": drawn.cpt50, "cpt80": drawn.cpt80}
