"""Looking without touching: a workspace's tasks, traces and P&L, with no model loaded and no gateway built.

Above: cli. Below: config, ledger, economics, storage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from interlock.config.load import load
from interlock.config.workspace import Workspace
from interlock.core.caller import Caller
from interlock.core.errors import InvalidRequest, UnknownModel
from interlock.core.money import Price
from interlock.core.ports import PriceOf
from interlock.core.store import RollFilter, TaskFilter
from interlock.core.time import Clock, SystemClock
from interlock.economics import Statement, Worth, exports, statements
from interlock.economics.prices import PriceBook
from interlock.economics.verify import Verdict, verified
from interlock.gateway.settings import Tier
from interlock.ledger.read import Reader, TaskSummary, Trace
from interlock.observe.incidents import Book
from interlock.observe.slo import Standing

from .auditing import Auditing, login
from .looking import Look, book_of, held_back
from .policy import tiers_of
from .stores import open_store


class Reading:
    """What a workspace's store says. A context manager: it holds the store open."""

    def __init__(self, workspace: Workspace, clock: Clock | None = None) -> None:
        """Raises StoreUnavailable when there is a store and it cannot be read."""
        self.workspace = workspace
        self._clock = clock or SystemClock()
        self._store = open_store(workspace)
        self._reader = Reader(self._store)
        self._look = Look(workspace, self._store)
        self._prices = PriceBook(workspace.settings.prices, self._clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._store.close()

    def tasks(self, which: TaskFilter) -> list[TaskSummary]:
        """Tasks, newest first."""
        return self._reader.tasks(which)

    def trace(self, task: str) -> Trace | None:
        """One task or lone call, step by step."""
        return self._reader.trace(task)

    def note_read(self, trace: Trace, how: str = "trace") -> None:
        """Writes into the audit that whoever sits here is about to read what was said in a task, where anything is kept of it. `how`: by which command."""
        if any(step.content for step in trace.steps):
            at_hand = Caller(trace.task.tenant, key_id=f"os:{login()}")
            Auditing(self._store.audit, self._clock).noted(at_hand, "admin", "content.read", trace.task.task, how)

    def pnl(self, *, workflow: str = "", tenant: str = "", since_ns: int = 0, until_ns: int = 0) -> list[Statement]:
        """One statement per workflow, valued as the contracts say."""
        return statements(
            self._store,
            worth=worth_of(self.workspace),
            premium=premium_of(self.workspace, tiers_of(self.workspace.settings), self._prices),
            workflow=workflow or None,
            tenant=tenant,
            since_ns=since_ns,
            until_ns=until_ns,
        )

    def standings(self, workflow: str = "") -> dict[str, list[Standing]]:
        """How each promise is kept, by workflow. Raises ConfigError: there is no such workflow."""
        if workflow:
            self.workspace.agent(workflow)
        found = self._look.standings(self._clock.wall_ns())
        return {name: held for name, held in found.items() if workflow in ("", name)}

    def held_back(self, standings: Mapping[str, Sequence[Standing]]) -> list[tuple[str, Standing]]:
        """Workflows whose spent budget stops rollouts, with the promise that did it."""
        return held_back(self._look.terms, standings)

    def incidents(self) -> Book:
        """What has gone wrong, as the server keeps it."""
        return book_of(self._store, self.workspace.settings.tenant)

    def verify(
        self, data: bytes, name: str, *, providers: Sequence[str], keys: Sequence[str], tolerance: float
    ) -> Verdict:
        """A vendor's export against the ledger. Raises InvalidRequest for a file or a provider that is not known."""
        export = exports.read(data, name)
        own = providers or [export.vendor]
        known = self.workspace.settings.providers
        for provider in own:
            if provider not in known:
                raise InvalidRequest(
                    f"no provider {provider!r}", param="provider", hint=f"There are {', '.join(known)}."
                )
        return verified(export.of_keys(keys), self._store.rolls(RollFilter()), own, tolerance=tolerance)

    def waiting(self, *, limit: int = 1000) -> Sequence[TaskSummary]:
        """Tasks that wait for a person: approvals, and effects in doubt."""
        found = self._reader.tasks(TaskFilter(status="waiting", outcome="waiting_approval", limit=limit))
        return [*found, *self._reader.tasks(TaskFilter(status="in_doubt", limit=limit))]


def open_reading(path: str | Path) -> Reading:
    """The workspace at `path`, for looking.

    Raises:
        ConfigError: its files are wrong. StoreUnavailable: its store cannot be read.
    """
    return Reading(load(path))


def worth_of(workspace: Workspace) -> Mapping[str, Worth]:
    """What a success brings and a person costs, by workflow."""
    return {
        name: Worth(
            revenue_nano_usd=agent.contract.value.revenue_nano_usd,
            human_minute_nano_usd=agent.contract.value.human_minute_nano_usd,
            human_minutes=agent.contract.value.human_minutes,
            slo_ms=agent.p95_latency_slo_ms,
        )
        for name, agent in workspace.agents.items()
    }


def premium_of(workspace: Workspace, tiers: Callable[[str], Sequence[Tier]], prices: PriceOf) -> Mapping[str, Price]:
    """What the best model that a workflow may ask costs: the first of the last tier of its alias, or the one model that it names."""
    found: dict[str, Price] = {}
    for name, agent in workspace.agents.items():
        with suppress(UnknownModel):
            asked = tiers(agent.model) if agent.model else ()
            if asked and asked[-1].deployments:
                found[name] = prices(asked[-1].deployments[0], 0)
    return found
