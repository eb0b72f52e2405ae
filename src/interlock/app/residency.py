"""The policy of a workspace as its files say it: residency, and what binds the gateway's calls. Above: compose, waiting. Below: config, governance."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from interlock.config.residency import ResidencySettings
from interlock.core.caller import Caller
from interlock.core.residency import Bounds
from interlock.governance.decisions import Policy
from interlock.governance.residency import places_of

KEPT = 10_000
"""Callers whose bounds are kept; a caller's user and task do not matter to them."""


def bounds_of(said: ResidencySettings) -> Callable[[Caller], Bounds | None] | None:
    """What binds a caller's calls, worked out once for all callers that bear the same; `None` where the files bind nobody's."""
    policy = Policy.of(places=places_of(said))
    if not policy.binds_providers:
        return None

    @lru_cache(maxsize=KEPT)
    def compiled(tenant: str, workflow: str, labels: tuple[str, ...]) -> Bounds | None:
        return policy.bounds(Caller(tenant, workflow=workflow, labels=labels))

    return lambda who: compiled(who.tenant, who.workflow, who.labels)
