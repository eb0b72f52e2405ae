"""What `residency:` may say: where the data of tenants, workflows and labels may go, and where everything stands. Above: schema, homes. Below: blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field

from .blocks import Block, Text, Texts

EVERYBODY = "*"
Regions = Annotated[Texts, Field(min_length=1)]


class LabelRule(Block):
    """Which deployments may see what bears a label."""

    regions: Texts = ()
    """Empty: wherever tenant and workflow allow."""
    providers: Texts = ()
    """Empty: every one that is not under `never`."""
    never: Texts = ()
    """Providers."""


class Places(Block):
    """Regions of what keeps or hears data beside providers; what stands on this machine is in `here`."""

    store: Text = ""
    """The PostgreSQL; a file is where the server is."""
    redis: Text = ""
    otlp: Text = ""
    mail: Text = ""
    sandbox: Text = ""
    """The worker of level `vm`."""
    webhooks: dict[str, Text] = Field(default_factory=dict[str, str])
    """By host of the receiver."""
    moderators: dict[str, Text] = Field(default_factory=dict[str, str])
    """By name of the plug-in."""
    mcp: dict[str, Text] = Field(default_factory=dict[str, str])
    """By name of the server, for those at an address."""
    databases: dict[str, Text] = Field(default_factory=dict[str, str])
    """By name of the database."""


class ResidencySettings(Block):
    """Where data may go; empty: anywhere."""

    here: Text = ""
    """Region of the server: its store file, journal, logs, files of batches, and models that run inside of it."""
    regions: dict[str, Regions] = Field(default_factory=dict[str, tuple[str, ...]])
    """Groups: `eu: [eu-west, eu-central]`."""
    tenants: dict[str, Regions] = Field(default_factory=dict[str, tuple[str, ...]])
    """Regions or groups by tenant; `*` for every other one."""
    workflows: dict[str, Regions] = Field(default_factory=dict[str, tuple[str, ...]])
    """The same by workflow; both hold."""
    labels: dict[str, LabelRule] = Field(default_factory=dict[str, LabelRule])
    places: Places = Field(default_factory=Places.model_construct)

    @property
    def bounds_anything(self) -> bool:
        return bool(self.tenants or self.workflows or self.labels)

    def apart(self, names: Iterable[str]) -> frozenset[str]:
        """Regions and groups as regions alone."""
        return frozenset(each for name in names for each in self.regions.get(name, (name,)))

    def of_tenant(self, tenant: str) -> frozenset[str] | None:
        return self._of(self.tenants, tenant)

    def of_workflow(self, workflow: str) -> frozenset[str] | None:
        return self._of(self.workflows, workflow)

    def _of(self, rules: Mapping[str, tuple[str, ...]], name: str) -> frozenset[str] | None:
        said = rules.get(name, rules.get(EVERYBODY))
        return None if said is None else self.apart(said)
