"""From the contracts' `slo` sections to the promises that are watched. Above: compose, reading, watching. Below: config, observe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from interlock.config.openslo import Alert
from interlock.config.workspace import Workspace
from interlock.core.text import money
from interlock.observe.slo import ALARMS, Objective, Terms

if TYPE_CHECKING:
    from interlock.config.slo import Slo

_PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))


def terms_of(workspace: Workspace) -> Mapping[str, Terms]:
    """What was promised, by workflow; workflows of which nothing was promised are left out."""
    return {
        name: Terms(tuple(_objectives(slo)), slo.window, slo.when_spent, slo.runbook)
        for name, agent in workspace.agents.items()
        if (slo := agent.contract.slo) is not None
    }


def alerts_of(slo: Slo) -> list[Alert]:
    """The alarms of an agreement, for other programs."""
    return [Alert(each.severity, each.long_s, each.short_s, each.factor(slo.window)) for each in ALARMS]


def _objectives(slo: Slo) -> Iterator[Objective]:
    if slo.success is not None:
        yield Objective("success", slo.success, label=f"success {_share(slo.success)}")
    for name, share in _PERCENTILES:
        bound_s: float | None = getattr(slo, name)
        if bound_s is not None:
            yield Objective("latency", share, bound_s, f"{name} {_time(bound_s)}")
    if slo.cited is not None:
        many = "source" if slo.cited.at_least == 1 else "sources"
        label = f"≥ {slo.cited.at_least} {many} in {_share(slo.cited.share)}"
        yield Objective("cited", slo.cited.share, slo.cited.at_least, label)
    if slo.policy_violations is not None:
        yield Objective("policy", 1.0, slo.policy_violations, f"policy violations ≤ {slo.policy_violations}")
    if slo.cost_per_success is not None:
        yield Objective("cost", 1.0, slo.cost_per_success, f"cost per success {money(slo.cost_per_success)}")


def _share(share: float) -> str:
    return f"{100 * share:g} %"


def _time(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"
