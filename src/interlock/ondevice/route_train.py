"""Training a route on labelled prompts: the per-task table, heads before any answer, heads after a checked answer, and the worth.

Below: numpy, `route_fit`, `route_judge`, `core.routes`. Above: `app`, the bench. Every figure that decides something (penalty, worth, what
looking at an answer is worth) is taken from predictions for rows that were left out of their own fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from msgspec import structs

from interlock.core.routes import (
    LEAST,
    MOST,
    Example,
    Head,
    LearnedRoute,
    Stage,
    TaskRow,
    curved,
    measures,
    plain,
    print_of,
    rate_without,
)
from interlock.ondevice.logistic import fit_logistic
from interlock.ondevice.minilm import HIDDEN
from interlock.ondevice.route_fit import Block, Fitted, Floats, fit, shrink
from interlock.ondevice.route_judge import Look
from interlock.ondevice.route_worth import Aim, mean, rounded, weighed

TASK_SHARE, SIGNAL_SHARE, VECTOR_SHARE, MEASURE_SHARE = 1.0, 1.0, 0.3, 0.1
"""How the kinds of columns are weighed against each other before the penalty is chosen."""
FEWEST = 20
"""Labels that a model needs for heads of its own; below, its overall rate is all that is known."""
ALIKE = 0.95
"""Cosine from which on two prompts are near-same."""


def train(
    examples: Sequence[Example],
    models: Sequence[str],
    costs_nano_usd: Mapping[str, int],
    vectors: npt.NDArray[np.float32] | None,
    aim: Aim,
    *,
    workflow: str = "",
    verifiers: Sequence[str] = (),
) -> LearnedRoute:
    """The route. `models` stand cheapest first; `vectors` has one row per example, or is `None` for a route by task and measures alone.

    Raises:
        ValueError: there is nothing to learn from.
    """
    kept = distinct(examples)
    rows = [examples[place] for place in kept]
    if not rows or not any(each.right for each in rows):
        raise ValueError("No labelled prompt: each row needs at least one model's `correct`.")
    taken = None if vectors is None else vectors[kept]
    before, first = _stage(rows, models, _blocks(rows, None), taken)
    after: dict[str, Stage] = {}
    later: dict[str, dict[str, Floats]] = {}
    for name in models[:-1]:
        places = [place for place, each in enumerate(rows) if each.signals.get(name) and name in each.right]
        if len(places) >= FEWEST:
            after[name], later[name] = _after(rows, models, name, places, taken)
    table, strengths = _table(rows, models)
    route = LearnedRoute(
        workflow=workflow,
        models=tuple(models),
        costs_nano_usd={name: costs_nano_usd[name] for name in models},
        worth_nano_usd=0,
        overall={name: mean([each.right[name] for each in rows if name in each.right]) for name in models},
        table=table,
        strengths=strengths,
        before=before,
        after=after,
        verifiers=tuple(verifiers) if after else (),
        labels=len(rows),
        seen=tuple(sorted({print_of(each.prompt) for each in rows if each.prompt})),
    )
    return weighed(route, rows, _looks(route, rows, first, later), aim)


def distinct(examples: Sequence[Example]) -> list[int]:
    """Places of the examples without repeats of the same words; an example without a prompt is never a repeat."""
    first: dict[str, int] = {}
    return [
        place
        for place, each in enumerate(examples)
        if not each.prompt or first.setdefault(plain(each.prompt), place) == place
    ]


def groups(examples: Sequence[Example], vectors: npt.NDArray[np.float32] | None) -> list[int]:
    """A number per example; those with near-same prompts share one, so that a split can keep them on one side."""
    first: dict[str, int] = {}
    found = [
        first.setdefault(plain(each.prompt), place) if each.prompt else place for place, each in enumerate(examples)
    ]
    if vectors is None:
        return found
    meaning = vectors[:, -HIDDEN:]  # the last layer; those below it tell rather how a text is built
    rows = meaning / np.maximum(np.linalg.norm(meaning, axis=1, keepdims=True), 1e-9)
    root = list(found)

    def top(place: int) -> int:
        while root[place] != place:
            root[place] = place = root[root[place]]
        return place

    for begin in range(0, len(rows), 512):
        near = np.argwhere(rows[begin : begin + 512] @ rows[: begin + 512].T >= ALIKE)
        for left, right in near.tolist():
            if right < begin + left:
                root[top(begin + left)] = top(right)
    return [top(place) for place in range(len(rows))]


# --- Heads ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Columns:
    """The blocks of one stage, with what their columns mean."""

    blocks: tuple[Block, ...]
    tasks: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()

    def usual_task(self, fitted: Fitted, column: int) -> float:
        """What the tasks add on average: the part of an unknown one."""
        if not self.tasks:
            return 0.0
        return float(self.blocks[0].columns.mean(axis=0) @ fitted.weights["task"][:, column])

    def within(self, name: str) -> tuple[tuple[float, float], ...]:
        """The range of each column of a block."""
        found = next((block.columns for block in self.blocks if block.name == name), None)
        if found is None:
            return ()
        return tuple(zip(found.min(axis=0).tolist(), found.max(axis=0).tolist(), strict=True))

    def with_vectors(self, vectors: npt.NDArray[np.float32]) -> _Columns:
        block = Block("vector", vectors.astype(np.float64), VECTOR_SHARE)
        return _Columns((*self.blocks, block), self.tasks, self.signals)


def _blocks(rows: Sequence[Example], answered: str | None) -> _Columns:
    """The columns that need no vector; with the checks of `answered`'s answers."""
    tasks = tuple(sorted({each.task for each in rows}))
    blocks: list[Block] = []
    if len(tasks) > 1:
        place = {task: at for at, task in enumerate(tasks)}
        onehot = np.zeros((len(rows), len(tasks)))
        onehot[np.arange(len(rows)), [place[each.task] for each in rows]] = 1.0
        blocks.append(Block("task", onehot, TASK_SHARE, onehot=True))
    if any(each.prompt for each in rows):
        blocks.append(Block("measures", np.array([measures(each.prompt) for each in rows]), MEASURE_SHARE))
    signals: tuple[str, ...] = ()
    if answered is not None:
        signals = tuple(sorted({name for each in rows for name in each.signals[answered]}))
        columns = [[each.signals[answered].get(name, 0.0) for name in signals] for each in rows]
        blocks.append(Block("signals", np.array(columns), SIGNAL_SHARE))
    return _Columns(tuple(blocks), tasks if len(tasks) > 1 else (), signals)


def _stage(
    rows: Sequence[Example], models: Sequence[str], columns: _Columns, vectors: npt.NDArray[np.float32] | None
) -> tuple[Stage, dict[str, Floats]]:
    """The stage and, by model, what its best heads say of rows left out of the fit; not a number where the model has no label."""
    light, left_out = _heads(rows, models, columns)
    full: dict[str, Head] = {}
    if vectors is not None:
        full, left_out = _heads(rows, models, columns.with_vectors(vectors))
    return Stage(
        light, full, columns.within("measures"), dict(zip(columns.signals, columns.within("signals"), strict=True))
    ), left_out


def _after(
    rows: Sequence[Example],
    models: Sequence[str],
    name: str,
    places: list[int],
    vectors: npt.NDArray[np.float32] | None,
) -> tuple[Stage, dict[str, Floats]]:
    """The stage once `name` has answered; left-out chances stand at the rows' places among all rows."""
    some = [rows[place] for place in places]
    own = models[models.index(name) :]
    stage, left_out = _stage(some, own, _blocks(some, name), None if vectors is None else vectors[places])
    spread: dict[str, Floats] = {}
    for model, values in left_out.items():
        spread[model] = np.full(len(rows), np.nan)
        spread[model][places] = values
    return stage, spread


def _heads(
    rows: Sequence[Example], models: Sequence[str], columns: _Columns
) -> tuple[dict[str, Head], dict[str, Floats]]:
    """Heads that share their rows where every row has every label, else each on the rows that have its own."""
    labels = np.array([[each.right.get(name, np.nan) for name in models] for each in rows])
    whole = not np.isnan(labels).any()
    sets = [list(range(len(models)))] if whole else [[at] for at in range(len(models))]
    heads: dict[str, Head] = {}
    left_out = {name: np.full(len(rows), np.nan) for name in models}
    for some in sets:
        known = np.flatnonzero(~np.isnan(labels[:, some]).any(axis=1))
        if len(known) < FEWEST or not columns.blocks:
            for at in some:
                heads[models[at]] = Head(mean(labels[known, at].tolist()))
                left_out[models[at]][known] = heads[models[at]].offset
            continue
        fitted = fit([block.take(known) for block in columns.blocks], labels[known][:, some])
        for column, at in enumerate(some):
            # Before any answer the sums are close to each other, where the curve is a straight line and only adds its own error.
            slope, shift = _curve(fitted.left_out[:, column], labels[known, at]) if columns.signals else (0.0, 0.0)
            heads[models[at]] = structs.replace(_head(fitted, column, columns), slope=slope, shift=shift)
            sums = fitted.left_out[:, column].tolist()
            left_out[models[at]][known] = [min(MOST, max(LEAST, curved(each, slope, shift))) for each in sums]
    return heads, left_out


def _curve(sums: Floats, right: Floats) -> tuple[float, float]:
    """(slope, shift) from left-out sums to chances (Platt 1999); a share counts as that much of a right answer."""
    if float(sums.std()) < 1e-6 or not 0 < float(right.mean()) < 1:  # nothing to bend
        return 0.0, 0.0
    twice, flags = np.concatenate([sums, sums]), np.repeat([True, False], len(sums))
    weights = np.concatenate([right, 1 - right]) + 1e-6
    found = fit_logistic(twice[:, None], flags, weights)
    return (rounded(found.slopes[0]), rounded(found.offset)) if found.slopes[0] > 0 else (0.0, 0.0)


def _head(fitted: Fitted, column: int, columns: _Columns) -> Head:
    def own(name: str) -> list[float]:
        if name not in fitted.weights:
            return []
        return [rounded(value) for value in fitted.weights[name][:, column].tolist()]

    usual = columns.usual_task(fitted, column)
    return Head(
        rounded(float(fitted.offsets[column]) + usual),
        {task: rounded(weight - usual) for task, weight in zip(columns.tasks, own("task"), strict=True)},
        tuple(own("measures")),
        {name: weight for name, weight in zip(columns.signals, own("signals"), strict=True) if weight},
        tuple(own("vector")),
    )


def _table(rows: Sequence[Example], models: Sequence[str]) -> tuple[dict[str, dict[str, TaskRow]], dict[str, float]]:
    """(task → model → row, by model what the rate over all tasks is worth in labels)."""
    found: dict[str, dict[str, TaskRow]] = {}
    strengths: dict[str, float] = {}
    for name in models:
        known = [each for each in rows if name in each.right]
        if not known:
            continue
        shrunk = shrink([each.task for each in known], np.array([each.right[name] for each in known]))
        strengths[name] = rounded(shrunk.strength)
        for task, (labels, right) in shrunk.counts.items():
            found.setdefault(task, {})[name] = TaskRow(labels, rounded(right), rounded(shrunk.rates[task]))
    return found, strengths


def _looks(
    route: LearnedRoute, rows: Sequence[Example], first: Mapping[str, Floats], later: Mapping[str, Mapping[str, Floats]]
) -> list[Look]:
    """Left-out chances by row; where a model has no label, its rate by task."""

    def known(values: Mapping[str, Floats], place: int, rates: Mapping[str, float]) -> dict[str, float]:
        return {
            name: float(column[place]) if not np.isnan(column[place]) else rates[name]
            for name, column in values.items()
        }

    looks: list[Look] = []
    for place, each in enumerate(rows):
        rates = {
            name: rate_without(route, name, each.task, each.right[name]) if name in each.right else rate
            for name, rate in route.rates(each.task).items()
        }
        after = {
            name: known(values, place, rates)
            for name, values in later.items()
            if not np.isnan(values[name][place]) and each.signals.get(name)
        }
        looks.append(Look(known(first, place, rates), after, rates))
    return looks


__all__ = ["Aim", "distinct", "groups", "train"]
