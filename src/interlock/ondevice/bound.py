"""Evidence about an error rate that may be looked at after every single observation.

Above: promise_kept. Below: the standard library. Both are betting martingales: a gambler bets against a statement about the error rate; the
capital is an e-value, and if the statement is true the chance that it ever reaches 1/alpha is at most alpha, however often one
looks and whenever one stops (Ville 1939; I. Waudby-Smith, A. Ramdas: Estimating means of bounded random variables by betting, JRSS-B 86,
2024, arXiv:2010.09686; G. Shafer: Testing by betting, JRSS-A 184, 2021). The bet of each round is fixed before its outcome is seen.
"""

from __future__ import annotations

import math

from msgspec import Struct

_CAREFUL = 0.9
"""Share of the capital at stake at most."""


class Below(Struct):
    """Evidence that answers are wrong less often than `rate`. Against: each one is wrong with a chance of at least `rate`."""

    rate: float
    log_capital: float = 0.0
    seen: int = 0
    wrong: int = 0

    def add(self, *, wrong: bool) -> None:
        """One more compared answer."""
        rate = self.rate
        likely = (self.wrong + 0.25 * rate) / (self.seen + 1)
        stake = min(max((rate - likely) / (rate * (1 - rate)), 0.0), _CAREFUL / (1 - rate))
        self.log_capital += math.log1p(-stake * (wrong - rate))
        self.seen += 1
        self.wrong += wrong

    @property
    def e_value(self) -> float:
        return math.exp(min(self.log_capital, 700.0))


class Above(Struct):
    """Evidence that answers are wrong more often than `rate`. Against: each one is wrong with a chance of at most `rate`."""

    rate: float
    log_capital: float = 0.0
    seen: int = 0
    wrong: int = 0

    def add(self, *, wrong: bool) -> None:
        """One more compared answer."""
        rate = self.rate
        likely = (self.wrong + 2 * rate) / (self.seen + 1)
        stake = min(max((likely - rate) / (rate * (1 - rate)), 0.0), 0.5 / rate)
        self.log_capital += math.log1p(stake * (wrong - rate))
        self.seen += 1
        self.wrong += wrong

    @property
    def e_value(self) -> float:
        return math.exp(min(self.log_capital, 700.0))


class Restarted(Struct):
    """`Below`, begun anew at times, so that early mistakes do not weigh for ever: a mixture of e-values is one.

    The first gambler holds four fifths of the capital, the k-th after it 1 / 5k(k+1): together at most all of it.
    """

    rate: float
    bets: list[Below] = []
    every: int = 100
    most: int = 64

    def add(self, *, wrong: bool) -> None:
        if not self.bets or (self.bets[0].seen % self.every == 0 and len(self.bets) < self.most):
            self.bets.append(Below(self.rate))
        for bet in self.bets:
            bet.add(wrong=wrong)

    @property
    def e_value(self) -> float:
        shares = (0.8, *(0.2 / (k * (k + 1)) for k in range(1, len(self.bets))))
        return sum(share * bet.e_value for share, bet in zip(shares, self.bets, strict=False))
