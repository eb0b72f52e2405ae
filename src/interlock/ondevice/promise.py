"""Keep a promise: the threshold above which answers are right at least as often as promised, with a confidence bound.

Below: numpy. Above: `understand`. Input is evidence on texts that the head had not seen; each text carries a weight, so
that out-of-scope texts count as often as they are assumed to come, however many of them were at hand.

The bound on the share of traffic answered wrongly is Fay and Feuer's (1997) for weighted Poisson counts: with plain
weights it is the exact (Garwood) bound, and it stays above zero where no error was seen. Errors that come in groups (the
texts of one removed intent are taken for the same neighbour) count as one error of their joint weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

NEVER = 2.0  # a threshold that no confidence reaches
CONFIDENCE = 0.95  # one-sided
COPIES = 9
FACTORS = (1.2, 1.5, 2.0, 3.0, 5.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@dataclass(frozen=True, slots=True)
class Threshold:
    """Answer where the confidence is at least `value`. `kept` says whether any threshold keeps the promise.

    Shares are of all traffic, estimated on unseen texts: `coverage` answered, `wrong_share` answered wrongly and
    `wrong_bound` its upper bound. `examples_factor` is how many times as many texts, no better and no worse, would let the
    promise be kept: 1 when it is kept, 0 when more of the same would not help because too many are wrong.
    """

    value: float
    promise: float
    confidence: float
    kept: bool
    coverage: float
    wrong_share: float
    wrong_bound: float
    examples_factor: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of texts that the head had not seen, one row per text.

    `chances` is the head's confidence, `right` whether its answer would be right (never so for a text out of scope),
    `weights` the text's share of the traffic, and `groups` a number shared by texts that tend to be wrong together,
    such as those of one intent.
    """

    chances: Floats
    right: Flags
    weights: Floats
    groups: Integers

    def blurred(self, rows: Flags, independent: int) -> Evidence:
        """The same with each text of `rows` spread over COPIES places of a bell curve around it (Silverman's width).

        A few dozen texts out of scope leave gaps between and above them; blurred, they speak for those gaps too.
        `independent` is how many of the texts count as independent of each other.
        """
        if rows.sum() < 2:
            return self
        odds = np.log(np.clip(self.chances[rows], 1e-9, 1 - 1e-9))
        odds -= np.log1p(-np.clip(self.chances[rows], 1e-9, 1 - 1e-9))
        width = 0.9 * float(odds.std()) * independent**-0.2
        steps = np.array([NormalDist().inv_cdf((copy + 0.5) / COPIES) for copy in range(COPIES)])
        spread = 1 / (1 + np.exp(-(odds[:, None] + width * steps).ravel()))
        return Evidence(
            np.concatenate([self.chances[~rows], spread]),
            np.concatenate([self.right[~rows], np.repeat(self.right[rows], COPIES)]),
            np.concatenate([self.weights[~rows], np.repeat(self.weights[rows] / COPIES, COPIES)]),
            np.concatenate([self.groups[~rows], np.repeat(self.groups[rows], COPIES)]),
        )


def threshold_for(promise: float, evidence: Evidence, *, confidence: float = CONFIDENCE) -> Threshold:
    """The lowest threshold whose answered part is right in at least `promise` of its traffic.

    Answers nothing (`kept` false) when the evidence cannot support the promise with this confidence. Raises ValueError
    for a promise outside 0.5..1.
    """
    if not 0.5 <= promise < 1:
        raise ValueError(f"A promise is a share from 0.5 to below 1, such as 0.98, and not {promise}.")
    order = np.argsort(-evidence.chances, kind="stable")
    chances = evidence.chances[order]
    share = evidence.weights[order] / evidence.weights.sum()
    wrong = np.where(evidence.right[order], 0.0, share)
    answered = np.cumsum(share)
    squares, largest = _groups(wrong, evidence.groups[order])
    total, largest = np.cumsum(wrong), np.maximum(largest, share.max())
    bound = _upper(total, squares, largest, confidence)
    last_of_ties = np.append(np.diff(chances) != 0, True)
    keeps = np.flatnonzero((bound <= (1 - promise) * answered) & last_of_ties)
    if not len(keeps):
        factors = [
            factor
            for factor in FACTORS
            if (_upper(total, squares / factor, largest / factor, confidence) <= (1 - promise) * answered).any()
        ]
        return Threshold(NEVER, promise, confidence, False, 0.0, 0.0, 0.0, factors[0] if factors else 0.0)
    place = int(keeps[-1])
    value = float(chances[place])
    covered, wrongly, at_most = (float(values[place]) for values in (answered, total, bound))
    return Threshold(value, promise, confidence, True, covered, wrongly, at_most, 1.0)


def _groups(wrong: Floats, groups: Integers) -> tuple[Floats, Floats]:
    """Wrong answers of a group taken as one: running sum of the squares of these weights, and running largest."""
    squares, largest = np.zeros(len(wrong)), np.zeros(len(wrong))
    at_fault = np.flatnonzero(wrong > 0)
    by_group = at_fault[np.argsort(groups[at_fault], kind="stable")]
    for rows in np.split(by_group, np.flatnonzero(np.diff(groups[by_group])) + 1):
        together = np.cumsum(wrong[rows])
        squares[rows] = np.diff(together**2, prepend=0.0)
        largest[rows] = together
    return np.cumsum(squares), np.maximum.accumulate(largest)


def _upper(wrong: Floats, squares: Floats, largest: Floats, confidence: float) -> Floats:
    """Upper confidence bound of a weighted Poisson sum (Fay and Feuer), elementwise."""
    total, spread = wrong + largest, squares + largest**2
    return spread / (2 * total) * _chi_square(2 * total**2 / spread, confidence)


def _chi_square(freedom: Floats, confidence: float) -> Floats:
    """Quantile of chi-square after Wilson and Hilferty (1931); within 1 % from 2 degrees of freedom on."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + NormalDist().inv_cdf(confidence) * np.sqrt(part)) ** 3
