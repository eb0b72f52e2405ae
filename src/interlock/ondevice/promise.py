"""Keep a promise: the threshold above which answers are right at least as often as promised, with a confidence bound.

Below: numpy. Above: `understand`. Input is evidence on texts that the head had not seen; each text carries a weight, so
that out-of-scope texts count as often as they are assumed to come, however many of them were at hand.

The bound on the share of traffic answered wrongly is Fay and Feuer's (1997) for weighted Poisson counts: with plain
weights it is the exact (Garwood) bound, and it stays above zero where no error was seen. Errors that come in groups (the
texts of one removed intent are taken for the same neighbour) count as one error of their joint weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

NEVER = 2.0  # a threshold that no confidence reaches


@dataclass(frozen=True, slots=True)
class Threshold:
    """Answer where the confidence is at least `value`. `kept` says whether any threshold keeps the promise.

    Shares are of all traffic, estimated on unseen texts: `coverage` answered, `wrong_share` answered wrongly and
    `wrong_bound` its upper bound. `more_examples` is a rough count of further examples that would let the promise be
    kept, 0 when it is kept.
    """

    value: float
    promise: float
    confidence: float
    kept: bool
    coverage: float
    wrong_share: float
    wrong_bound: float
    more_examples: int


def threshold_for(
    promise: float, chances: Floats, right: Flags, weights: Floats, groups: Integers, *, confidence: float = 0.9
) -> Threshold:
    """The lowest threshold on `chances` whose answered part is right in at least `promise` of its traffic.

    The arrays are per unseen text: the head's confidence, whether its answer would be right (never so for a text out of
    scope), the text's share of the traffic (scaled to sum 1 here), and a number shared by texts that tend to be wrong
    together, such as those of one intent. Answers nothing (`kept` false) when the texts at hand cannot support the
    promise. Raises ValueError for a promise outside 0.5..1.
    """
    if not 0.5 <= promise < 1:
        raise ValueError(f"A promise is a share from 0.5 to below 1, such as 0.98, and not {promise}.")
    order = np.argsort(-chances, kind="stable")
    share = weights[order] / weights.sum()
    wrong = np.where(right[order], 0.0, share)
    answered = np.cumsum(share)
    bound = _upper(np.cumsum(wrong), _squares(wrong, groups[order]), float(share.max()), confidence)
    last_of_ties = np.append(np.diff(chances[order]) != 0, True)
    keeps = np.flatnonzero((bound <= (1 - promise) * answered) & last_of_ties)
    if not len(keeps):
        needed = _needed(1 - promise, float(answered[-1]), len(order), confidence)
        return Threshold(NEVER, promise, confidence, False, 0.0, 0.0, 0.0, needed)
    place = int(keeps[-1])
    value = float(chances[order][place])
    covered, wrongly, at_most = (float(values[place]) for values in (answered, np.cumsum(wrong), bound))
    return Threshold(value, promise, confidence, True, covered, wrongly, at_most, 0)


def _squares(wrong: Floats, groups: Integers) -> Floats:
    """Running sum of the squared weights of wrong answers, those of one group taken as one weight."""
    together = np.zeros(len(wrong))
    for group in np.unique(groups[wrong > 0]):
        rows = groups == group
        together[rows] = np.diff(np.cumsum(wrong[rows]) ** 2, prepend=0.0)
    return np.cumsum(together)


def _upper(wrong: Floats, squares: Floats, largest: float, confidence: float) -> Floats:
    """Upper confidence bound of a weighted Poisson sum (Fay and Feuer), elementwise."""
    total, spread = wrong + largest, squares + largest**2
    return spread / (2 * total) * _chi_square(2 * total**2 / spread, confidence)


def _chi_square(freedom: Floats, confidence: float) -> Floats:
    """Quantile of chi-square after Wilson and Hilferty (1931); within 1 % from 2 degrees of freedom on."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + NormalDist().inv_cdf(confidence) * np.sqrt(part)) ** 3


def _needed(allowed: float, answered: float, texts: int, confidence: float) -> int:
    """How many more texts until a bound without a single error fits, if half of the traffic gets answered."""
    flawless = -math.log(1 - confidence) / allowed
    return max(1, math.ceil(2 * flawless / answered) - texts)
