"""A controller that holds the share of calls to premium models under a cap; its state is a frozen value.

Above: learned, climb. Below: the standard library. Two parts. *Credit* is the bound: each call earns the cap's share of a premium call, a
premium call costs one, and none is taken by choice without it; so among any n calls in a row at most `cap * n + burst` go to premium by choice.
The *price* is what makes them worth while: a shadow price per premium call that rises while credit is low and falls while it is plenty (dual
ascent), so that the credit goes to the calls that gain most from it instead of to those that come first.
"""

from __future__ import annotations

from msgspec import Struct, structs

BURST = 5.0
"""Premium calls in hand at most; also how far a surge may be ahead of the share."""
STEP = 0.02
"""How fast the price moves per call, as a share of the gap to the cap."""
RECENT = 100
"""Calls over which a rate is told."""


class Rate(Struct, frozen=True):
    """How often answers were not good enough lately."""

    share: float = 0.0
    calls: int = 0
    """Behind the share, at most `RECENT`: older ones fade out."""

    def after(self, *, escalated: bool) -> Rate:
        """With one more call."""
        calls = min(RECENT, self.calls + 1)
        return Rate(self.share + (escalated - self.share) / calls, calls)


class Cap(Struct, frozen=True):
    """The state after some calls. `price` is in units of the premium call's own cost: 1.0 makes it look twice as dear."""

    share: float
    """At most this share of calls, 0 to 1."""
    credit: float = 1.0
    price: float = 0.0
    calls: int = 0
    premium: int = 0
    """By choice or by necessity."""

    @property
    def open(self) -> bool:
        """Whether a premium call may be made by choice now."""
        return self.credit >= 1.0 or self.share >= 1.0

    def arrived(self) -> Cap:
        """One more call."""
        low = 1.0 - self.credit / BURST
        moved = self.price + STEP * (low if low > 0 else -self.share) - STEP * self.share * self.price
        return structs.replace(
            self, credit=min(BURST, self.credit + self.share), price=max(0.0, moved), calls=self.calls + 1
        )

    def given_back(self) -> Cap:
        """A premium call that had been counted was not made after all."""
        return structs.replace(self, credit=min(BURST, self.credit + 1.0), premium=self.premium - 1)

    def taken(self) -> Cap:
        """A premium call was made. One that had to be is paid back by later ones: the credit may fall below zero."""
        return structs.replace(self, credit=self.credit - 1.0, premium=self.premium + 1)
