"""A workspace from its files, or every fault in them at once. Above: app, cli, testing. Below: the rest of the room.

`load` takes a folder, its interlock.yaml, or any one file that holds a contract or policy sections. What is wrong stops the load;
what is only missing for a run (a schema, a tool, a key) becomes a warning here and a blocker when a task is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from interlock.core import plugins
from interlock.core.caller import Versions
from interlock.core.errors import ConfigError, Fault

from . import checks, homes, resilience
from .checks import Draft
from .documents import Contracts, Documents, defaults, located, read_documents
from .faults import place, validate
from .files import Files, Findings
from .jsonschema import SchemaInvalid, Validator
from .knowledge import read_articles, read_intents, read_products
from .names import nearest
from .schema import Settings
from .shapes import is_section
from .steering import RouteFile, check_facts, read_route, wrong_verifiers
from .tool_names import built_in_tools, declared_tools, pinned_tools, syntax_error
from .tree import Mark, fault_at
from .versions import content_hash
from .versions import said as declared
from .workspace import Agent, Article, Pending, Workspace

_HIDDEN_FROM_CHARS = 6
"""Values of variables from this length on are taken out of messages; shorter ones are words such as `true`."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """What contracts refer to."""

    prompts: Mapping[str, str]
    schemas: Mapping[str, dict[str, Any]]
    tools: Mapping[str, tuple[str, ...]] | None
    tools_file: Path | None


def load(path: str | Path, env: Mapping[str, str] | None = None, contracts: Contracts | None = None) -> Workspace:
    """The workspace at `path`, checked; `env` (default: the process's) is what `${NAME}` stands for. `contracts` were made in Python: they are held to the same.

    Raises:
        ConfigError: all that is wrong in all files.
    """
    findings = Findings()
    where = located(Path(path))
    files = Files(where.root, os.environ if env is None else env, findings)
    read = read_documents(files, where, contracts or {})
    built_in = Settings.model_validate(defaults({}).data())
    settings, faults = validate(Settings, read.policy, "")
    findings.faults.extend(faults)
    if settings is None:
        # What the policy says is not known, so contracts are checked by themselves: all of their own faults, none that follow.
        settings = built_in
    else:
        _check_policy(findings, settings, built_in, read, lone=where.lone)
    given = built_in_tools(settings, {d.name: tuple(d.contract.inputs) for d in read.drafts})
    shared = _shared(files, {**given, **pinned_tools(settings, where.root)})
    learned = read_route(files, settings.routing.route, place(read.policy, ("routing", "route")), "routing.route")
    policy_versions = _policy_versions(settings, learned)
    agents = {d.name: _agent(files, settings, d, shared, learned) for d in read.drafts}
    if findings.faults:
        raise ConfigError(_once(findings.faults, files))
    return Workspace(
        root=where.root,
        settings=settings,
        agents=agents,
        schemas=shared.schemas,
        prompts=shared.prompts,
        tools_file=shared.tools_file,
        versions=policy_versions,
        warnings=tuple(_once(findings.warnings, files)),
        learned=learned,
    )


def _once(faults: list[Fault], files: Files) -> list[Fault]:
    """In the order of the files; what an alias repeats is said once, and no value of a variable is shown."""
    first = {(fault.file, fault.line, fault.column, fault.message): fault for fault in reversed(faults)}
    values = {name: files.env.get(name, "") for name in sorted(files.findings.variables)}
    hidden = {value: f"${{{name}}}" for name, value in values.items() if len(value) >= _HIDDEN_FROM_CHARS}
    told = [_without(fault, hidden) for fault in first.values()]
    return sorted(told, key=lambda fault: (fault.file, fault.line, fault.column))


def _without(fault: Fault, hidden: Mapping[str, str]) -> Fault:
    message, hint = fault.message, fault.hint
    for value, name in hidden.items():
        message, hint = message.replace(value, name), hint.replace(value, name)
    return structs.replace(fault, message=message, hint=hint)


# --- Whether it fits together ---------------------------------------------------------------------------------------


def _check_policy(findings: Findings, settings: Settings, built_in: Settings, read: Documents, *, lone: bool) -> None:
    """Names across sections and files. Where a part could not be read, what would follow from that is not said."""
    node, drafts = read.policy, read.drafts
    dialects = {*plugins.own("providers"), *(each.dialect for each in built_in.providers.values())}
    if any(each.dialect not in dialects for each in settings.providers.values()):
        dialects.update(plugins.names("providers"))
    strict = findings.warnings if lone else findings.faults
    if read.policy_whole:
        strict.extend(checks.unknown_models(settings, node, drafts))
        strict.extend(resilience.unknown_names(settings, node))
        strict.extend(fault for draft in drafts for fault in checks.unknown_model(settings, draft))
    if read.contracts_whole:
        strict.extend(checks.unknown_facts(settings, node, drafts, check_facts(settings, drafts)))
    findings.faults.extend(checks.unknown_dialects(settings, node, dialects))
    findings.faults.extend(checks.wrong_options(settings, built_in, node))
    findings.faults.extend(wrong_verifiers(settings, node, drafts))
    findings.faults.extend(checks.unshared_stores(settings, node))
    findings.faults.extend(homes.faults(settings, node, drafts))
    if not lone:
        findings.faults.extend(checks.unsealed(settings, node, drafts))
    if read.contracts_whole and not lone:
        findings.faults.extend(checks.unknown_offers(settings, node, drafts))
        findings.faults.extend(checks.unknown_schedules(settings, node, drafts))
    findings.warnings.extend(checks.models_without_key(settings, node, drafts))
    findings.warnings.extend(checks.no_master_key(settings, node))
    if not lone:
        findings.warnings.extend(checks.budgets_of_nobody(settings, node, drafts))
        findings.warnings.extend(fault for draft in drafts for fault in checks.unnamed_model(settings, draft))


def _shared(files: Files, given: Mapping[str, tuple[str, ...]]) -> _Shared:
    """`given`: tools that the policy itself declares."""
    root = files.root
    prompts = {f"prompts/{path.name}": files.text(path) or "" for path in files.listed(root / "prompts", (".md",))}
    schemas = {path.stem: _schema(files, path) for path in files.listed(root / "schemas", (".json",))}
    tools_file = root / "tools.py"
    source = files.text(tools_file) if tools_file.is_file() else None
    tools = None if source is None else declared_tools(source)
    wrong = syntax_error(source) if source is not None and tools is None else None
    if wrong is not None:
        mark = Mark(files.shown(tools_file), wrong.lineno or 1, wrong.offset or 1)
        files.findings.faults.append(fault_at(mark, "tools", f"not valid Python: {wrong.msg}"))
    return _Shared(
        prompts=prompts,
        schemas={name: schema for name, schema in schemas.items() if schema is not None},
        tools={**given, **(tools or {})} if tools is not None or (given and source is None) else None,
        tools_file=None if source is None else tools_file,
    )


def _schema(files: Files, path: Path) -> dict[str, Any] | None:
    value = files.json(path)
    if value is None:
        return None
    start = Mark(files.shown(path), 1, 1)
    if not is_section(value):
        files.findings.faults.append(fault_at(start, "", "expected a JSON Schema: an object"))
        return None
    schema: dict[str, Any] = dict(value)
    try:
        Validator(schema)
    except SchemaInvalid as error:
        files.findings.faults.append(fault_at(start, "", f"not a valid JSON Schema: {error}"))
        return None
    return schema


def _policy_versions(settings: Settings, learned: RouteFile | None) -> Versions:
    said = [settings.providers, settings.models, settings.routing]
    bound = [settings.residency] if settings.residency.bounds_anything else []
    # What may be seen, said and asked for, where that is declared: a kept answer was given, and looked at, under it.
    ruled = {name: getattr(settings, name) for name in ("pii", "guards", "shaping") if name in declared(settings)}
    return Versions(
        policy=content_hash(
            [settings.task_budgets, settings.caching, settings.degradation, *bound, *([ruled] if ruled else [])]
        ),
        route=content_hash(said if learned is None else [*said, learned.version]),
    )


def _agent(files: Files, settings: Settings, draft: Draft, shared: _Shared, learned: RouteFile | None) -> Agent:
    """The contract with what it refers to; what does not exist is noted."""
    contract = draft.contract
    prompt = _prompt(files, draft, shared)
    faults_before = len(files.findings.faults)
    intents, articles = _knowledge(files, draft)
    # An article that cannot be read must not show up once more as one that is missing.
    whole = len(files.findings.faults) == faults_before
    citable = [article.id for article in articles] if whole else None
    files.findings.faults.extend(checks.flow_faults(draft, intents, citable))
    _check_tools(files.findings, draft, settings, shared)
    budget = settings.task_budgets.get(draft.name)
    schema = shared.schemas.get(contract.output_schema)
    limits = contract.limits.limits
    learned = read_route(files, contract.route, place(draft.node, ("route",)), "agent.route") or learned
    versions = _policy_versions(settings, learned)
    return Agent(
        name=draft.name,
        contract=contract,
        file=draft.file,
        model=contract.model or settings.routing.default_model,
        prompt=prompt,
        output_schema=schema,
        intents=intents,
        articles=articles,
        products=_products(files, draft),
        limits=limits if budget is None else limits.tightest(budget.limits),
        p95_latency_slo_ms=None if budget is None else budget.p95_latency_slo_ms,
        versions=Versions(
            contract=content_hash([contract, schema, intents, [(a.id, a.title, a.text, a.intents) for a in articles]]),
            prompt=content_hash(prompt) if prompt else "",
            policy=versions.policy,
            route=versions.route,
        ),
        pending=_pending(files.findings, draft, shared),
        learned=learned,
    )


def _prompt(files: Files, draft: Draft, shared: _Shared) -> str:
    name = draft.contract.prompt
    if not name or name in shared.prompts:
        return shared.prompts.get(name, "")
    mark = place(draft.node, ("prompt",))
    path = files.inside(name, mark, "agent.prompt")
    return "" if path is None else files.text(path, mark, "agent.prompt") or ""


def _knowledge(files: Files, draft: Draft) -> tuple[Mapping[str, tuple[str, ...]], tuple[Article, ...]]:
    tier0 = draft.contract.tier0
    if tier0 is None:
        return {}, ()
    intents: Mapping[str, tuple[str, ...]] = {}
    articles: tuple[Article, ...] = ()
    mark = place(draft.node, ("tier0", "intents"))
    path = files.inside(tier0.intents, mark, "agent.tier0.intents")
    if path is not None:
        intents = read_intents(files, path, mark, "agent.tier0.intents")
    if tier0.knowledge:
        mark = place(draft.node, ("tier0", "knowledge"))
        folder = files.inside(tier0.knowledge, mark, "agent.tier0.knowledge")
        articles = () if folder is None else read_articles(files, folder, mark, "agent.tier0.knowledge")
    for article in articles if intents else ():
        for name in article.intents:
            if name not in intents:
                message = f"no intent {name!r} in {tier0.intents}"
                warning = fault_at(Mark(article.path, 1, 1), "intents", message, nearest(name, intents))
                files.findings.warnings.append(warning)
    return intents, articles


def _products(files: Files, draft: Draft) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for intent, flow in draft.contract.flows.items():
        for name, slot in flow.slots.items():
            loc = ("flows", intent, "slots", name, "products")
            if slot.products_file:
                mark = place(draft.node, loc)
                found[f"{intent}.{name}"] = read_products(files, slot.products_file, mark, f"agent.{'.'.join(loc)}")
            elif slot.products:
                found[f"{intent}.{name}"] = slot.products
    return found


def _check_tools(findings: Findings, draft: Draft, settings: Settings, shared: _Shared) -> None:
    has_file = shared.tools_file is not None
    findings.warnings.extend(checks.undefined_tools(draft, settings, shared.tools, has_file=has_file))
    findings.faults.extend(checks.approval_faults(draft, shared.tools or {}))


def _pending(findings: Findings, draft: Draft, shared: _Shared) -> tuple[Pending, ...]:
    """What only matters when a task is run."""
    contract = draft.contract
    pending = [Pending("model", contract.model, place(draft.node, ("model",)), "agent.model")]
    schema = contract.output_schema
    if schema and schema not in shared.schemas:
        loc = ("output_schema",)
        hint = nearest(schema, shared.schemas) or f"Put it into schemas/{schema}.json."
        findings.warnings.append(draft.fault(loc, f"no schema {schema!r}", hint))
        pending.append(Pending("schema", schema, place(draft.node, loc), "agent.output_schema"))
    for at, tool in enumerate(contract.tools):
        loc = ("tools", at, "name")
        pending.append(Pending("tool", tool.name, place(draft.node, loc), f"agent.tools[{at}].name"))
    return tuple(pending)
