"""Files and batches of a workspace: where they are kept, and the worker that has them answered.

Above: compose; the server starts the worker. Below: gateway, ledger, storage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from interlock.config.resilience import ShapeSettings
from interlock.config.workspace import Workspace
from interlock.core.caller import Caller
from interlock.core.money import Price
from interlock.core.ports import Deployment, Provider
from interlock.core.store import Store, as_stored
from interlock.core.time import Clock
from interlock.economics.prices import PriceBook
from interlock.gateway.batch import BatchParts, BatchSettings, BatchWorker
from interlock.gateway.batch_queue import Perform
from interlock.gateway.batch_vendor import Speaks, VendorBatches, VendorParts
from interlock.gateway.quota import Quotas
from interlock.gateway.route import Router
from interlock.ledger import BatchLog, Recorder
from interlock.plugins.profiles import profile_of
from interlock.storage import Folder

from .residency import bounds_of
from .sealing import sealed_files
from .stores import leases_of

FOLDER = "files"
"""Beside the store."""


class Dialect(Perform, Speaks, Protocol):
    """Whoever answers lines one by one also knows what they say."""


class Waiting:
    """What waits for an answer."""

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        recorder: Recorder,
        clock: Clock,
        providers: Mapping[str, Provider],
        router: Router,
        prices: PriceBook,
        redact: Callable[[str], str],
        quotas: Quotas | None = None,
    ) -> None:
        self._settings = workspace.settings
        self._clock = clock
        self._bounds_of = bounds_of(workspace.settings.residency)
        self._providers: Mapping[str, Provider] = {} if _shaped(workspace.settings.shaping) else providers
        self._router = router
        self._prices = prices
        self._redact = redact
        self._quotas = quotas
        files = sealed_files(workspace, Folder(workspace.store.parent / FOLDER))
        self.log = BatchLog(recorder, store, files, clock, lease_now=leases_of(store, clock))

    @property
    def max_file_bytes(self) -> int:
        return self._settings.batches.max_file_mb * 1_000_000

    def worker(self, dialect: Dialect) -> BatchWorker:
        """A worker; every serving process may have one."""
        files = self._settings.batches
        settings = BatchSettings(
            concurrency=files.concurrency,
            output_days=files.output_days,
            store_prompts=as_stored(self._settings.logging.store_prompts),
        )
        vendors = VendorBatches(
            VendorParts(
                self.log,
                self._clock,
                self._providers,
                self._first_of,
                self._batch_price,
                dialect,
                profile_of,
                self._quotas,
            )
        )
        return BatchWorker(settings, BatchParts(self.log, self._clock, dialect, vendors, self._redact))

    def _first_of(self, caller: Caller, model: str) -> Deployment:
        bounds = None if self._bounds_of is None else self._bounds_of(caller)
        return self._router.plan(model or self._settings.routing.default_model, "", bounds).candidates[0].deployment

    def _batch_price(self, deployment: Deployment, input_tokens: int) -> Price:
        return self._prices.price(deployment, input_tokens, "batch")


def _shaped(shaping: Mapping[str, ShapeSettings]) -> bool:
    """Something holds for requests whatever their callers send; a vendor's own batch API would be handed them as they stand."""
    return any(each.model_copy(update={"priority": "normal"}) != ShapeSettings() for each in shaping.values())
