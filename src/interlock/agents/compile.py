"""From a workspace's files to the contract that the loop uses.

Above: `app`. Below: config's models, the tools, `contract`. The only file of this room that reads config's models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from interlock.config.conditions import Condition
from interlock.config.jsonschema import Validator
from interlock.config.workspace import Agent, Workspace
from interlock.core.chat import OutputSchema
from interlock.core.errors import ConfigError, Fault
from interlock.core.store import as_stored
from interlock.governance.decisions import Policy
from interlock.governance.flow_terms import Terms, ToolTerms
from interlock.observe import anomaly
from interlock.tools.call import Grant
from interlock.tools.define import Tool
from interlock.tools.verdict import Rule

from .builtin import awaits_of, child_tool, waiting_tools
from .contract import Contract, Ends, Flow, FlowStep, Input, Slot

if TYPE_CHECKING:
    from interlock.config.anomalies import Anomalies
    from interlock.config.contract import AgentContract, ToolUse
    from interlock.config.flow import Flow as FlowFile

UNDO_RETRIES = 3
"""How often undoing is tried again, at least: what was done stands until it works, or a person is asked."""


def compile_contract(
    agent: Agent,
    tools: Mapping[str, Tool],
    *,
    tenant: str = "default",
    model: str = "",
    policy: Policy | None = None,
) -> Contract:
    """The contract of `agent`. Tools that nobody defined are left out: `Workspace.blockers` says so before a task runs.

    `model` stands in for the contract's own. `policy`: the workspace's, which decides about this agent's tools, too.
    """
    declared = agent.contract
    used = {use.name: use for use in declared.tools if use.name in tools}
    decides = deciding(declared, tools, policy or Policy.of())
    return Contract(
        workflow=agent.name,
        tenant=tenant,
        model=model or agent.model,
        prompt=agent.prompt,
        versions=agent.versions,
        inputs={name: Input(field.type, field.required, field.trust) for name, field in declared.inputs.items()},
        grants={name: _granted(use, used, tools) for name, use in used.items()},
        awaits=awaits_of({name: use.share for name, use in used.items()}),
        undo_grants=_undo_grants(used, tools),
        approvals={name: rule for name, use in used.items() if (rule := _rule(use)) is not None},
        information=decides,
        unsure=declared.information.unsure,
        ends=Ends(declared.outcome.tool, declared.outcome.sla or 0.0),
        limits=agent.limits,
        anomalies=_anomalies(declared.anomalies),
        output_schema=OutputSchema(declared.output_schema, agent.output_schema) if agent.output_schema else None,
        output_checker=Validator(agent.output_schema) if agent.output_schema else None,
        store_prompts=as_stored(declared.logging.store_prompts),
        trace_id=declared.logging.trace_id,
        seed=declared.deterministic.seed if declared.deterministic else None,
        approval_expires_s=declared.approval.expires_after_s,
        approval_on_expiry=declared.approval.on_expiry,
        remind_every_s=declared.approval.remind_every_s,
        when_changed=declared.when_changed,
        tier0=declared.tier0 is not None,
        stream=declared.stream,
        flows={intent: _flow(intent, flow, agent.products) for intent, flow in declared.flows.items()},
    )


def built_in(workspace: Workspace) -> dict[str, Tool]:
    """The tools that no contract has to define: waits, and each agent of the workspace as a tool of the others."""
    agents = {
        f"agent.{name}": child_tool(
            name, {key: Input(field.type, field.required) for key, field in agent.contract.inputs.items()}
        )
        for name, agent in workspace.agents.items()
    }
    return {**waiting_tools(), **agents}


def _granted(use: ToolUse, used: Mapping[str, ToolUse], tools: Mapping[str, Tool]) -> Grant:
    """A tool on its terms, with the one that stands in for it on that one's terms."""
    grant = _grant(use, tools[use.name])
    other = tools.get(use.fallback)
    if other is None:
        return grant
    own = used.get(other.name, use)
    why_not = _why_not_instead(use, own, grant.tool, other)
    if why_not:
        message = f"{other.name} cannot stand in for {use.name}: {why_not[0]}"
        raise ConfigError([Fault("", 0, 0, "agent.tools", message, why_not[1])])
    return replace(grant, fallback=_grant(own, other))


def _why_not_instead(use: ToolUse, own: ToolUse, tool: Tool, other: Tool) -> tuple[str, str] | None:
    """Why a tool on its `own` terms may not be asked in the place of another, and what to do: nobody decides anew about a stand-in."""
    if other.effect not in ("none", tool.effect):
        return f"repeating it does more harm ({other.effect})", "Name a tool whose effect is none or the same."
    if own is not use and own.requires_human_approval:
        return "it waits for a person's approval itself", "Name a tool that needs none."
    if own.flow != use.flow and other.effect != "none":
        return (
            "its information-flow terms are others",
            "Give both tools the same `flow`, or name one without an effect.",
        )
    return None


def _grant(use: ToolUse, tool: Tool) -> Grant:
    return Grant(
        tool,
        use.timeout_s,
        use.retries,
        use.max_calls,
        use.max_output_bytes,
        tuple(Rule(each.when, each.then, each.because, each.instead, each.changes) for each in use.rules),
        use.max_concurrency,
        use.cache_ttl_s,
        use.breaker_failures,
        use.breaker_cool_s,
        use.credentials,
        justify_after=use.justify_after,
        reveal=use.reveal,
        fields=use.fields,
    )


def _undo_grants(used: Mapping[str, ToolUse], tools: Mapping[str, Tool]) -> dict[str, Grant]:
    """The tools that undo those used, on the terms of the ones they undo unless the contract lists them itself; tried again where that does no harm."""
    grants: dict[str, Grant] = {}
    for name, use in used.items():
        undo = tools.get(tools[name].reversible_by)
        if undo is not None:
            made = _grant(used.get(undo.name, use), undo)
            grants[undo.name] = replace(made, retries=max(made.retries, UNDO_RETRIES))
    return grants


def _rule(use: ToolUse) -> Condition | Literal[True] | None:
    rule = use.requires_human_approval
    if isinstance(rule, bool):
        return True if rule else None
    return rule


def deciding(declared: AgentContract, tools: Mapping[str, Tool], policy: Policy) -> Policy | None:
    """The workspace's policy for an agent's tools and answers; none where no tool has flow terms."""
    terms = information_of({use.name: use for use in declared.tools if use.name in tools}, tools)
    return policy.of_tools(terms, declared.information.withhold) if terms is not None else None


def information_of(used: Mapping[str, ToolUse], tools: Mapping[str, Tool]) -> Terms | None:
    """The information-flow terms of the tools; none where no tool has any."""
    terms = {
        name: msgspec.convert(
            {
                **use.flow.model_dump(),
                "effect": use.flow.effect or ("read" if name in tools and tools[name].effect == "none" else "write"),
            },
            ToolTerms,
        )
        for name, use in used.items()
        if use.flow is not None
    }
    return Terms(terms) if terms else None


def _anomalies(declared: Anomalies) -> anomaly.Terms:
    """The bounds as the watch takes them."""
    bounds = {
        name: anomaly.Bounds(pair.warn, pair.stop)
        for name, pair in (
            ("repeats", declared.repeats),
            ("cycles", declared.cycles),
            ("no_news", declared.no_news),
            ("fan_out", declared.fan_out),
            ("depth", declared.depth),
            ("growth", declared.growth_tokens),
            ("injections", declared.injections),
            ("usual", declared.usual),
        )
    }
    return anomaly.Terms(**bounds, polls=frozenset(declared.polls), then=declared.then)


def _flow(intent: str, flow: FlowFile, products: Mapping[str, tuple[str, ...]]) -> Flow:
    slots = tuple(
        Slot(name, slot.type, slot.required, slot.pattern, slot.choices or products.get(f"{intent}.{name}", ()))
        for name, slot in flow.slots.items()
    )
    steps = tuple(
        FlowStep(step.call or "", step.arguments, step.save_as or "", step.when, step.answer, tuple(step.cite))
        for step in flow.steps
    )
    return Flow(slots, steps, flow.answer_from == "knowledge")
