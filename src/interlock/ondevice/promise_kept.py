"""When one kind of question may be answered from the cache: learned from compared answers, and kept to an error budget.

Above: semantic. Below: bound, numpy. One `Record` per scope (tenant, workflow, versions, model). It begins in the shadow: hits are worked out, the model
is called all the same, and the answers are compared. It goes live when the evidence says that its hits are wrong less often than the
budget; a share of hits is then still compared. Evidence of strain raises the bar; evidence that the budget is broken switches it off.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from .bound import Above, Restarted

Floats = npt.NDArray[np.float64]
Mode = Literal["shadow", "live", "off"]

PRIOR = (6.0, 6.0, 5.0, 1.0, -7.5)
"""Weights before anything is known: nearness, lead over other answers, agreement of the neighbours, same wording, constant.
Fitted on the train part of BANKING77 and rounded; a scope's own comparisons soon outweigh it."""
BARS = (0.998, 0.995, 0.99, 0.985, 0.98, 0.97, 0.96, 0.95, 0.93, 0.9, 0.87, 0.84, 0.8)
"""Chances of being right that an answer may have to reach, the strictest first."""
NEVER = 2.0
MOST_KEPT = 2_000
"""Comparisons that are learned from; older ones are forgotten."""
REFIT_EVERY = 25
FIRST_FIT = 100
EVIDENCE_TO_SERVE = 10.0
"""E-value: one scope in ten that would break its budget may be let through, and the audit meets it."""
EVIDENCE_OF_STRAIN = 5.0
EVIDENCE_TO_STOP = 20.0
SHADOW_SHARE = 0.5
"""Of the budget, aimed at before the scope is live."""


class Terms(Struct, frozen=True):
    """What was promised."""

    error_budget: float = 0.02
    """Share of served answers that may be wrong."""
    audit: float = 0.05
    """Share of hits that are compared although they could be served."""
    similarity_threshold: float = 0.92
    """Cosine that a pair of the same wording needs before a scope has comparisons of its own."""
    trusted: bool = False
    """Somebody has set the similarity and answers for it: scopes serve from the start, and audits still raise the bar or switch them off."""


class Features(Struct, frozen=True, array_like=True):
    """What a decision looks at."""

    cosine: float
    """To the nearest question with the answer in question."""
    lead: float
    """Of that cosine over the nearest question with another answer, -0.2 to 0.4."""
    agreement: float
    """Share of the nearest questions, by closeness, that have the same answer."""
    same_words: float
    """1 where the wording alone can be trusted to mean the same, else 0."""

    @property
    def row(self) -> tuple[float, float, float, float, float]:
        return (self.cosine, self.lead, self.agreement, self.same_words, 1.0)


class Compared(Struct, frozen=True, array_like=True):
    """One comparison: what was seen before, and whether the two answers were the same."""

    features: Features
    same: bool
    weight: float = 1.0
    """How many hits it stands for: an audited one stands for those that were not."""


class Record(Struct):
    """What one scope has learned; everything here survives a restart."""

    terms: Terms
    mode: Mode = "shadow"
    why: str = "no answers compared yet"
    weights: tuple[float, ...] = PRIOR
    bar: float = 0.0
    """Chance of being right that an answer needs; 0: not set yet, so that the prior's applies."""
    caution: float = 1.0
    """Share of the budget aimed at; halved by each sign of strain."""
    compared: list[Compared] = []
    comparisons: int = 0
    served: int = 0
    shadow: Restarted | None = None
    strain: Above | None = None
    broken: Above | None = None

    @classmethod
    def begun(cls, terms: Terms) -> Record:
        """A scope that has compared nothing yet."""
        return cls(terms, mode="live", why="the similarity was set in the files") if terms.trusted else cls(terms)

    def chance(self, features: Features) -> float:
        """Estimated chance that the neighbour's answer is the right one."""
        z = sum(weight * value for weight, value in zip(self.weights, features.row, strict=True))
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, z))))

    def passes(self, features: Features) -> bool:
        """Whether the answer would be served if the scope is live."""
        return self.chance(features) >= (self.bar or first_bar(self.terms))

    def learn(self, features: Features, *, same: bool, counted: bool, weight: float = 1.0) -> None:
        """One comparison. `counted`: the answer would have been served, so that it is evidence about the promise."""
        if counted and (self.bar or self.terms.trusted):
            self._count(wrong=not same)
        self.compared.append(Compared(features, same, weight))
        del self.compared[:-MOST_KEPT]
        self.comparisons += 1
        if self.comparisons >= FIRST_FIT and self.comparisons % REFIT_EVERY == 0:
            self._fit()

    def _count(self, *, wrong: bool) -> None:
        budget = self.terms.error_budget
        if self.mode == "shadow":
            self.shadow = self.shadow or Restarted(budget, [])
            self.shadow.add(wrong=wrong)
            self.why = f"{self.shadow.bets[0].seen} hits compared, {self.shadow.bets[0].wrong} wrong; evidence {self.shadow.e_value:.1f} of {EVIDENCE_TO_SERVE:g}"
            if self.shadow.e_value >= EVIDENCE_TO_SERVE:
                self.mode, self.why = "live", f"wrong in less than {budget:.1%} of hits: {self.why}"
        elif self.mode == "live":
            self.strain = self.strain or Above(budget)
            self.broken = self.broken or Above(budget)
            self.strain.add(wrong=wrong)
            self.broken.add(wrong=wrong)
            if self.broken.e_value >= EVIDENCE_TO_STOP:
                self.mode = "off"
                self.why = f"{self.broken.wrong} of {self.broken.seen} audited hits were wrong: more than the budget of {budget:.1%}"
            elif self.strain.e_value >= EVIDENCE_OF_STRAIN:
                self.why = f"bar raised: {self.strain.wrong} of {self.strain.seen} audited hits were wrong"
                self.strain, self.caution = None, self.caution / 2
                self._fit()

    def _fit(self) -> None:
        rows = np.array([each.features.row for each in self.compared])
        same = np.array([float(each.same) for each in self.compared])
        weight = np.array([each.weight for each in self.compared])
        self.weights = tuple(fitted(rows, same, np.minimum(weight, 5.0), np.array(self.weights)).tolist())
        chances = 1.0 / (1.0 + np.exp(-np.clip(rows @ np.array(self.weights), -60, 60)))
        aim = self.terms.error_budget * self.caution * (SHADOW_SHARE if self.mode == "shadow" else 1.0)
        self.bar = loosest_bar(chances, 1.0 - same, weight, aim)


def first_bar(terms: Terms) -> float:
    """The chance that the prior gives a pair of the same wording at the configured similarity, with no other answer around."""
    lone = Features(terms.similarity_threshold, 0.4, 1.0, 1.0)
    return 1.0 / (1.0 + math.exp(-sum(weight * value for weight, value in zip(PRIOR, lone.row, strict=True))))


def fitted(rows: Floats, same: Floats, weight: Floats, start: Floats) -> Floats:
    """Weights of a logistic regression held near `PRIOR` (penalised Newton steps)."""
    prior = np.array(PRIOR)
    weights = start
    for _ in range(8):
        chance = 1.0 / (1.0 + np.exp(-np.clip(rows @ weights, -60, 60)))
        slope = rows.T @ (weight * (chance - same)) + (weights - prior)
        curve = (rows * (weight * chance * (1 - chance))[:, None]).T @ rows + np.eye(len(prior))
        weights = weights - np.linalg.solve(curve, slope)
    return weights


def loosest_bar(chances: Floats, wrong: Floats, weight: Floats, aim: float) -> float:
    """The lowest bar over which the weighted share of wrong answers, with half a standard error, is at most `aim`.

    The observed share is drawn towards what the model itself expects, as if that were 100 comparisons more. `NEVER` where there is none.
    """
    best = NEVER
    for bar in BARS:
        over = chances >= bar
        total = weight[over].sum()
        if over.sum() < 10:
            continue
        count = total**2 / (weight[over] ** 2).sum()
        seen = (weight[over] * wrong[over]).sum() / total
        expected = (weight[over] * (1 - chances[over])).sum() / total
        share = (count * seen + 100 * expected) / (count + 100)
        if share + 0.5 * math.sqrt(max(share, 0.002) * (1 - share) / (count + 100)) <= aim:
            best = bar
    return best
