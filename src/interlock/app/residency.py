"""The residency of a workspace, put together from its files. Above: compose. Below: config, governance."""

from __future__ import annotations

from collections.abc import Callable

from interlock.config.residency import ResidencySettings
from interlock.core.caller import Caller
from interlock.core.residency import Bounds
from interlock.governance.residency import LabelTerms, Residency


def bounds_of(said: ResidencySettings) -> Callable[[Caller], Bounds | None] | None:
    """What binds a caller's calls; `None` where the files bind nobody's."""
    if not said.bounds_anything:
        return None
    labels = {
        name: LabelTerms(
            said.apart(rule.regions) if rule.regions else None,
            frozenset(rule.providers) if rule.providers else None,
            frozenset(rule.never),
        )
        for name, rule in said.labels.items()
    }
    return Residency(said.of_tenant, said.of_workflow, labels).bounds
