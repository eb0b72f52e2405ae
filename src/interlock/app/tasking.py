"""A workspace's agents, with everything that works on tasks and tells of them.

Above: compose. Below: agents, tools, ledger. One per open workspace.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from interlock.agents.compile import compile_contract
from interlock.agents.contract import Contract
from interlock.agents.live import Aloud, Followers
from interlock.agents.service import Agents
from interlock.agents.shift import Listening
from interlock.agents.steps import logged_steps
from interlock.config.load import load
from interlock.config.workspace import Workspace
from interlock.core.errors import ConfigError, Fault, InvalidRequest
from interlock.core.guards import Guards
from interlock.core.ids import Ids
from interlock.core.ports import ChatGateway, HttpClient
from interlock.core.steps import Steps
from interlock.core.store import Store
from interlock.core.time import Clock
from interlock.governance.decisions import Policy
from interlock.governance.redact import redact
from interlock.governance.residency import places_of
from interlock.ledger import Beside, Recorder, TaskLog
from interlock.tools.call import ToolDesk
from interlock.tools.define import Tool

from .afar import Afar
from .credentials import broker_of, lent_by
from .pins import Pins
from .schedules import Schedules
from .stores import leases_of
from .telling import Telling
from .usual import Usuals
from .webhooks import Webhooks


class Tasking:
    """The agents and what stands around them."""

    def __init__(
        self,
        workspace: Workspace,
        tools: Mapping[str, Tool],
        model: str,
        *,
        recorder: Recorder,
        store: Store,
        gateway: ChatGateway,
        aloud: Aloud,
        http: HttpClient,
        clock: Clock,
        ids: Ids,
        guards: Guards | None = None,
    ) -> None:
        """`model` stands in for the contracts' own. `aloud`: the gateway's `chat`, for calls that somebody hears."""
        settings, root = workspace.settings, workspace.root
        self._receivers, self._http, self._clock, self._ids = settings.webhooks, http, clock, ids
        self._schedules, self._tenant = settings.schedules, settings.tenant
        self._tools, self._model, self._store = tools, model, store
        self._sealed = settings.encryption is not None
        """Then no word of a tenant passes through the database in the clear: followers hear what this process writes."""
        self._speaks = False
        self._policy = Policy.of(places=places_of(settings.residency))
        self._senders: list[Callable[[], object]] = []
        """Hear of messages for webhooks, where this process sends them."""
        self.log = TaskLog(recorder, store, clock, lease_s=settings.workers.lease_s, lease_now=leases_of(store, clock))
        self.beside = Beside(recorder, store, clock)
        self.broker = broker_of(lent_by(settings), root, http, clock)
        self.desk = ToolDesk(recorder, clock, ids, random.Random(), root, broker=self.broker, guards=guards)
        self.contracts = {
            name: compile_contract(agent, tools, tenant=settings.tenant, model=model, policy=self._policy)
            for name, agent in workspace.agents.items()
        }
        self.followers = Followers(aloud, clock)
        self.agents = Agents(
            self.contracts,
            gateway=gateway,
            desk=self.desk,
            journal=self.log,
            clock=clock,
            ids=ids,
            redact=redact,
            guards=guards,
            followers=self.followers,
            kept=Pins(workspace.agents, tools, settings.tenant, model, self.beside, self._policy),
        )
        least = {name: agent.contract.anomalies.usual_runs for name, agent in workspace.agents.items()}
        self.agents.usually = Usuals(store, settings.tenant, clock, least)
        self.agents.answered = self._answered
        if settings.webhooks:
            self.agents.tell = Telling(settings.webhooks, self.beside.tell, self._sent_soon)

    async def _answered(self, tenant: str, key: str, text: str) -> str:
        return await self.beside.first_text(tenant, "answered", key, text)

    def contract_from(self, file: Path) -> Contract:
        """The contract that stands in one file, with this workspace's tools.

        Raises:
            ConfigError: the file is wrong, or holds no contract.
        """
        found = list(load(file).agents.values())
        if len(found) != 1:
            message = f"expected one contract, found {len(found)}"
            raise ConfigError([Fault(str(file), 1, 1, "agent", message, "Name a file as in agents/.")])
        return compile_contract(found[0], self._tools, tenant=self._tenant, model=self._model, policy=self._policy)

    def steps(self, workflow: str, key: str, user: str) -> AbstractAsyncContextManager[Steps]:
        """A task whose steps somebody else's code makes. Raises InvalidRequest: the workflow is a contract's, whose steps are ours."""
        if workflow in self.contracts:
            raise InvalidRequest(f"{workflow!r} is a contract's name", param="workflow", hint="Use another one.")
        return logged_steps(
            self.log, self._clock, self._ids, tenant=self._tenant, workflow=workflow, key=key, user=user
        )

    @asynccontextmanager
    async def with_others(self) -> AsyncGenerator[None]:
        """Hears of due tasks and tells followers elsewhere, for as long as the block runs, where the store has a way."""
        async with AsyncExitStack() as entered:
            if (waker := self._store.waker()) is not None:
                due = Listening(waker, self.agents.nudge)
                due.start()
                entered.callback(due.stop)
            await entered.enter_async_context(self._spoken())
            yield

    async def speak(self) -> None:
        """Has followers in other processes hear what is written here, and those here what is written there, until it is cancelled."""
        async with self._spoken():
            await asyncio.Event().wait()

    @asynccontextmanager
    async def _spoken(self) -> AsyncGenerator[None]:
        wire = None if self._sealed or self._speaks else self._store.wire(self._tenant)
        if wire is None:
            yield
            return
        self._speaks = True
        try:
            async with Afar(self.followers, wire, self._ids.new("prc"), self._clock).running():
                yield
        finally:
            self._speaks = False

    def schedules(self) -> Schedules:
        """Begins tasks that come round by themselves; runs where its `run` does."""
        return Schedules(self._schedules, self._tenant, self.agents, self.beside, self._clock)

    def webhooks(self) -> Webhooks:
        """Tells the receivers that the workspace names what is kept for them; runs where its `run` does."""
        sender = Webhooks(self._receivers, self.beside, self.log, self._http, self._clock, random.Random())
        self._senders.append(sender.nudge)
        return sender

    def _sent_soon(self) -> None:
        for nudge in self._senders:
            nudge()
