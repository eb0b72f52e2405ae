"""Logistic regression on a few columns, by Newton's method: turns raw scores into chances.

Below: numpy. Above: `trust` and `passages`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PENALTY = 1e-3  # keeps slopes finite where the columns separate perfectly
ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Logistic:
    """chance = 1 / (1 + exp(-(columns @ slopes + offset)))."""

    slopes: tuple[float, ...]
    offset: float

    def chances(self, columns: Floats) -> Floats:
        """One chance, 0..1, per row."""
        return _sigmoid(columns @ np.array(self.slopes) + self.offset)


def fit_logistic(columns: Floats, right: Flags, weights: Floats, penalty: float = PENALTY) -> Logistic:
    """The curve that makes `right` likeliest; `weights` are scaled to sum 1, `penalty` keeps standardised slopes small."""
    middle, scale = columns.mean(axis=0), columns.std(axis=0) + 1e-9
    x = np.column_stack([(columns - middle) / scale, np.ones(len(columns))])
    weights = weights / weights.sum()
    held = penalty * np.array([1.0] * columns.shape[1] + [0.0])
    slopes = np.zeros(x.shape[1])
    for _ in range(ROUNDS):
        chances = _sigmoid(x @ slopes)
        gradient = x.T @ (weights * (chances - right)) + held * slopes
        curvature = (x * (weights * chances * (1 - chances))[:, None]).T @ x + np.diag(held + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        slopes = slopes - step
        if float(np.abs(step).max()) < 1e-8:
            break
    raw = slopes[:-1] / scale
    return Logistic(tuple(float(value) for value in raw), float(slopes[-1] - raw @ middle))


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))
