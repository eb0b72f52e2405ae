"""From scores to the chance that the best intent is the right one, texts out of scope included.

Below: numpy, `head`, `logistic`. Above: `understand`. A logistic model of a few numbers, such as the best score and its lead
over the second, fitted on texts that the head had not seen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interlock.ondevice.head import OUT_OF_SCOPE, LeftOut, Look
from interlock.ondevice.logistic import Logistic, fit_logistic
from interlock.ondevice.promise import Evidence

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PSEUDO_TEXTS = 5.0  # all texts of removed intents together count as much as this many given out-of-scope texts
PRIOR = 2.0  # the curve's penalty, in texts: the more there are, the less it holds the slopes back


def evidence(look: Look) -> Floats:
    """Per text: the best score, the root of its lead over the second, the score of outside, and the nearest examples.

    The first steps of a lead tell more than the later ones; the root makes the curve follow that.
    """
    top = np.partition(look.scores, -2, axis=1)[:, -2:].astype(np.float64)
    columns = [top[:, 1], np.sqrt(top[:, 1] - top[:, 0]), look.outside, look.nearest]
    return np.column_stack(columns).astype(np.float64)


def judged(left_out: LeftOut) -> Flags:
    """Whether the head's answer to each left-out text is right."""
    return (left_out.look.scores.argmax(axis=1) == left_out.labels) & (left_out.labels != OUT_OF_SCOPE)


def shares(left_out: LeftOut, out_of_scope_share: float) -> Floats:
    """The share of the traffic for which each left-out text stands; sums to 1.

    Texts of removed intents stand in for texts out of scope; the more of the real ones there are, the less they count.
    """
    inside = left_out.labels != OUT_OF_SCOPE
    given = ~inside & ~left_out.pseudo
    outside = given + np.where(left_out.pseudo, PSEUDO_TEXTS / max(1, int(left_out.pseudo.sum())), 0.0)
    return (1 - out_of_scope_share) * inside / inside.sum() + out_of_scope_share * outside / outside.sum()


def fit_trust(left_out: LeftOut, weights: Floats, *, nearest: bool) -> Logistic:
    """The chance that the best intent is right, as a curve over the columns of `evidence`.

    `nearest` says whether enough real out-of-scope texts are given for the nearest examples to be evidence: the texts of a
    removed intent are never near what remains, as a real text out of scope can be.
    """
    columns, right = evidence(left_out.look), judged(left_out)
    kept = columns if nearest else columns[:, :-2]
    curve = fit_logistic(kept, right, weights, penalty=PRIOR / len(columns))
    return Logistic((*curve.slopes, *[0.0] * (columns.shape[1] - kept.shape[1])), curve.offset)


def rehearsal(left_out: LeftOut, trust: Logistic, weights: Floats) -> Evidence:
    """The left-out texts as evidence for a threshold, those out of scope blurred."""
    chances = trust.chances(evidence(left_out.look))
    clusters = left_out.clusters()
    given = (left_out.labels == OUT_OF_SCOPE) & ~left_out.pseudo
    removed = np.unique(clusters[left_out.pseudo])
    seen = Evidence(chances, judged(left_out), weights, clusters).blurred(given, int(given.sum()))
    return seen.blurred(np.isin(seen.groups, removed), len(removed))


def calibration_error(chances: Floats, right: Flags, weights: Floats, bins: int = 15) -> float:
    """Expected calibration error: mean gap between chance and truth over equal-width bins, by share of traffic."""
    place = np.minimum((chances * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights * (chances - right), minlength=bins)
    return float(np.abs(gaps).sum() / weights.sum())
