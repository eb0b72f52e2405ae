"""Fitting the heads of a learned route: least squares over blocks of columns, the penalty chosen by leaving one out.

Below: numpy, `core.routes`. Above: `route_train`. Ridge regression in its dual or primal form, whichever is smaller; every penalty and
every left-out residual comes from one eigendecomposition (Golub, Heath and Wahba 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PENALTIES = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
TINY = 1e-9
LEAST_STRETCH, MOST_STRETCH = 0.2, 3.0


@dataclass(frozen=True)
class Block:
    """Columns that are shrunk together. `share`: how much of the variance of a prediction the block may claim beside others."""

    name: str
    columns: Floats
    share: float
    onehot: bool = False

    def take(self, rows: npt.NDArray[np.intp]) -> Block:
        return Block(self.name, self.columns[rows], self.share, self.onehot)


@dataclass(frozen=True)
class Fitted:
    """Weights in the columns' own units, one column of `weights[block]` per target, and the left-out predictions."""

    weights: dict[str, Floats]
    offsets: Floats
    left_out: Floats

    def predict(self, blocks: Sequence[Block]) -> Floats:
        """One row per row of the blocks, one column per target; not yet held to 0..1."""
        return sum((block.columns @ self.weights[block.name] for block in blocks), np.zeros(1)) + self.offsets


def fit(blocks: Sequence[Block], targets: Floats) -> Fitted:
    """Heads for several targets (columns) that share their rows.

    One penalty serves all: it is chosen for the differences between targets, where there are several, since those decide.
    """
    scales = [_scale(block) for block in blocks]
    x = np.hstack([(block.columns - middle) * scale for block, (middle, scale) in zip(blocks, scales, strict=True)])
    middle = targets.mean(axis=0)
    rest = targets - middle
    dual = len(x) <= x.shape[1]
    values, vectors = np.linalg.eigh(x @ x.T if dual else x.T @ x)
    values = np.maximum(values, 0.0)
    basis = vectors if dual else x @ vectors / np.sqrt(np.maximum(values, TINY))
    turned = basis.T @ rest
    penalty, left_out = _best(values, basis, turned, rest)
    shrunk = turned / (values + penalty)[:, None]
    weights = x.T @ (vectors @ shrunk) if dual else vectors @ (shrunk * np.sqrt(values)[:, None])
    found: dict[str, Floats] = {}
    offsets, at = middle.astype(np.float64), 0
    for block, (centre, scale) in zip(blocks, scales, strict=True):
        own = weights[at : at + block.columns.shape[1]] * scale[:, None]
        at += block.columns.shape[1]
        found[block.name] = own
        offsets = offsets - centre @ own
    return _stretched(Fitted(found, offsets, left_out + middle), targets)


def _stretched(fitted: Fitted, targets: Floats) -> Fitted:
    """The same, stretched about the means until left-out predictions are as far apart as the truth says: shrinkage holds them too close.

    One factor serves all targets, so that the order of the differences between them stays as it was.
    """
    middle = targets.mean(axis=0)
    apart = fitted.left_out - fitted.left_out.mean(axis=0)
    factor = float((apart * (targets - middle)).sum()) / max(float((apart**2).sum()), TINY)
    factor = min(MOST_STRETCH, max(LEAST_STRETCH, factor))
    return Fitted(
        {name: weights * factor for name, weights in fitted.weights.items()},
        middle + factor * (fitted.offsets - middle),
        middle + factor * (fitted.left_out - middle),
    )


def _scale(block: Block) -> tuple[Floats, Floats]:
    """(middle, factor) by column: unit variance and a common share for measured columns, as they are for one-hot ones."""
    middle = block.columns.mean(axis=0)
    if block.onehot:
        return middle, np.full(len(middle), np.sqrt(block.share))
    spread = block.columns.std(axis=0)
    width = max(1, int((spread > TINY).sum()))
    factor = np.where(spread > TINY, np.sqrt(block.share / width) / np.maximum(spread, TINY), 0.0)
    return middle, factor


def _best(values: Floats, basis: Floats, turned: Floats, rest: Floats) -> tuple[float, Floats]:
    """(the penalty with the least left-out error, its left-out predictions)."""
    best = (np.inf, PENALTIES[-1], rest)
    gains = rest[:, 1:] - rest[:, :1] if rest.shape[1] > 1 else rest
    for penalty in PENALTIES:
        kept = values / (values + penalty)
        leverage = (basis**2) @ kept + 1 / len(rest)
        predicted = basis @ (kept[:, None] * turned)
        without = rest - (rest - predicted) / np.maximum(1 - leverage, TINY)[:, None]
        guessed = without[:, 1:] - without[:, :1] if rest.shape[1] > 1 else without
        error = float(((gains - guessed) ** 2).mean())
        if error < best[0]:
            best = (error, penalty, without)
    return best[1], best[2]


# --- The per-task table ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shrunk:
    """Rates by task, drawn towards the rate over all of them."""

    overall: float
    rates: dict[str, float]
    counts: dict[str, tuple[int, float]]
    """(labels, right) by task."""
    strength: float
    """Labels that the overall rate is worth."""


def shrink(tasks: Sequence[str], right: Floats) -> Shrunk:
    """Empirical Bayes by the method of moments (one-way random effects): a task with few labels stays near the overall rate."""
    counts: dict[str, tuple[int, float]] = {}
    for task, label in zip(tasks, right.tolist(), strict=True):
        number, total = counts.get(task, (0, 0.0))
        counts[task] = (number + 1, total + label)
    overall = float(right.mean())
    strength = _strength(counts, tasks, right, overall)
    rates = {task: (total + strength * overall) / (number + strength) for task, (number, total) in counts.items()}
    return Shrunk(overall, rates, counts, strength)


MOST_STRENGTH = 1e6


def _strength(counts: dict[str, tuple[int, float]], tasks: Sequence[str], right: Floats, overall: float) -> float:
    groups, total = len(counts), len(right)
    if groups < 2 or total <= groups:  # nothing to compare
        return 10.0
    numbers = np.array([number for number, _ in counts.values()], float)
    rates = np.array([sums / number for number, sums in counts.values()])
    own = np.array([counts[task][1] / counts[task][0] for task in tasks])
    within = float(((right - own) ** 2).sum()) / (total - groups)
    spread = float((numbers * (rates - overall) ** 2).sum()) / (groups - 1)
    typical = (total - float((numbers**2).sum()) / total) / (groups - 1)
    between = (spread - within) / max(typical, TINY)
    return MOST_STRENGTH if between <= 0 else min(MOST_STRENGTH, max(within, TINY) / between)
