"""Contracts by their versions, so that a task under way can keep the one that it began with.

Above: compose. Below: the agents' compiler, config's `written`, the ledger's texts. A version is contract and prompt together; what the on-device tier learned from, and
the tools' own code, are those of now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec

from interlock.agents.compile import compile_contract
from interlock.agents.contract import Contract
from interlock.agents.state import State
from interlock.config.versions import content_hash
from interlock.config.workspace import Agent
from interlock.config.written import written
from interlock.core.budget import Limits
from interlock.core.caller import Versions
from interlock.governance.decisions import Policy
from interlock.ledger import Beside
from interlock.tools.define import Tool


class Pinned(msgspec.Struct, frozen=True):
    """What is kept of one version."""

    contract: dict[str, Any]
    model: str
    prompt: str
    output_schema: dict[str, Any] | None
    products: dict[str, tuple[str, ...]]
    limits: Limits


class Pins:
    """`agents.versions.Kept` over the workspace's agents."""

    def __init__(
        self,
        agents: Mapping[str, Agent],
        tools: Mapping[str, Tool],
        tenant: str,
        model: str,
        beside: Beside,
        policy: Policy,
    ) -> None:
        self._agents, self._tools, self._tenant, self._model, self._beside = agents, tools, tenant, model, beside
        self._policy = policy
        self._known: set[tuple[str, str]] = set()
        """Workflows and versions that are kept already; as many as there are contracts."""

    async def keep(self, contract: Contract) -> None:
        agent, key = self._agents.get(contract.workflow), _key(contract.versions)
        if agent is None or agent.versions != contract.versions or (contract.workflow, key) in self._known:
            return
        plain = written(agent.contract)
        if content_hash(type(agent.contract).model_validate(plain)) == content_hash(agent.contract):
            kept = Pinned(plain, agent.model, agent.prompt, agent.output_schema, dict(agent.products), agent.limits)
            text = msgspec.json.encode(kept).decode()
            await self._beside.keep_text(self._tenant, "contract", f"{contract.workflow}:{key}", text)
        self._known.add((contract.workflow, key))

    async def find(self, contract: Contract, state: State) -> Contract | None:
        agent = self._agents.get(contract.workflow)
        if agent is None or state.started is None:
            return None
        began = state.started.versions
        text = await self._beside.text(self._tenant, "contract", f"{contract.workflow}:{_key(began)}")
        if text is None:
            return None
        kept = msgspec.json.decode(text, type=Pinned)
        before = dataclasses.replace(
            agent,
            contract=type(agent.contract).model_validate(kept.contract),
            model=kept.model,
            prompt=kept.prompt,
            output_schema=kept.output_schema,
            products=kept.products,
            limits=kept.limits,
            versions=began,
        )
        return compile_contract(before, self._tools, tenant=self._tenant, model=self._model, policy=self._policy)


def _key(versions: Versions) -> str:
    return f"{versions.contract}-{versions.prompt}"
