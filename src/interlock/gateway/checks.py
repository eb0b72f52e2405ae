"""Checks of answers as values: which verifiers a workflow has, and what they said.

Above: settings, verify, learned, `app`, which builds the checks. Below: `core.verify`, `core.routes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from interlock.core.chat import Fact
from interlock.core.routes import LearnedRoute
from interlock.core.verify import AnyVerifier, Finding, Needs, signals_of

ORDER: tuple[Needs, ...] = ("answer", "sandbox", "calls")
"""Cheap checks first; what they find wrong saves the dear ones."""


class Check(Struct, frozen=True):
    """One configured verifier."""

    name: str
    verifier: AnyVerifier
    needs: Needs
    at_least: float | None = None
    """Below this score the answer is not good enough by this check alone; `None` leaves that to the fitted combination."""


class Seen(Struct, frozen=True):
    """What the checks said of one answer."""

    findings: Mapping[str, Finding] = {}
    failed: str = ""
    """The first check that finds the answer not good enough, with its reason; empty when none does."""

    @property
    def signals(self) -> dict[str, float]:
        """For the fitted combination."""
        return signals_of(self.findings)

    @property
    def facts(self) -> dict[str, Fact]:
        """For conditions: `check_arithmetic < 0.5`."""
        return {f"check_{name}": each.score for name, each in self.findings.items() if each.score is not None}


NOT_LOOKED = Seen()


class Learned(Struct, frozen=True):
    """A learned route in use."""

    route: LearnedRoute
    version: str
    """Hash of its content; it stands in the reasons of every call that it decided."""


class Steered(Struct, frozen=True):
    """What was worked out about a prompt at the start of its call, for the checks of its answers."""

    learned: Learned
    task: str
    measured: tuple[float, ...]
    vector: Sequence[float] | None


class PremiumCap(Struct, frozen=True):
    """The most of a tenant's calls that may reach a premium tier."""

    share: float
    tiers: frozenset[str] = frozenset(("premium",))


def ordered(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Cheap ones first, else as they stand in the file."""
    return tuple(sorted(checks, key=lambda check: ORDER.index(check.needs)))
