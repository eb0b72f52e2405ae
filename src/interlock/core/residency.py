"""Where a call's data may go, as a value, and the refusal of a call that would leave. Above: config, gateway, governance, app. Below: errors.

Regions are plain names that the files give to providers and places; `Bounds` hold the ones that are allowed once groups are taken apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from msgspec import Struct

from .errors import NotPermitted
from .verdicts import ALLOW, Verdict


class OutsideBounds(NotPermitted):
    """Every deployment that could answer lies where the call's data may not go; nothing was sent."""

    code = "residency"


class Bounds(Struct, frozen=True, cache_hash=True):
    """What binds one caller's calls: the policy's decision about providers, compiled once for all calls that bear the same labels."""

    regions: frozenset[str] | None = None
    """`None`: any, one that is not said included."""
    providers: frozenset[str] | None = None
    """`None`: any."""
    never: frozenset[str] = frozenset()
    """Providers."""
    because: str = ""
    """Whose word it is: `tenant acme, label secret`."""

    version: str = ""
    """Of the rules that they were compiled from."""

    def judge(self, provider: str, region: str) -> Verdict:
        """Whether a call may go there. A region that nobody has named is none of those that are allowed."""
        if self.regions is not None and region not in self.regions:
            where = f"region {region!r}" if region else "a provider without a region"
            return self._deny("residency.region", provider, f"{where} is outside {listed(self.regions)}")
        if provider in self.never or (self.providers is not None and provider not in self.providers):
            return self._deny("residency.provider", provider, f"provider {provider!r} may not see it")
        return ALLOW

    def _deny(self, rule: str, provider: str, why: str) -> Verdict:
        reason = f"{why} ({self.because})"
        return Verdict("deny", rule, reason, provider, (reason,), self.version)


def common(sets: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """What all of the rules allow; `None` where none of them says anything."""
    said = [each for each in sets if each is not None]
    return reduce(frozenset[str].intersection, said) if said else None


def listed(names: frozenset[str]) -> str:
    """`eu-central, eu-west`; `nowhere` for none, which two rules that exclude each other leave."""
    return ", ".join(sorted(names)) or "nowhere"
