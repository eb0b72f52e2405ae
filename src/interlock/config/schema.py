"""What `interlock.yaml` and `policies/*.yaml` may say: providers, models, prices, routing, budgets, caches, degradation, the server.

Above: load, gateway, economics, server. Below: blocks, core. Each key is described in docs/configuration.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, model_validator

from interlock.core.budget import Limits
from interlock.core.caller import Secret
from interlock.core.events import RUNGS, Rung

from .alerts import Alerts
from .blocks import (
    Address,
    Block,
    ConditionText,
    Count,
    Name,
    NanoUsd,
    Plain,
    Positive,
    Seconds,
    SecretText,
    Share,
    Text,
    Texts,
)
from .credentials import CredentialSource
from .egress import Egress
from .encryption import CallLogging, EncryptionSettings
from .guards import GuardSettings, Pii
from .limits import LimitList, RedisSettings
from .mcp import Mcp
from .oidc import Oidc
from .prices import PriceSettings
from .residency import ResidencySettings
from .resilience import BalanceSettings, Resilience, ShapeSettings
from .retention import RetentionSettings
from .sandbox import SandboxSettings
from .schedules import Schedule
from .shapes import is_section
from .sql import Databases
from .telemetry import Telemetry
from .webhooks import Webhook
from .workers import WorkerSettings

BUILT_IN_FACTS = frozenset(
    (
        "confidence",
        "workflow",
        "task_type",
        "account_tier",
        "sentiment",
        "risk",
        "region",
        "language",
        "intent",
        "input_tokens",
        "latency_budget_ms",
        "cost_usd",
        "attempt",
    )
)
"""Names that every routing condition may use."""

Tiers = dict[str, tuple[str, ...]]


class ProviderSettings(Block):
    """Where models are called. The built-in ones stand in defaults.yaml; a file changes or adds single keys."""

    dialect: Text
    """Name of the provider plug-in that speaks to it."""
    base_url: Address = ""
    api_key: SecretText = Secret("")
    needs_key: bool = False
    """Without a key its models are not usable."""
    region: Text = ""
    timeout_s: Seconds = 60.0
    stall_s: Seconds = 30.0
    requests_per_minute: Count = 0
    """What the vendor allows for each model, where its replies do not say so; zero for no such figure."""
    tokens_per_minute: Count = 0
    max_concurrent: Count = 0
    """Most calls at once to each model; zero for no fixed number."""
    simulated: bool = False
    models: Texts = ()
    """Bare model names it serves; `*` stands for anything."""
    options: dict[str, Plain] = Field(default_factory=dict[str, Any])


class EscalationRule(Block):
    """When `condition` holds for an answer, `model` is asked next."""

    condition: ConditionText
    model: Text
    """A tier of the alias in use, an alias, or a model."""


def _empty_sections(value: Any) -> Any:
    """`arithmetic:` alone is a verifier with its defaults."""
    if isinstance(value, str | list | tuple):
        names = [value] if isinstance(value, str) else cast("Sequence[Any]", value)
        return {str(name): dict[str, Any]() for name in names}
    if not is_section(value):
        return value
    return {name: dict[str, Any]() if each is None else each for name, each in cast("Mapping[str, Any]", value).items()}


Verifiers = Annotated[dict[Name, dict[str, Plain]], BeforeValidator(_empty_sections)]
"""By name: its settings, and `at_least`. A list of names takes each with its defaults."""


class Routing(Block):
    default_model: Text = ""
    escalate_if: tuple[EscalationRule, ...] = ()
    facts: tuple[Name, ...] = ()
    """Names that conditions may use beside the built-in ones."""
    verifiers: Verifiers = Field(default_factory=dict[str, dict[str, Any]])
    """What looks at every answer before it is given out, by name of the plug-in; a contract may name others."""
    route: Text = ""
    """Path of a learned route, for calls of workflows whose contract names none."""
    premium_share_cap: Share | None = None
    """At most this share of a tenant's calls reaches a premium tier by choice."""
    premium_tiers: Texts = ("premium",)
    balance: dict[str, BalanceSettings] = Field(default_factory=dict[str, BalanceSettings])
    """By alias; `*` for every other one."""


class LimitsBlock(Block):
    """A quality budget; what is not set has no limit."""

    max_steps: Positive | None = None
    max_model_calls: Count | None = None
    max_tool_calls: Count | None = None
    max_input_tokens: Positive | None = None
    max_output_tokens: Positive | None = None
    max_cost_nano_usd: NanoUsd | None = Field(default=None, alias="max_cost_usd")
    max_seconds: Seconds | None = None
    max_depth: Annotated[Count, Field(le=20)] | None = None
    """Of tasks that a task begins with `agent.NAME`, and theirs."""

    @property
    def limits(self) -> Limits:
        return Limits(
            max_steps=self.max_steps,
            max_model_calls=self.max_model_calls,
            max_tool_calls=self.max_tool_calls,
            max_input_tokens=self.max_input_tokens,
            max_output_tokens=self.max_output_tokens,
            max_cost_nano_usd=self.max_cost_nano_usd,
            max_seconds=self.max_seconds,
            max_depth=self.max_depth,
        )


class TaskBudget(LimitsBlock):
    p95_latency_slo_ms: Positive | None = None
    """The agreement on latency: 95 of 100 tasks are done in this time. Measured and reported, not a limit."""


class ExactCache(Block):
    enabled: bool = False
    ttl_seconds: Seconds = 3600.0
    backend: Literal["store", "redis", "memory"] = "store"
    """What stands behind the memory: the workspace's store, the Redis that replicas share, or nothing."""
    max_entries: Positive = 10_000
    """In memory."""
    max_megabytes: Positive = 64
    """In memory."""
    max_stored: Positive = 100_000
    sampled: bool = False
    """Requests with a temperature above 0 are served and kept too."""
    refusals: bool = False
    """Refusals and filtered answers are kept too."""


class SemanticCache(Block):
    enabled: bool = False
    similarity_threshold: Share = 0.92
    """Cosine that two texts of the same wording need before a scope has comparisons of its own."""
    error_budget: Annotated[Share, Field(gt=0, le=0.5)] = 0.02
    """Share of served answers that may be wrong."""
    audit: Annotated[Share, Field(gt=0)] = 0.05
    """Share of hits that are compared with the model's answer although they could be served."""
    judge: Literal["meaning", "text"] = "meaning"
    """What makes two answers the same: their meaning by their vectors, or their text alone."""
    ttl_seconds: Seconds = 86_400.0
    max_entries: Positive = 10_000

    @property
    def trusted(self) -> bool:
        """A file that sets the similarity and no error budget has decided what it takes: scopes serve from the start."""
        return "similarity_threshold" in self.model_fields_set and "error_budget" not in self.model_fields_set


class Caching(Block):
    exact_cache: ExactCache = Field(default_factory=ExactCache.model_construct)
    coalesce: bool | None = None
    """Identical calls at the same time share one upstream call; unset: where the exact cache is on."""
    semantic_cache: SemanticCache = Field(default_factory=SemanticCache.model_construct)


class Server(Block):
    host: Text = "127.0.0.1"
    port: Annotated[Count, Field(le=65_535)] = 8787
    workers: Annotated[Positive, Field(le=256)] = 1
    """Processes that share the port."""
    api_key: SecretText = Secret("")
    tls_cert: Text = ""
    """PEM file of a certificate, relative to the workspace; with it the server listens with TLS."""
    tls_key: Text = ""
    """PEM file of its key; none: it stands in the same file."""
    oidc: Oidc | None = None
    """Where people sign in to the dashboard."""


class Responses(Block):
    """Conversations that clients of the Responses API go on with by `previous_response_id`."""

    keep: bool = True
    """Off: nothing is kept, whatever clients ask for."""
    ttl_days: Positive = 30
    """How long one is kept after its last turn."""


class Batches(Block):
    """Files of requests that may wait."""

    concurrency: Positive = 8
    """Lines of one batch that are asked at the same time, where the vendor has no batch API."""
    max_file_mb: Positive = 200
    """The largest input file."""
    output_days: Positive = 30
    """How long files of answers are kept."""


def _tiers(value: Any) -> Any:
    """`[a, b]` and `a` are an alias of one tier, named `default`; a tier of one model may be written without a list."""
    if isinstance(value, str | list | tuple):
        return {"default": _one_or_more(value)}
    if is_section(value):
        return {name: _one_or_more(models) for name, models in value.items()}
    return value


def _one_or_more(value: Any) -> Any:
    models = [value] if isinstance(value, str) else value
    if not models:
        raise ValueError("expected at least one model")
    return models


class SessionSettings(Block):
    """Small values that belong together for a while."""

    backend: Literal["store", "redis"] = "store"
    """Where they are kept: the workspace's store, or the Redis that replicas share."""
    ttl_hours: Seconds = 24.0
    """How long one lasts after its last change."""
    max_bytes: Positive = 65_536
    """Of one, as JSON."""


class Settings(Block):
    """The whole of a workspace's policy."""

    workspace: Text = ""
    tenant: Annotated[Text, Field(min_length=1)] = "default"
    store: SecretText = Secret(".interlock/interlock.db")
    """Path of the SQLite file, relative to the workspace, or the address of a PostgreSQL; a password in it is shown nowhere."""
    migrate_at_start: bool = True  # else `interlock migrate --pre` has to come first
    providers: dict[str, ProviderSettings] = Field(default_factory=dict[str, ProviderSettings])
    models: dict[str, Annotated[Tiers, BeforeValidator(_tiers)]] = Field(default_factory=dict[str, Tiers])
    """Aliases: tiers in order, smallest first; in a tier the first model is preferred and the rest are its fallback."""
    prices: dict[str, PriceSettings] = Field(default_factory=dict[str, PriceSettings])
    routing: Routing = Field(default_factory=Routing.model_construct)
    task_budgets: dict[str, TaskBudget] = Field(default_factory=dict[str, TaskBudget])
    caching: Caching = Field(default_factory=Caching.model_construct)
    resilience: Resilience = Field(default_factory=Resilience.model_construct)
    shaping: dict[str, ShapeSettings] = Field(default_factory=dict[str, ShapeSettings])
    """By workflow, alias or model."""
    degradation: tuple[Rung, ...] = RUNGS
    databases: Databases = Field(default_factory=Databases)
    """Databases that agents may query, each through its tool `sql.NAME`."""
    egress: Egress = Field(default_factory=Egress.model_construct)
    """Where tools and sandboxes may connect to; nowhere by default."""
    sandbox: SandboxSettings = Field(default_factory=SandboxSettings.model_construct)
    """Where foreign code runs: `code.run`, `shell.run`, isolated tools."""
    credentials: dict[str, CredentialSource] = Field(default_factory=dict[str, CredentialSource])
    """Secrets that contracts may lend to tools."""
    mcp: Mcp = Field(default_factory=Mcp.model_construct)
    webhooks: tuple[Webhook, ...] = ()
    """Who is told of questions to people, of results and of alerts."""
    alerts: Alerts = Field(default_factory=Alerts.model_construct)
    """When promises are looked at, and who gets mail."""
    sessions: SessionSettings = Field(default_factory=SessionSettings.model_construct)
    schedules: tuple[Schedule, ...] = ()
    """Tasks that are begun again and again."""
    logging: CallLogging = Field(default_factory=CallLogging.model_construct)
    server: Server = Field(default_factory=Server.model_construct)
    limits: LimitList = ()
    """Rate limits and budgets of keys, tenants, users, workflows and models."""
    redis: RedisSettings = Field(default_factory=RedisSettings.model_construct)
    workers: WorkerSettings = Field(default_factory=WorkerSettings.model_construct)
    """How due tasks are shared out."""
    responses: Responses = Field(default_factory=Responses.model_construct)
    batches: Batches = Field(default_factory=Batches.model_construct)
    telemetry: Telemetry = Field(default_factory=Telemetry.model_construct)
    """Where spans and metrics go."""
    residency: ResidencySettings = Field(default_factory=ResidencySettings.model_construct)
    """Where data may go."""
    retention: RetentionSettings = Field(default_factory=RetentionSettings.model_construct)
    """How long the ledger keeps what."""
    encryption: EncryptionSettings | None = None
    """Keys under which texts are stored; absent: they are stored as they are."""
    pii: Pii | None = None
    """What is done about personal data and credentials in texts; absent: nothing before they are stored."""
    guards: GuardSettings = Field(default_factory=GuardSettings.model_construct)
    """Injections, and what may not be said."""

    @model_validator(mode="after")
    def _credentials_are_there(self) -> Settings:
        for name, each in self.egress.credentials.items():
            if bool(each.secret) == (name in self.credentials):
                raise ValueError(
                    f"egress.credentials.{name}: expected either a secret of its own or an entry of that name under credentials"
                )
        return self

    @model_validator(mode="after")
    def _rungs_once(self) -> Settings:
        if len(set(self.degradation)) != len(self.degradation):
            raise ValueError("degradation: each rung stands at most once")
        return self
