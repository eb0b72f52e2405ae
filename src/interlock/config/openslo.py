"""Agreements in OpenSLO's words and back. Above: cli. Below: slo, PyYAML. Source: github.com/OpenSLO/OpenSLO, apiVersion openslo/v1 (read 2026-11).

What OpenSLO has no word for (money by success, citations, refused calls) goes out as a metric of type `interlock` with its own facts, and comes back
from there exactly. Of other people's files, shares of good events become `success` and times become percentiles; what cannot be carried is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import yaml
from msgspec import Struct, field

from interlock.core.errors import ConfigError, Fault
from interlock.core.money import NANO_PER_USD

from .shapes import is_list, is_section

if TYPE_CHECKING:
    from .slo import Slo

API = "openslo/v1"
METRIC = "interlock"
"""Type of the metric sources that are ours."""
MAX_CHARS = 2_000_000
LARGEST_TARGET = 0.99999
"""OpenSLO knows no target of 1."""
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 30 * 86_400, "Q": 91 * 86_400, "Y": 365 * 86_400}
_PERCENTILES = {0.5: "p50", 0.9: "p90", 0.95: "p95", 0.99: "p99"}


class Alert(Struct, frozen=True):
    """One burn-rate alarm, as a policy of OpenSLO has it."""

    severity: str
    long_s: float
    short_s: float
    factor: float


class Imported(Struct, frozen=True):
    """What came of a file."""

    slos: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The `slo` section by service."""
    left: tuple[str, ...] = ()
    """What was not carried over, and why."""

    def text(self) -> str:
        """The sections as they may stand in contracts."""
        return yaml.safe_dump({name: {"slo": slo} for name, slo in self.slos.items()}, sort_keys=False)


def exported(workflow: str, slo: Slo, alerts: Sequence[Alert]) -> str:
    """One contract's agreement as OpenSLO documents."""
    policies = [_policy(workflow, alert) for alert in alerts]
    refs = [{"alertPolicyRef": policy["metadata"]["name"]} for policy in policies]
    documents = [_document(workflow, slo, *each, refs) for each in _objectives(slo)]
    return yaml.safe_dump_all([*documents, *policies], sort_keys=False, allow_unicode=True, width=120)


def imported(text: str, name: str) -> Imported:
    """The agreements of an OpenSLO file. Raises ConfigError: it is none."""
    found: dict[str, dict[str, Any]] = {}
    left: list[str] = []
    for document in _documents(text, name):
        kind, meta = document.get("kind"), document.get("metadata")
        label = str(meta.get("name", "")) if is_section(meta) else ""
        spec = document.get("spec")
        if kind != "SLO" or not is_section(spec):
            left.append(f"{kind} {label}: burn rates are watched over spans of our own; the rest has no place here")
            continue
        section = found.setdefault(str(spec.get("service") or label), {})
        left += [f"SLO {label}: {why}" for why in _carry(spec, section)]
    return Imported({name: slo for name, slo in found.items() if slo}, tuple(left))


def _objectives(slo: Slo) -> Iterator[tuple[str, float, Mapping[str, Any]]]:
    """(name, target, our own facts)"""
    if slo.success is not None:
        yield "success", slo.success, {}
    for share, name in _PERCENTILES.items():
        bound_s = getattr(slo, name)
        if bound_s is not None:
            yield name, share, {"seconds": bound_s}
    if slo.cited is not None:
        yield "cited", slo.cited.share, {"at_least": slo.cited.at_least}
    if slo.policy_violations is not None:
        yield "policy_violations", LARGEST_TARGET, {"at_most": slo.policy_violations}
    if slo.cost_per_success is not None:
        yield "cost_per_success", LARGEST_TARGET, {"usd": str(Decimal(slo.cost_per_success) / NANO_PER_USD)}


def _document(
    workflow: str, slo: Slo, name: str, target: float, facts: Mapping[str, Any], alerts: list[dict[str, str]]
) -> dict[str, Any]:
    said = {"workflow": workflow, "promise": name, **facts}
    good = {"metricSource": {"type": METRIC, "spec": {**said, "count": "good"}}}
    total = {"metricSource": {"type": METRIC, "spec": {**said, "count": "total"}}}
    indicator = {
        "metadata": {"name": _dns(workflow, name, "sli")},
        "spec": {"ratioMetric": {"counter": True, "good": good, "total": total}},
    }
    return {
        "apiVersion": API,
        "kind": "SLO",
        "metadata": {"name": _dns(workflow, name), "displayName": f"{workflow}: {name.replace('_', ' ')}"},
        "spec": {
            "service": workflow,
            "indicator": indicator,
            "timeWindow": [{"duration": _shorthand(slo.window), "isRolling": True}],
            "budgetingMethod": "Occurrences",
            "objectives": [{"displayName": name.replace("_", " "), "target": target}],
            "alertPolicies": alerts if name not in ("policy_violations", "cost_per_success") else [],
        },
    }


def _policy(workflow: str, alert: Alert) -> dict[str, Any]:
    name = _dns(workflow, alert.severity, _shorthand(alert.long_s))
    condition = {
        "kind": "burnrate",
        "threshold": round(alert.factor, 3),
        "lookbackWindow": _shorthand(alert.long_s),
        "alertAfter": _shorthand(alert.short_s),
    }
    inline = {
        "kind": "AlertCondition",
        "metadata": {"name": f"{name}-burns"},
        "spec": {"severity": alert.severity, "condition": condition},
    }
    spec = {"alertWhenBreaching": True, "alertWhenResolved": True, "conditions": [inline], "notificationTargets": []}
    return {"apiVersion": API, "kind": "AlertPolicy", "metadata": {"name": name}, "spec": spec}


def _documents(text: str, name: str) -> list[Mapping[str, Any]]:
    def fault(what: str) -> ConfigError:
        return ConfigError([Fault(name, 1, 1, "", what, "Expected documents with `apiVersion: openslo/v1`.")])

    if len(text) > MAX_CHARS:
        raise fault(f"the file is longer than {MAX_CHARS:,} characters")
    try:
        found: list[Any] = [each for each in yaml.safe_load_all(text) if each is not None]
    except (yaml.YAMLError, RecursionError) as wrong:
        raise fault(f"it is not YAML: {wrong}") from wrong
    documents = [each for each in found if is_section(each) and str(each.get("apiVersion", "")).startswith("openslo")]
    if not documents or len(documents) != len(found):
        raise fault("it holds something that is no OpenSLO document")
    return documents


def _carry(spec: Mapping[str, Any], into: dict[str, Any]) -> Iterator[str]:
    """Puts one SLO into a section; yields what could not be carried."""
    if spec.get("budgetingMethod") not in (None, "Occurrences"):
        yield f"budgetingMethod {spec['budgetingMethod']}: events are counted here, not slices of time"
    yield from _window(spec.get("timeWindow"), into)
    indicator = spec.get("indicator")
    metric = indicator.get("spec") if is_section(indicator) else None
    objectives = spec.get("objectives")
    if not is_section(metric) or not is_list(objectives) or not objectives:
        yield "it has no indicator of its own and no objective that could be read"
        return
    own = _own(metric)
    for at, objective in enumerate(objectives):
        target = _target(objective) if is_section(objective) else None
        if target is None:
            yield f"objective {at + 1} has no target"
        elif own:
            into.update(own if own.keys() - {"success"} else {"success": target})
            if "cited" in own:
                into["cited"] = {**own["cited"], "share": target}
        elif "thresholdMetric" in metric:
            yield from _percentile(objective, target, into)
        elif "success" in into:
            yield f"objective {at + 1}: there is one share of successes here, and it is taken already"
        else:
            into["success"] = target


def _own(metric: Mapping[str, Any]) -> dict[str, Any]:
    """The promise behind a metric of ours; empty for somebody else's."""
    ratio = metric.get("ratioMetric")
    total = ratio.get("total") if is_section(ratio) else None
    source = total.get("metricSource") if is_section(total) else None
    if not is_section(source) or source.get("type") != METRIC or not is_section(source.get("spec")):
        return {}
    facts: Mapping[str, Any] = source["spec"]
    match facts.get("promise"):
        case "success":
            return {"success": 0.0}
        case "cited":
            return {"cited": {"at_least": facts.get("at_least", 1)}}
        case "policy_violations":
            return {"policy_violations": facts.get("at_most", 0)}
        case "cost_per_success":
            return {"cost_per_success": f"${facts.get('usd')}"}
        case str() as name:
            return {name: f"{facts.get('seconds')}s"}
        case _:
            return {}


def _percentile(objective: Mapping[str, Any], target: float, into: dict[str, Any]) -> Iterator[str]:
    name = _PERCENTILES.get(round(target, 4))
    if name is None or objective.get("op") not in ("lte", "lt"):
        yield f"a threshold {objective.get('op')} with target {target:g}: times are agreed for 50, 90, 95 and 99 % here"
        return
    into[name] = f"{objective.get('value')}s"
    yield f"the threshold {objective.get('value')} was read as seconds of a task"


def _window(given: Any, into: dict[str, Any]) -> Iterator[str]:
    first = given[0] if is_list(given) and given else None
    found = re.fullmatch(r"(\d+)([mhdwMQY])", str(first.get("duration", ""))) if is_section(first) else None
    if found is None:
        return
    if is_section(first) and not first.get("isRolling"):
        yield "its window follows the calendar; windows roll here"
    into["window"] = f"{max(1, round(int(found[1]) * _SECONDS[found[2]] / 86_400))}d"


def _target(objective: Mapping[str, Any]) -> float | None:
    for name, of in (("target", 1), ("targetPercent", 100)):
        value = objective.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return round(value / of, 6)
    return None


def _shorthand(seconds: float) -> str:
    for unit in ("w", "d", "h"):
        if seconds % _SECONDS[unit] == 0:
            return f"{round(seconds / _SECONDS[unit])}{unit}"
    return f"{max(1, round(seconds / 60))}m"


def _dns(*parts: str) -> str:
    """A name by RFC 1123."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:63].strip("-")
