"""What can be said of a workspace before anything is opened: its tools, its models and what they cost, what keeps a workflow from running.

Above: compose, which opens the rest. Below: config, prices, tools.
"""

from __future__ import annotations

from collections.abc import Mapping

from interlock.config.workspace import Workspace
from interlock.core.cards import ModelCard
from interlock.core.errors import ConfigError
from interlock.core.ids import SystemIds
from interlock.core.time import Clock, SystemClock
from interlock.economics.prices import PriceBook
from interlock.plugins.profiles import profile_of
from interlock.tools.define import Tool
from interlock.tools.threads import Threads

from . import policy, tier0
from .toolbox import Toolbox


class Known:
    """The part of an `Interlock` that its files tell."""

    def __init__(
        self, workspace: Workspace, *, model: str = "", clock: Clock | None = None, embedder: tier0.Model | None = None
    ) -> None:
        """`model` (alias, model or provider/model) stands in for every model that the files name. `embedder`: one that is loaded already.

        Raises:
            ConfigError: tools.py does not load. UnknownModel: `model` is none.
        """
        self.workspace = workspace
        self._model = model
        self._clock = clock or SystemClock()
        self._ids = self.ids = SystemIds(self._clock)
        self._toolbox = Toolbox(workspace, self._clock, self._ids)
        self._tools: Mapping[str, Tool] = self._toolbox.tools
        self._embedder = self.embedder = embedder or tier0.Model()
        self._engines = tier0.engines(workspace, self._embedder)
        self._prices = PriceBook(workspace.settings.prices, self._clock)
        self._tiers_of = policy.tiers_of(workspace.settings, model=model)
        if model:
            self._tiers_of(model)

    def require(self, workflow: str) -> None:
        """Raises ConfigError, with all of them at once, where the workflow cannot be run as its contract says."""
        blockers = self.workspace.blockers(workflow, self._tools, self._model)
        if blockers:
            raise ConfigError(blockers)

    def simulated(self, workflow: str) -> bool:
        """Whether any model that the workflow may ask is a simulated one."""
        name = self._model or self.workspace.agent(workflow).model
        return bool(name) and any(each.simulated for tier in self._tiers_of(name) for each in tier.deployments)

    async def know_prices(self) -> list[str]:
        """Looks up what the aliases' models cost, off the event loop, so that no first call has to; returns what a person should know of it."""
        named = [
            each
            for name in self.workspace.settings.models
            for tier in self._tiers_of(name)
            for each in tier.deployments
        ]
        await Threads(limit=1).run(lambda: (self._prices.load(), self._prices.warm(named)))
        return self._prices.warnings

    def served_names(self) -> list[str]:
        """Every name that may stand in `model` of a request."""
        return policy.served_names(self.workspace)

    def served_models(self) -> list[ModelCard]:
        """The same with what each is able to do."""
        return policy.served_models(self.workspace, profile_of)

    async def warm(self, workflow: str) -> str:
        """Makes the workflow's on-device engine ready, off the event loop; returns what it promises, empty without one.

        Cancelled, it lets go at once: a thread that learns does not keep the process from ending.
        """
        engine = self._engines.get(workflow)
        if engine is None:
            return ""

        def ready() -> str:
            engine.find("")
            return engine.report.summary()

        return await Threads(limit=1).run(ready)

    @property
    def warnings(self) -> list[str]:
        """What a person should know before trusting the figures."""
        return [*(str(fault) for fault in self.workspace.warnings), *self._prices.warnings]
