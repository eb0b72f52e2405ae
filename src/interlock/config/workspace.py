"""A loaded workspace, as the other rooms use it. Above: everybody who acts on the files. Below: schema, contract, models."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interlock.core.budget import Limits
from interlock.core.caller import Secret, Versions
from interlock.core.errors import ConfigError, Fault, UnknownModel

from .missing import tool_hint
from .models import tiers_of, usable
from .names import nearest
from .schema import Settings
from .steering import RouteFile
from .tree import Mark, fault_at

if TYPE_CHECKING:
    from .contract import AgentContract

LOCAL_STORE = ".interlock/interlock.db"


@dataclass(frozen=True, slots=True)
class Article:
    """One article of a knowledge base."""

    id: str
    title: str
    text: str
    intents: tuple[str, ...]
    path: str
    updated: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """Something that the files leave open; it matters only when a task is run."""

    kind: Literal["schema", "tool", "model"]
    name: str
    mark: Mark
    key: str

    def fault(self, message: str, hint: str = "") -> Fault:
        return fault_at(self.mark, self.key, message, hint)


@dataclass(frozen=True, slots=True)
class Agent:
    """One contract with everything that it refers to."""

    name: str
    contract: AgentContract
    file: str
    model: str
    """The contract's model, else `routing.default_model`, else empty."""
    prompt: str
    """The system prompt's text; empty for none."""
    output_schema: dict[str, Any] | None
    intents: Mapping[str, tuple[str, ...]]
    """Examples by intent, `out_of_scope` among them; empty without a tier 0."""
    articles: tuple[Article, ...]
    products: Mapping[str, tuple[str, ...]]
    """Product names by `flow.slot`."""
    limits: Limits
    """The contract's limits and the task budget of the same name, the tighter of each."""
    p95_latency_slo_ms: int | None
    versions: Versions
    pending: tuple[Pending, ...] = ()
    learned: RouteFile | None = None
    """The contract's learned route, else that of `routing.route`."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Everything the files say, checked."""

    root: Path
    settings: Settings
    agents: Mapping[str, Agent]
    schemas: Mapping[str, dict[str, Any]]
    """JSON Schemas by the file's name without its ending."""
    prompts: Mapping[str, str]
    """Texts by path, e.g. `prompts/support_reply.md`."""
    tools_file: Path | None
    versions: Versions
    """Policy and route, for calls that belong to no contract."""
    warnings: tuple[Fault, ...]
    learned: RouteFile | None = None
    """Of `routing.route`."""

    @property
    def name(self) -> str:
        return self.settings.workspace or self.root.resolve().name

    @property
    def store(self) -> Path:
        """The SQLite file. Where the store is a server's, what each machine keeps of its own stands where the file would."""
        return self.root / (LOCAL_STORE if self.database else self.settings.store.reveal())

    @property
    def database(self) -> Secret | None:
        """The address of the PostgreSQL that is the store; `None` where it is a file."""
        said = self.settings.store
        return said if said.reveal().startswith(("postgres://", "postgresql://")) else None

    def agent(self, name: str) -> Agent:
        """Raises ConfigError, with the nearest name, when there is no such agent."""
        found = self.agents.get(name)
        if found is None:
            hint = nearest(name, self.agents) or "Put its contract into agents/."
            raise ConfigError([Fault(str(self.root / "agents"), 1, 1, "agent", f"no agent {name!r}", hint)])
        return found

    def limits_for(self, workflow: str) -> Limits:
        """What a task of this workflow may use: the agent's limits, or its task budget alone, or none."""
        agent = self.agents.get(workflow)
        if agent is not None:
            return agent.limits
        budget = self.settings.task_budgets.get(workflow)
        return Limits() if budget is None else budget.limits

    def blockers(self, agent_name: str, tool_names: Collection[str], model: str = "") -> list[Fault]:
        """Why a task of this agent cannot be run as its contract says; empty when it can.

        `tool_names`: the tools that are defined. `model`: used instead of the contract's. A missing model blocks only a
        contract without a tier 0: with one, what it does not resolve goes to a person.
        """
        agent = self.agent(agent_name)
        found: list[Fault] = []
        for open_end in agent.pending:
            if open_end.kind == "schema":
                found.append(
                    open_end.fault(
                        f"no schema {open_end.name!r}",
                        nearest(open_end.name, self.schemas) or _schema_hint(open_end.name),
                    )
                )
            elif open_end.kind == "tool" and open_end.name not in tool_names:
                hint = tool_hint(self.settings, open_end.name, tool_names)
                found.append(open_end.fault(f"no tool {open_end.name!r} is defined", hint))
            elif open_end.kind == "model" and (model or agent.contract.tier0 is None):
                found.extend(self._model_blocker(open_end, model or agent.model))
        return found

    def _model_blocker(self, open_end: Pending, name: str) -> list[Fault]:
        if not name:
            return [open_end.fault("no model is named", "Set `model` in the contract or `routing.default_model`.")]
        try:
            refs = [ref for tier in tiers_of(self.settings, name) for ref in tier.models]
        except UnknownModel as error:
            return [open_end.fault(error.message, error.hint)]
        if any(usable(self.settings, ref) for ref in refs):
            return []
        providers = sorted({ref.provider for ref in refs})
        hint = f"Set providers.{providers[0]}.api_key, or the environment variable it is taken from."
        return [open_end.fault(f"{name!r} cannot be called: no key for {', '.join(providers)}", hint)]


def _schema_hint(name: str) -> str:
    return f"Put it into schemas/{name}.json."
