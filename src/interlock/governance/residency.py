"""Which deployments may see a caller's data: residency of tenants and workflows, and what their labels allow, decided at one place.

Above: app, which hands `Residency.bounds` to the gateway; every route, fallback, hedge, escalation, check and batch keeps to it. Below: `core.residency`.
Nothing is allowed by a label: each rule can only take away, so that a text which bears more labels goes to fewer places.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from msgspec import Struct

from interlock.core.caller import Caller
from interlock.core.residency import Bounds, common

KEPT = 10_000
"""Decisions that are kept; a caller's user and task do not matter to them."""
RegionsOf = Callable[[str], frozenset[str] | None]


class LabelTerms(Struct, frozen=True):
    """What one label allows."""

    regions: frozenset[str] | None = None
    providers: frozenset[str] | None = None
    never: frozenset[str] = frozenset()


class Residency:
    """The decision point; without any rule there is none of it."""

    def __init__(self, of_tenant: RegionsOf, of_workflow: RegionsOf, labels: Mapping[str, LabelTerms]) -> None:
        """`of_tenant`, `of_workflow`: the regions by name, groups taken apart; `None` for any."""
        self._of_tenant, self._of_workflow, self._labels = of_tenant, of_workflow, labels
        self._known: OrderedDict[tuple[str, str, tuple[str, ...]], Bounds | None] = OrderedDict()

    def bounds(self, caller: Caller) -> Bounds | None:
        """What binds the calls of this caller; `None`: nothing."""
        key = (caller.tenant, caller.workflow, caller.labels)
        if key in self._known:
            return self._known[key]
        found = self._known[key] = self._worked_out(caller)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return found

    def _worked_out(self, caller: Caller) -> Bounds | None:
        terms = [(f"label {name}", self._labels[name]) for name in caller.labels if name in self._labels]
        if (regions := self._of_workflow(caller.workflow)) is not None and caller.workflow:
            terms.insert(0, (f"workflow {caller.workflow}", LabelTerms(regions)))
        if (regions := self._of_tenant(caller.tenant)) is not None:
            terms.insert(0, (f"tenant {caller.tenant}", LabelTerms(regions)))
        if not terms:
            return None
        return Bounds(
            common(each.regions for _, each in terms),
            common(each.providers for _, each in terms),
            frozenset(name for _, each in terms for name in each.never),
            ", ".join(who for who, _ in terms),
        )
