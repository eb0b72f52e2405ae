"""The composition root: a workspace becomes a running Interlock. The only place that names concrete classes.

Above: server and cli, and programs that embed Interlock. Below: every room.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from interlock.agents.batch import Done, run_batch
from interlock.agents.control import Ruling
from interlock.agents.lines import Line
from interlock.agents.live import Hears
from interlock.agents.question import Question
from interlock.agents.result import TaskResult
from interlock.agents.shift import Terms
from interlock.config.jsonschema import Validator
from interlock.config.load import Contracts, load
from interlock.config.workspace import Workspace
from interlock.core.answers import ScopeState
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, Chunk, Message
from interlock.core.errors import ConfigError
from interlock.core.ports import ChatReply, PluginEnv, Provider, Room
from interlock.core.steps import Steps
from interlock.core.time import Clock
from interlock.economics import Statement, statements
from interlock.gateway.chat import Gateway
from interlock.gateway.pressure import Pressure
from interlock.gateway.route import Router
from interlock.gateway.settings import Parts
from interlock.governance.redact import redact
from interlock.ledger import Health, KeptResponses
from interlock.ledger.read import Reader
from interlock.plugins.profiles import profile_of

from . import caches, guarding, policy, steering, tier0
from .alerting import Alerting
from .auditing import Auditing
from .follow import Told
from .forgetting import Forgetting
from .ground import Ground, unmovable
from .judging import Judging
from .known import Known
from .limiting import Limiting
from .looks import Looks
from .providing import providers_of, unchanged, usable
from .reading import premium_of, worth_of
from .residency import bounds_of
from .retaining import retaining_of
from .sealing import envelope_of, known, ready
from .sessions import Sessions, sessions_of
from .sight import Sight
from .taskdesk import TaskDesk, followed
from .tasking import Tasking
from .waiting import Waiting
from .webhooks import Webhooks

if TYPE_CHECKING:
    from .telemetry import Watching


class Interlock(Known):
    """One running instance over one workspace. An async context manager; everything is open inside it.

    >>> async with Interlock.from_file("interlock.yaml") as il:
    ...     reply = await il.chat("support", "How long does delivery take?")
    ...     result = await il.run("support_reply", {"text": "Where is my order FH-10234?"})
    """

    def __init__(
        self, workspace: Workspace, *, model: str = "", clock: Clock | None = None, before: Interlock | None = None
    ) -> None:
        """As `Known`. `before`: the one of this process whose place it will take; see `heir`."""
        super().__init__(workspace, model=model, clock=clock, embedder=before.embedder if before else None)
        self._before = before

    @classmethod
    def from_file(cls, path: str | Path = ".", *, model: str = "", contracts: Contracts | None = None) -> Self:
        """The workspace at `path`: a folder, its interlock.yaml, or one file with a contract or policy sections. `contracts`: further ones, made in Python.

        Raises:
            ConfigError: every fault of its files at once. UnknownModel: `model` is none.
        """
        return cls(load(path, contracts=contracts), model=model)

    async def __aenter__(self) -> Self:
        """Opens the store and settles what a crash left behind.

        Raises:
            StoreUnavailable: the store cannot be opened or written.
        """
        await asyncio.to_thread(ready, self.workspace)
        async with AsyncExitStack() as opened:  # what was opened is closed again where a later part fails
            await self._enter(opened)
            await asyncio.to_thread(known, self.workspace, self._store)
            opened.push_async_callback(self._toolbox.close)
            await self._toolbox.prove(self.workspace)
            kept = self.workspace.settings.responses
            self.kept_responses = KeptResponses(
                self._store, self._recorder, self._clock, ttl_s=kept.ttl_days * 86_400, keeps=kept.keep
            )
            self.looks = Looks(self._store.changes())
            self.limiting = Limiting(self.workspace, self._store.keys, self._clock, self._ids, self.looks)
            opened.push_async_callback(self.limiting.close)
            opened.push_async_callback(self.looks.close)
            await self.limiting.open()
            envelope = envelope_of(self.workspace)
            self._answers = caches.exact(self.workspace.settings, self._clock, self._store, self._recorder, envelope)
            self._answers.start()
            self.forgetting = Forgetting(self._store, self.forget, self.looks)
            await self.forgetting.look()
            opened.push_async_callback(self._answers.close)
            self._similar = caches.similar(
                self.workspace.settings, self._embedder, self._clock, self._store, self._recorder
            )
            if self._similar is not None:
                opened.callback(self._similar.close)
                await asyncio.to_thread(self._similar.read_back)
            self._prompt_vectors = None if self._model else steering.vectors_for(self.workspace, self._embedder)
            if self._prompt_vectors is not None:
                opened.callback(self._prompt_vectors.close)
            self._built = self._providers()
            self.guards = guarding.guards_of(self.workspace, self._http, self._clock)
            self.kept_responses = guarding.covered_responses(self.kept_responses, self.guards)
            self.gateway = Gateway(policy.settings_of(self.workspace, model=self._model), self._gateway_parts())
            if self._before is not None:
                self.gateway.inherit(self._before.gateway, unchanged(self.workspace, self._before.workspace))
                self._before = None
            self.ground.circuits.set_up_anew(self.workspace.settings.tenant, self.gateway.breakers())
            opened.push_async_callback(self.gateway.embeddings.close)
            opened.callback(self.gateway.finish)
            held = sessions_of(self.workspace.settings, self._recorder, self._store, self._clock, envelope)
            opened.push_async_callback(held.close)
            self.sessions = Sessions(held)
            self._toolbox.remembering.open(self.sessions)
            self.waiting = self._waiting()
            self.tasking = self._tasking()
            self._toolbox.lending.broker = self.tasking.broker
            self.agents, self.desk, self.contracts = self.tasking.agents, self.tasking.desk, self.tasking.contracts
            self.reader = Reader(self._store)
            self.sight = Sight(self.workspace, self._store, self._clock)
            """What pages about promises, incidents and the workspace are made of."""
            self.auditing = Auditing(self._store.audit, self._clock)
            """Who does and reads what, in a chain."""
            self.retaining = retaining_of(self.workspace, self._store, self._clock)
            opened.callback(self.agents.stop)
            self._opened = opened.pop_all()
        return self

    def heir(self, workspace: Workspace) -> Self:
        """The same with newer files, not yet open, for the same process: both work side by side, on one ledger, until this one is closed.

        Raises:
            ConfigError: what cannot change in a running process has changed, or tools.py does not load.
        """
        faults = unmovable(self.ground.opened_with, workspace.settings, str(workspace.root / "interlock.yaml"))
        if faults:
            raise ConfigError(faults)
        return type(self)(workspace, model=self._model, before=self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Lets every task go at its next step, and closes what was opened, the store last."""
        await self.close()

    async def close(self) -> None:
        """The same, for who has it open without a block; a second time nothing happens."""
        await self._opened.aclose()

    # --- Calls and tasks ------------------------------------------------------------------------------------------

    async def chat(
        self, model: str, messages: str | Sequence[Message], *, caller: Caller | None = None, **fields: Any
    ) -> ChatReply:
        """One governed model call; `fields` are those of `ChatRequest`."""
        return await self.gateway.chat(caller or self._caller(), _request(model, messages, fields))

    def stream(
        self, model: str, messages: str | Sequence[Message], *, caller: Caller | None = None, **fields: Any
    ) -> AsyncIterator[Chunk | ChatReply]:
        """The same in pieces; the last one is the `ChatReply`."""
        return self.gateway.stream(caller or self._caller(), _request(model, messages, {**fields, "stream": True}))

    async def run(
        self, workflow: str, given: Mapping[str, Any], *, user: str = "", priority: int = 0, hears: Hears | None = None
    ) -> TaskResult:
        """One task, worked on until it ends or waits for a person. `priority`: beside others of the tenant once it is due again (-1,000 to 1,000).
        `hears` is told what its models write while they write; see `core.live`.
        """
        caller = Caller(self.workspace.settings.tenant, user)
        self.require(workflow)
        return await self.agents.run(workflow, given, caller=caller, priority=priority, hears=hears)

    def follow(self, task: str, *, after: str = "") -> AsyncGenerator[Told]:
        """A task's records as they come, those behind the place `after` (`str(came.place)`), and what its models write meanwhile."""
        return followed(TaskDesk(self.agents, self.reader), self._caller(), task, after)

    def run_batch(
        self, workflow: str, lines: Iterable[Line], *, concurrency: int = 8, batch: str = "", priority: int = 0
    ) -> AsyncIterator[Done]:
        """What became of each line, as they end. With a `batch` name, a rerun resumes: finished lines are not run again."""
        self.require(workflow)
        return run_batch(self.agents, workflow, lines, concurrency=concurrency, batch=batch, priority=priority)

    async def work(self, *, concurrency: int = 0) -> int:
        """Takes due tasks, whichever process they come from, and works on them until `agents.stop`; returns how many it took.

        `concurrency` (tasks at once) stands in for what the files say.
        """
        said = self.workspace.settings.workers
        shift = self.agents.shift(Terms(concurrency or said.concurrency, said.per_tenant or 0, said.priorities))
        async with self.tasking.with_others():
            await shift.run()
        return shift.worked

    def steps(self, workflow: str, *, key: str, user: str = "") -> AbstractAsyncContextManager[Steps]:
        """A task whose steps somebody else's code makes, under a name that is no contract's; see `core.steps`."""
        return self.tasking.steps(workflow, key, user)

    async def resume(self, task: str) -> TaskResult | None:
        """Goes on with a task; `None` while another worker does."""
        return await self.agents.resume(task)

    async def questions(self, task: str) -> list[Question]:
        """What a task waits for a person to say."""
        return await self.agents.questions(task)

    async def decide(
        self,
        task: str,
        step: int,
        decision: Ruling,
        who: str,
        *,
        arguments: Mapping[str, Any] | None = None,
        note: str = "",
        result: Any = None,
    ) -> None:
        """A person's answer; the task goes on at the next `resume`. `result`: of a call in doubt that was `done`."""
        await self.agents.decide(task, step, decision, who=who, arguments=arguments, note=note, result=result)

    def judging(self) -> Judging:
        """Has models judge finished tasks, where contracts name some; runs where its `run` does."""
        return Judging(self.workspace, self._store, self.gateway, self.agents.verdicts, self._clock)

    def alerting(self) -> Alerting:
        """Looks at every promise and tells people; runs where its `run` does."""
        return Alerting(self.workspace, self._store, self._clock, self.webhooks(), spare=self.gateway.spare)

    def webhooks(self) -> Webhooks:
        """Tells the receivers that the workspace names what is kept for them; runs where its `run` does."""
        return self.tasking.webhooks()

    async def forget(self, tenant: str = "") -> None:
        """Drops what memory and caches keep of a tenant's answers, or of everybody's. Raises StoreUnavailable."""
        await self._answers.clear(tenant)
        if self._similar is not None:
            self._similar.forget(tenant)
        self.desk.forget()

    # --- What it is like ------------------------------------------------------------------------------------------

    def pnl(self, *, tenant: str, workflow: str = "", since_ns: int = 0, until_ns: int = 0) -> list[Statement]:
        """One statement for each workflow of the tenant, valued as the contracts say."""
        return statements(
            self._store,
            worth=worth_of(self.workspace),
            premium=premium_of(self.workspace, self._tiers_of, self._prices),
            sample=self.sight.sample,
            workflow=workflow or None,
            tenant=tenant,
            since_ns=since_ns,
            until_ns=until_ns,
        )

    def watching(self) -> Watching:
        """Its metrics, and what goes to an OpenTelemetry receiver; runs where its `run` does."""
        from .telemetry import Standing, Watching

        files = self.workspace.settings
        standing = Standing(self.ledger_health, self.breakers, self.gateway.load)
        return Watching(
            files.telemetry, files.workspace, store=self._store, http=self._http, clock=self._clock, standing=standing
        )

    def ledger_health(self) -> Health:
        return self._recorder.health()

    def semantic_scopes(self) -> list[ScopeState]:
        """How each scope of the semantic cache stands; empty without one."""
        return [] if self._similar is None else self._similar.states()

    def breakers(self) -> Mapping[str, str]:
        """`closed`, `open` or `half_open` by deployment, for those that were called."""
        return self.gateway.breakers()

    # --- Putting it together --------------------------------------------------------------------------------------

    async def _enter(self, opened: AsyncExitStack) -> None:
        """On the ground of the one before, or on one of its own."""
        if self._before is None:
            self.ground = Ground(self.workspace, self._clock)
            await self.ground.open()
        else:
            self.ground = self._before.ground
        self.ground.enter(self._prices)
        opened.push_async_callback(self.ground.leave)
        self._store, self._recorder, self._http = self.ground.store, self.ground.recorder, self.ground.http
        self.http = self._http

    def _caller(self) -> Caller:
        return Caller(self.workspace.settings.tenant, versions=self.workspace.versions)

    def _gateway_parts(self) -> Parts:
        files = self.workspace.settings
        return Parts(
            ledger=self._recorder,
            clock=self._clock,
            ids=self._ids,
            rng=random.Random(),
            price_of=self._prices,
            providers=self._built,
            tiers_of=self._tiers_of,
            target_of=policy.target_of(files),
            profile_of=profile_of,
            validator_of=lambda schema: Validator(schema).faults,
            unusable=policy.unusable(files),
            bounds_of=bounds_of(files.residency),
            quotas=self.limiting.quotas,
            answers=self._answers,
            semantic=self._similar,
            prompt_vector=self._prompt_vectors,
            code_runner=self._toolbox.sandboxed,
            redact=redact,
            guards=self.guards,
            short_of_cpu=Pressure(),
            changed=self.ground.circuits.changed,
        )

    def _providers(self) -> dict[str, Provider]:
        env = PluginEnv(
            http=self._http,
            clock=self._clock,
            rng=random.Random(),
            tier0=self._engines,
            embed_texts=tier0.embedding(self._embedder),
            heard=self._heard,
        )
        return providers_of(usable(self.workspace.settings), env)

    def _waiting(self) -> Waiting:
        files = self.workspace.settings
        router = Router(self._tiers_of, policy.target_of(files), policy.unusable(files))
        return Waiting(
            self.workspace,
            self._store,
            self._recorder,
            self._clock,
            self._built
            if self.guards is None
            else {},  # a vendor's own batch API would be handed what nobody has looked at
            router,
            self._prices,
            redact,
            self.limiting.quotas,
        )

    def _heard(self, deployment: str, rooms: tuple[Room, ...]) -> None:
        """Providers are built before the gateway that wants to hear of vendors' limits."""
        self.gateway.heard(deployment, rooms)

    def _tasking(self) -> Tasking:
        return Tasking(
            self.workspace,
            self._tools,
            self._model,
            recorder=self._recorder,
            store=self._store,
            gateway=self.gateway,
            aloud=self.gateway.chat,
            http=self._http,
            clock=self._clock,
            ids=self._ids,
            guards=self.guards,
        )


def _request(model: str, messages: str | Sequence[Message], fields: Mapping[str, Any]) -> ChatRequest:
    turns = (Message("user", messages),) if isinstance(messages, str) else tuple(messages)
    return ChatRequest(model=model, messages=turns, **fields)
