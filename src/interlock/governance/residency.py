"""Where the data of tenants, workflows and labels may go, as the policy takes it: rules over deployments, worked out for one caller at a time.

Above: decisions, app. Below: config's `residency:`, `core.residency`. Nothing is allowed by a label: each rule can only take away, so that a text which bears more labels goes to fewer places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from interlock.core.residency import Bounds, common

if TYPE_CHECKING:
    from interlock.config.residency import ResidencySettings

EVERYBODY = "*"
"""In place of a name: every one that has no rule of its own."""


class LabelTerms(Struct, frozen=True):
    """What one label allows."""

    regions: frozenset[str] | None = None
    providers: frozenset[str] | None = None
    never: frozenset[str] = frozenset()


class Places(Struct, frozen=True):
    """The rules; groups of regions are taken apart."""

    tenants: Mapping[str, frozenset[str]] = {}
    workflows: Mapping[str, frozenset[str]] = {}
    labels: Mapping[str, LabelTerms] = {}

    @property
    def version(self) -> str:
        """A hash of all of them, to be kept with every decision; empty where there are none."""
        if not (self.tenants or self.workflows or self.labels):
            return ""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted", enc_hook=sorted)).hexdigest()[:12]

    def bounds(self, tenant: str, workflow: str, labels: tuple[str, ...], version: str) -> Bounds | None:
        """What binds calls of such a caller; `None`: nothing."""
        terms = list(self._binding(tenant, workflow, labels))
        if not terms:
            return None
        return Bounds(
            common(each.regions for _, each in terms),
            common(each.providers for _, each in terms),
            frozenset(name for _, each in terms for name in each.never),
            ", ".join(who for who, _ in terms),
            version,
        )

    def _binding(self, tenant: str, workflow: str, labels: tuple[str, ...]) -> Iterator[tuple[str, LabelTerms]]:
        """Whose word holds, with what it says."""
        if (regions := self.tenants.get(tenant, self.tenants.get(EVERYBODY))) is not None:
            yield f"tenant {tenant}", LabelTerms(regions)
        if workflow and (regions := self.workflows.get(workflow, self.workflows.get(EVERYBODY))) is not None:
            yield f"workflow {workflow}", LabelTerms(regions)
        for name in labels:
            if name in self.labels:
                yield f"label {name}", self.labels[name]


def places_of(said: ResidencySettings) -> Places:
    """The rules of `residency:`."""
    labels = {
        name: LabelTerms(
            said.apart(rule.regions) if rule.regions else None,
            frozenset(rule.providers) if rule.providers else None,
            frozenset(rule.never),
        )
        for name, rule in said.labels.items()
    }
    tenants = {name: said.apart(regions) for name, regions in said.tenants.items()}
    return Places(tenants, {name: said.apart(regions) for name, regions in said.workflows.items()}, labels)
