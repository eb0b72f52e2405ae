"""What single sections cannot know: whether the names in one place exist in another. Above: load. Below: schema, contract, models.

Every check is a pure function from what was read to faults or warnings; `load` decides what becomes of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from interlock.core import plugins
from interlock.core.errors import Fault, UnknownModel

from .faults import Loc, dotted, inside, place, text_fault
from .missing import tool_hint
from .models import ModelRef, escalation_target, ref_of, tiers_of, usable
from .names import nearest
from .schema import BUILT_IN_FACTS, Settings
from .tree import Node, fault_at

if TYPE_CHECKING:
    from .contract import AgentContract
    from .flow import Flow, Step


@dataclass(frozen=True, slots=True)
class Draft:
    """A contract as read, before it is put together with what it refers to."""

    name: str
    contract: AgentContract
    node: Node
    """The section `agent`."""
    file: str

    def fault(self, loc: Loc, message: str, hint: str = "") -> Fault:
        return fault_at(place(self.node, loc), dotted("agent", loc), message, hint)


# --- Policy ---------------------------------------------------------------------------------------------------------


def unknown_models(settings: Settings, node: Node, drafts: Collection[Draft]) -> list[Fault]:
    """Names of models, aliases, tiers and providers that do not exist."""
    found: list[Fault] = []

    def check(loc: Loc, name: str) -> None:
        if name in settings.models:
            message = f"{name!r} is an alias, and an alias lists models"
            found.append(fault_at(place(node, loc), dotted("", loc), message, "Write the models themselves."))
            return
        try:
            ref_of(settings, name)
        except UnknownModel as error:
            found.append(fault_at(place(node, loc), dotted("", loc), error.message, error.hint))

    for alias, tiers in settings.models.items():
        for tier, models in tiers.items():
            for at, name in enumerate(models):
                check(_candidate(node, alias, tier, at), name)
    for name in settings.prices:
        provider, slash, _ = name.partition("/")
        loc = ("prices", name)
        if not slash:
            found.append(
                fault_at(place(node, loc), f"prices.{name}", "expected provider/model", f"Write provider/{name}.")
            )
        elif provider not in settings.providers:
            hint = nearest(provider, settings.providers)
            found.append(fault_at(place(node, loc), f"prices.{name}", f"no provider {provider!r}", hint))
    return [*found, *_unknown_targets(settings, node, drafts)]


def _candidate(node: Node, alias: str, tier: str, at: int) -> Loc:
    """Where a candidate stands: an alias may be written without tiers, a tier of one model without a list."""
    whole = inside(node, ("models", alias))
    tiered = whole is not None and isinstance(whole.value, Mapping)
    loc: tuple[str | int, ...] = ("models", alias, tier) if tiered else ("models", alias)
    held = inside(node, loc)
    return (*loc, at) if held is not None and isinstance(held.value, tuple) else loc


def _unknown_targets(settings: Settings, node: Node, drafts: Collection[Draft]) -> Iterator[Fault]:
    """Of the default model and the escalation rules; a rule may name a tier of any alias in use."""
    default = settings.routing.default_model
    if default and default not in settings.models:
        try:
            tiers_of(settings, default)
        except UnknownModel as error:
            loc = ("routing", "default_model")
            yield fault_at(place(node, loc), dotted("", loc), error.message, error.hint)
    aliases = list(dict.fromkeys([default, *(draft.contract.model for draft in drafts), *settings.models]))
    for at, rule in enumerate(settings.routing.escalate_if):
        if not any(_resolves(settings, rule.model, alias) for alias in aliases):
            loc = ("routing", "escalate_if", at, "model")
            known = [*settings.models, *(tier for tiers in settings.models.values() for tier in tiers)]
            hint = nearest(rule.model, known)
            hint = f"{hint} Or write provider/model.".strip()
            yield fault_at(place(node, loc), dotted("", loc), f"no tier, alias or model {rule.model!r}", hint)


def _resolves(settings: Settings, name: str, alias: str) -> bool:
    """Whether the name stands for something; what an alias lists is checked where it lists it."""
    if name in settings.models or name in settings.models.get(alias, {}):
        return True
    try:
        return bool(escalation_target(settings, name, alias))
    except UnknownModel:
        return False


def unknown_facts(
    settings: Settings, node: Node, drafts: Collection[Draft], given: Collection[str] = ()
) -> list[Fault]:
    """Names in routing conditions that nobody can supply; `given` are further ones that somebody does."""
    inputs = {name for draft in drafts for name in draft.contract.inputs}
    known = BUILT_IN_FACTS | set(settings.routing.facts) | inputs | set(given)
    return [
        text_fault(node, ("routing", "escalate_if", at, "condition"), "", error)
        for at, rule in enumerate(settings.routing.escalate_if)
        for error in rule.condition.unknown_names(known)
    ]


def unknown_dialects(settings: Settings, node: Node, dialects: Collection[str]) -> list[Fault]:
    return [
        fault_at(
            place(node, ("providers", name, "dialect")),
            f"providers.{name}.dialect",
            f"no provider plug-in {each.dialect!r}",
            nearest(each.dialect, dialects),
        )
        for name, each in settings.providers.items()
        if each.dialect not in dialects
    ]


def wrong_options(settings: Settings, built_in: Settings, node: Node) -> list[Fault]:
    """Options that the provider's plug-in does not take; a plug-in is loaded only where a file sets some."""
    found: list[Fault] = []
    for name, each in settings.providers.items():
        shipped = built_in.providers.get(name)
        said = shipped is None or (each.options, each.dialect) != (shipped.options, shipped.dialect)
        module = plugins.find("providers", each.dialect) if each.options and said else None
        if module is None:
            continue
        try:
            msgspec.convert(each.options, module.Settings)
        except msgspec.ValidationError as error:
            message, _, at = str(error).partition(" - at `$.")
            key = at.rstrip("`")
            loc = ("providers", name, "options", *([key] if key in each.options else []))
            takes = ", ".join(module.Settings.__struct_fields__) or "none"
            found.append(fault_at(place(node, loc), dotted("", loc), message, f"It takes {takes}."))
    return found


def unshared_stores(settings: Settings, node: Node) -> list[Fault]:
    """What replicas are to share while no Redis is named: calls under such a limit could only be refused."""
    if settings.redis.url:
        return []
    held: list[Loc] = [("limits", at, "scope") for at, each in enumerate(settings.limits) if each.scope == "global"]
    if settings.caching.exact_cache.enabled and settings.caching.exact_cache.backend == "redis":
        held.append(("caching", "exact_cache", "backend"))
    if settings.sessions.backend == "redis":
        held.append(("sessions", "backend"))
    hint = "Set redis.url, or leave this key out."
    return [fault_at(place(node, loc), dotted("", loc), "needs a Redis, and none is named", hint) for loc in held]


def unsealed(settings: Settings, node: Node, drafts: Collection[Draft]) -> list[Fault]:
    """`store_prompts: encrypted` where there are no keys to do so with."""
    if settings.encryption is not None:
        return []
    loc: Loc = ("logging", "store_prompts")
    message = "`encrypted` needs the section `encryption` in interlock.yaml"
    hint = "Add `encryption: {master_key: ${INTERLOCK_MASTER_KEY}}`."
    found = [each.fault(loc, message, hint) for each in drafts if each.contract.logging.store_prompts == "encrypted"]
    if settings.logging.store_prompts == "encrypted":
        found.append(fault_at(place(node, loc), dotted("", loc), message, hint))
    return found


def no_master_key(settings: Settings, node: Node) -> list[Fault]:
    """`encryption` without a key to wrap with: readers do without, but nothing can be stored."""
    said = settings.encryption
    if said is None or said.master_key or said.master_key_file or said.kms:
        return []
    hint = "Set encryption.master_key, encryption.master_key_file or encryption.kms; a server does not start without."
    return [fault_at(place(node, ("encryption",)), "encryption", "no master key is at hand", hint)]


def unknown_offers(settings: Settings, node: Node, drafts: Collection[Draft]) -> list[Fault]:
    """Agents that are offered to MCP clients and that no contract declares."""
    names = [draft.name for draft in drafts]
    return [
        fault_at(place(node, ("mcp", "offer", at)), f"mcp.offer[{at}]", f"no agent {name!r}", nearest(name, names))
        for at, name in enumerate(settings.mcp.offer)
        if name not in names
    ]


def unknown_schedules(settings: Settings, node: Node, drafts: Collection[Draft]) -> list[Fault]:
    """Schedules of workflows that no contract declares, and names that two of them share."""
    names, found = [draft.name for draft in drafts], list[Fault]()
    for at, schedule in enumerate(settings.schedules):
        key, where = f"schedules[{at}]", place(node, ("schedules", at))
        if schedule.workflow not in names:
            hint = nearest(schedule.workflow, names)
            found.append(fault_at(where, f"{key}.workflow", f"no agent {schedule.workflow!r}", hint))
        if any(other.name == schedule.name for other in settings.schedules[:at]):
            found.append(fault_at(where, f"{key}.name", f"another schedule is called {schedule.name!r}", "Rename one."))
    return found


def budgets_of_nobody(settings: Settings, node: Node, drafts: Collection[Draft]) -> list[Fault]:
    """Warnings: task budgets that no contract of the workspace has the name of."""
    names = [draft.name for draft in drafts]
    return [
        fault_at(
            place(node, ("task_budgets", name)),
            f"task_budgets.{name}",
            "no agent has this name; the budget holds for calls that name it as their workflow",
            nearest(name, names),
        )
        for name in settings.task_budgets
        if names and name not in names
    ]


def models_without_key(settings: Settings, node: Node, drafts: Collection[Draft]) -> list[Fault]:
    """Warnings: one for each provider that is named and has no key, at the first place that names it."""
    first: dict[str, tuple[Fault, list[str]]] = {}
    for where, refs in _named_refs(settings, node, drafts):
        for ref in refs:
            if not usable(settings, ref):
                first.setdefault(ref.provider, (where, []))[1].append(ref.name)
    warnings: list[Fault] = []
    for provider, (where, names) in first.items():
        message = f"provider {provider!r} has no key, so {', '.join(dict.fromkeys(names))} cannot be called"
        warnings.append(_said(where, message, _key_hint(node, provider)))
    return warnings


def _said(where: Fault, message: str, hint: str) -> Fault:
    return Fault(where.file, where.line, where.column, where.key, message, hint)


def _key_hint(node: Node, provider: str) -> str:
    key = inside(node, ("providers", provider, "api_key"))
    named = key.env if key is not None else ()
    return f"Set {named[0]}." if named else f"Set providers.{provider}.api_key."


def _named_refs(settings: Settings, node: Node, drafts: Collection[Draft]) -> Iterator[tuple[Fault, list[ModelRef]]]:
    """Every place of the files that names models which may be called, with the models."""
    places: list[tuple[Fault, str, str]] = []
    places.extend((draft.fault(("model",), ""), draft.contract.model, "") for draft in drafts if draft.contract.model)
    default = settings.routing.default_model
    if default:
        loc = ("routing", "default_model")
        places.append((fault_at(place(node, loc), dotted("", loc), ""), default, ""))
    if not places:  # a gateway and nothing else: its callers name the aliases
        places.extend(
            (fault_at(place(node, ("models", each)), f"models.{each}", ""), each, "") for each in settings.models
        )
    aliases = [default, *(draft.contract.model for draft in drafts)]
    for at, rule in enumerate(settings.routing.escalate_if):
        loc = ("routing", "escalate_if", at, "model")
        alias = next((each for each in aliases if _resolves(settings, rule.model, each)), "")
        places.append((fault_at(place(node, loc), dotted("", loc), ""), rule.model, alias))
    for where, name, alias in places:
        try:
            yield where, [ref for tier in escalation_target(settings, name, alias) for ref in tier.models]
        except UnknownModel:
            continue


# --- Contracts ------------------------------------------------------------------------------------------------------


def unknown_model(settings: Settings, draft: Draft) -> list[Fault]:
    if not draft.contract.model or draft.contract.model in settings.models:
        return []
    try:
        tiers_of(settings, draft.contract.model)
    except UnknownModel as error:
        return [draft.fault(("model",), error.message, error.hint)]
    return []


def unnamed_model(settings: Settings, draft: Draft) -> list[Fault]:
    """Warning: a contract that has no model to turn to."""
    if draft.contract.model or settings.routing.default_model:
        return []
    so = "what tier 0 does not resolve goes to a person" if draft.contract.tier0 else "it cannot run"
    return [draft.fault((), f"no model is named, so {so}", "Set `model`, or `routing.default_model`.")]


def flow_faults(draft: Draft, intents: Collection[str], articles: Collection[str] | None) -> list[Fault]:
    """Names in flows that do not exist: intents, tools, articles, and what conditions and templates look at.

    `articles` is `None` when they could not all be read; no `intents` means the same.
    """
    found: list[Fault] = []
    contract = draft.contract
    if contract.flows and contract.tier0 is None:
        found.append(
            draft.fault(("flows",), "flows need `tier0`, which recognises their intents", "Add tier0.intents.")
        )
    for intent, flow in contract.flows.items():
        loc = ("flows", intent)
        if intents and intent not in intents:
            found.append(draft.fault((*loc, "[key]"), f"no intent {intent!r}", nearest(intent, intents)))
        if flow.answer_from and contract.tier0 is not None and not contract.tier0.knowledge:
            hint = "Set tier0.knowledge to the folder of articles."
            found.append(draft.fault((*loc, "answer_from"), "there is no knowledge to answer from", hint))
        found.extend(_step_faults(draft, intent, flow, articles))
    return found


def _step_faults(draft: Draft, intent: str, flow: Flow, articles: Collection[str] | None) -> Iterator[Fault]:
    tools = [tool.name for tool in draft.contract.tools]
    amounts = {f"{name}_currency" for name, slot in flow.slots.items() if slot.type == "amount"}
    given = {*draft.contract.inputs, *flow.slots, *amounts}
    known = set(given)
    for at, step in enumerate(flow.steps):
        loc = ("flows", intent, "steps", at)
        if step.call is not None and step.call not in tools:
            hint = nearest(step.call, tools) or "List it under `tools`."
            yield draft.fault((*loc, "call"), f"the contract lists no tool {step.call!r}", hint)
        for number, article in enumerate(step.cite):
            if articles is not None and article not in articles:
                listed = inside(draft.node, (*loc, "cite", number))
                where = (*loc, "cite", number) if listed is not None else (*loc, "cite")
                yield draft.fault(where, f"no article {article!r}", nearest(article, articles))
        yield from _name_faults(draft, loc, step, known)
        if step.save_as in given:
            yield draft.fault((*loc, "as"), f"{step.save_as!r} is already an input or a slot", "Choose another name.")
        if step.save_as:
            known.add(step.save_as)


def _name_faults(draft: Draft, loc: tuple[str | int, ...], step: Step, known: Collection[str]) -> Iterator[Fault]:
    if step.when is not None:
        yield from (text_fault(draft.node, (*loc, "when"), "agent", e) for e in step.when.unknown_names(known))
    if step.answer is not None:
        yield from (text_fault(draft.node, (*loc, "answer"), "agent", e) for e in step.answer.unknown_names(known))
    for path, template in step.arguments.templates:
        where = (*loc, "with", *_parts(path))
        yield from (text_fault(draft.node, where, "agent", e) for e in template.unknown_names(known))


def _parts(path: str) -> list[str | int]:
    """`a.b[2]` → a, b, 2."""
    return [int(part) if part.isdigit() else part for part in path.replace("[", ".").replace("]", "").split(".")]


def approval_faults(draft: Draft, tools: Mapping[str, tuple[str, ...]]) -> list[Fault]:
    """Names in the conditions of approval and rules that are no parameter of their tool; `tools`: parameters by tool, as far as known."""
    return [
        text_fault(draft.node, ("tools", at, "requires_human_approval"), "agent", error)
        for at, tool in enumerate(draft.contract.tools)
        if not isinstance(tool.requires_human_approval, bool) and tool.name in tools
        for error in tool.requires_human_approval.unknown_names(tools[tool.name])
    ] + [
        text_fault(draft.node, ("tools", at, "rules", number, "when"), "agent", error)
        for at, tool in enumerate(draft.contract.tools)
        if tool.name in tools
        for number, rule in enumerate(tool.rules)
        for error in rule.when.unknown_names(tools[tool.name])
    ]


def undefined_tools(draft: Draft, settings: Settings, tools: Collection[str] | None, *, has_file: bool) -> list[Fault]:
    """Warnings: tools of the contract that nothing defines; `tools` is `None` where that cannot be told."""
    if tools is None and has_file:
        return []
    known = tools or ()
    return [
        draft.fault(
            ("tools", at, "name"),
            f"no tool {tool.name!r} is defined",
            tool_hint(settings, tool.name, known),
        )
        for at, tool in enumerate(draft.contract.tools)
        if tool.name not in known
    ]
