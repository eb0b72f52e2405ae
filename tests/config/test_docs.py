"""docs/configuration.md describes every key of every section, with its default; nothing more and nothing less."""

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from interlock.config.alerts import Alerts, Email
from interlock.config.anomalies import Anomalies, Bounds
from interlock.config.blocks import Block
from interlock.config.contract import (
    AgentContract,
    Approval,
    Deterministic,
    Input,
    JudgeRule,
    Logging,
    OutcomeRules,
    Tier0,
    ToolRule,
    ToolUse,
    Value,
)
from interlock.config.credentials import CredentialSource, TokenRequest
from interlock.config.egress import AllowedHost, Egress, HostCredential
from interlock.config.encryption import CallLogging, EncryptionSettings
from interlock.config.flow import Flow, Slot, Step
from interlock.config.flow_terms import FlowArgument, FlowField, FlowRules, FlowTerms
from interlock.config.guards import GuardSettings, InjectionSettings, Moderation, ModerationRule, Pii
from interlock.config.knowledge import FrontMatter, IntentExamples
from interlock.config.limits import LimitSettings, RedisSettings
from interlock.config.mcp import Mcp, McpServer
from interlock.config.oidc import Oidc
from interlock.config.residency import LabelRule, Places, ResidencySettings
from interlock.config.resilience import (
    BalanceSettings,
    Circuit,
    Hedges,
    InputCapSettings,
    Outliers,
    Resilience,
    Retries,
    Room,
    ShapeSettings,
)
from interlock.config.retention import RetentionSettings
from interlock.config.sandbox import SandboxLimits, SandboxSettings, SandboxWorker
from interlock.config.schedules import Schedule
from interlock.config.schema import (
    Batches,
    Caching,
    EscalationRule,
    ExactCache,
    LimitsBlock,
    PriceSettings,
    ProviderSettings,
    Responses,
    Routing,
    SemanticCache,
    Server,
    SessionSettings,
    Settings,
    TaskBudget,
)
from interlock.config.slo import Cited, Slo
from interlock.config.sql import Database, GovernedTable
from interlock.config.telemetry import MetricsSettings, OtlpSettings, Telemetry
from interlock.config.webhooks import Webhook
from interlock.config.workers import WorkerSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
SECTIONS: dict[str, type[Block]] = {
    "The top level": Settings,
    "providers.<name>": ProviderSettings,
    "prices.<provider/model>": PriceSettings,
    "routing": Routing,
    "routing.escalate_if[]": EscalationRule,
    "routing.balance.<alias>": BalanceSettings,
    "resilience": Resilience,
    "resilience.retries": Retries,
    "resilience.circuit": Circuit,
    "resilience.hedging": Hedges,
    "resilience.outliers": Outliers,
    "resilience.admission": Room,
    "shaping.<name>": ShapeSettings,
    "shaping.<name>.input_cap": InputCapSettings,
    "task_budgets.<task>": TaskBudget,
    "caching": Caching,
    "caching.exact_cache": ExactCache,
    "caching.semantic_cache": SemanticCache,
    "databases.<name>": Database,
    "egress": Egress,
    "egress.allow[]": AllowedHost,
    "egress.credentials.<name>": HostCredential,
    "sandbox": SandboxSettings,
    "sandbox.worker": SandboxWorker,
    "sandbox.limits": SandboxLimits,
    "databases.<name>.tables.<table>": GovernedTable,
    "mcp": Mcp,
    "mcp.servers.<name>": McpServer,
    "webhooks[]": Webhook,
    "alerts": Alerts,
    "alerts.email": Email,
    "schedules[]": Schedule,
    "sessions": SessionSettings,
    "credentials.<name>": CredentialSource,
    "credentials.<name>.token": TokenRequest,
    "logging": CallLogging,
    "server": Server,
    "server.oidc": Oidc,
    "limits[]": LimitSettings,
    "redis": RedisSettings,
    "workers": WorkerSettings,
    "residency": ResidencySettings,
    "residency.labels.<label>": LabelRule,
    "residency.places": Places,
    "retention": RetentionSettings,
    "encryption": EncryptionSettings,
    "responses": Responses,
    "batches": Batches,
    "agent": AgentContract,
    "agent.inputs.<name>": Input,
    "agent.anomalies": Anomalies,
    "agent.anomalies.<kind>": Bounds,
    "telemetry": Telemetry,
    "pii": Pii,
    "guards": GuardSettings,
    "guards.injection": InjectionSettings,
    "guards.moderation": Moderation,
    "guards.moderation.rules[]": ModerationRule,
    "telemetry.metrics": MetricsSettings,
    "telemetry.otlp": OtlpSettings,
    "agent.outcome": OutcomeRules,
    "agent.outcome.judge": JudgeRule,
    "agent.slo": Slo,
    "agent.deterministic": Deterministic,
    "agent.slo.cited": Cited,
    "agent.tools[]": ToolUse,
    "agent.tools[].rules[]": ToolRule,
    "agent.information": FlowRules,
    "agent.tools[].flow": FlowTerms,
    "agent.tools[].flow.arguments.<name>": FlowArgument,
    "agent.tools[].flow.returns[]": FlowField,
    "agent.limits": LimitsBlock,
    "agent.logging": Logging,
    "agent.approval": Approval,
    "agent.tier0": Tier0,
    "agent.flows.<intent>": Flow,
    "agent.flows.<intent>.slots.<name>": Slot,
    "agent.flows.<intent>.steps[]": Step,
    "agent.value": Value,
    "Intents": IntentExamples,
    "Articles": FrontMatter,
}


def described() -> dict[str, dict[str, str]]:
    """Default as written by key, by heading."""
    found: dict[str, dict[str, str]] = {}
    for part in re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        rows = re.findall(
            r"^\| `([^`]+)` \|[^|]*\| ([^|]*) \|", re.split(r"^# ", body, flags=re.MULTILINE)[0], flags=re.MULTILINE
        )
        found[heading.strip("`")] = {key: default.strip("`") for key, default in rows}
    return found


def every_block(model: type[Block] = Block) -> set[type[Block]]:
    return {found for each in model.__subclasses__() for found in (each, *every_block(each))}


def test_every_section_of_the_code_has_a_heading():
    missing = {model.__name__ for model in every_block() if not model.__name__.startswith("_")} - {
        model.__name__ for model in SECTIONS.values()
    }

    assert missing == set()


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_described_and_no_other(heading):
    keys = {field.alias or name for name, field in SECTIONS[heading].model_fields.items()}

    assert set(described()[heading]) == keys


@pytest.mark.parametrize("heading", SECTIONS)
def test_defaults_are_described_as_they_are(heading):
    rows = described()[heading]
    for name, field in SECTIONS[heading].model_fields.items():
        written = rows[field.alias or name]
        if field.is_required():
            assert written == "required"
            continue
        assert written != "required"
        default = field.default
        if (
            default is PydanticUndefined
            or default in (None, "", (), False)
            or not isinstance(default, bool | int | float | str)
        ):
            continue
        assert written == (
            "true" if default is True else f"{default:g}" if isinstance(default, float) else str(default)
        ), name


def test_every_built_in_fact_is_named():
    from interlock.config.schema import BUILT_IN_FACTS

    text = PAGE.read_text(encoding="utf-8")

    assert [name for name in BUILT_IN_FACTS if f"`{name}`" not in text] == []
