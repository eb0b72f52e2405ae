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

from interlock.core import plugins
from interlock.core.caller import Versions
from interlock.core.errors import ConfigError, Fault

from . import checks
from .checks import Draft
from .contract import AgentContract
from .faults import place, validate
from .files import Files, Findings
from .jsonschema import SchemaInvalid, Validator
from .knowledge import read_articles, read_intents, read_products
from .names import nearest
from .schema import Settings
from .shapes import is_section
from .tool_names import declared_tools
from .tree import Entry, Mark, Node, fault_at, parse
from .versions import content_hash
from .workspace import Agent, Article, Pending, Workspace

MAIN_FILE = "interlock.yaml"
_YAML = (".yaml", ".yml")
_SECTIONS = tuple(Settings.model_fields)
_CONTRACT_KEYS = tuple(field.alias or name for name, field in AgentContract.model_fields.items())


@dataclass(frozen=True, slots=True)
class _Place:
    """Which files make the workspace."""

    root: Path
    documents: tuple[Path, ...]
    lone: bool
    """One file by itself: names that stand in other files are not known."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """What contracts refer to."""

    prompts: Mapping[str, str]
    schemas: Mapping[str, dict[str, Any]]
    tools: Mapping[str, tuple[str, ...]] | None
    tools_file: Path | None


def load(path: str | Path, env: Mapping[str, str] | None = None) -> Workspace:
    """The workspace at `path`, checked; `env` (default: the process's) is what `${NAME}` stands for.

    Raises:
        ConfigError: all that is wrong in all files.
    """
    findings = Findings()
    where = _located(Path(path))
    files = Files(where.root, os.environ if env is None else env, findings)
    policy, drafts = _documents(files, where)
    built_in = Settings.model_validate(_defaults({}).data())
    settings, faults = validate(Settings, policy, "")
    findings.faults.extend(faults)
    if settings is None:
        # What the policy says is not known, so contracts are checked by themselves: all of their own faults, none that follow.
        settings = built_in
    else:
        _check_policy(findings, settings, built_in, policy, drafts, lone=where.lone)
    shared = _shared(files)
    policy_versions = _policy_versions(settings)
    agents = {d.name: _agent(files, settings, d, shared, policy_versions) for d in drafts}
    if findings.faults:
        raise ConfigError(_once(findings.faults))
    return Workspace(
        root=where.root,
        settings=settings,
        agents=agents,
        schemas=shared.schemas,
        prompts=shared.prompts,
        tools_file=shared.tools_file,
        versions=policy_versions,
        warnings=tuple(_once(findings.warnings)),
    )


def _once(faults: list[Fault]) -> list[Fault]:
    """In the order of the files; what an alias repeats is said once."""
    first = {(fault.file, fault.line, fault.column, fault.message): fault for fault in reversed(faults)}
    return sorted(first.values(), key=lambda fault: (fault.file, fault.line, fault.column))


# --- Which files ----------------------------------------------------------------------------------------------------


def _located(path: Path) -> _Place:
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = nearest(path.name, siblings) if path.suffix in _YAML else ""
        raise ConfigError(
            [Fault(str(path), 1, 1, "", "no such file or folder", hint or "`interlock init` makes a workspace.")]
        )
    if path.name == MAIN_FILE:
        return _folder(path.parent)
    in_workspace = path.parent.name in ("agents", "policies")
    return _Place(path.parent.parent if in_workspace else path.parent, (path,), lone=True)


def _folder(root: Path) -> _Place:
    main = root / MAIN_FILE
    found = [main] if main.is_file() else []
    for name in ("policies", "agents"):
        folder = root / name
        if folder.is_dir():
            found.extend(sorted(each for each in folder.iterdir() if each.suffix in _YAML))
    if not found:
        hint = "`interlock init` makes a workspace; --workspace names another folder."
        raise ConfigError([Fault(str(main), 1, 1, "", f"no {MAIN_FILE} and no agents/ in this folder", hint)])
    return _Place(root, tuple(found), lone=False)


def _documents(files: Files, where: _Place) -> tuple[Node, list[Draft]]:
    """The policy sections of all files as one tree, and the contracts."""
    sections: dict[str, Entry] = {}
    drafts: dict[str, Draft] = {}
    for path in where.documents:
        node = files.yaml(path)
        if node is None:
            continue
        own = _sections(files, node, contract_expected=path.parent.name == "agents")
        contract = own.pop("agent", None)
        if contract is not None:
            draft = _draft(files, contract, path)
            if draft is not None and draft.name in drafts:
                message = f"the agent {draft.name!r} stands in {drafts[draft.name].file} too"
                files.findings.faults.append(draft.fault(("name",), message, "Give one of them another name."))
            elif draft is not None:
                drafts[draft.name] = draft
        for name, entry in own.items():
            sections[name] = _merged(files, name, sections[name], entry) if name in sections else entry
    start = Mark(files.shown(where.documents[0]), 1, 1)
    return _over(_defaults(files.env), Node(start, sections)), list(drafts.values())


def _sections(files: Files, node: Node, *, contract_expected: bool) -> dict[str, Entry]:
    """The file's top-level sections by their lower-case names; unknown ones are faults."""
    faults = files.findings.faults
    if not isinstance(node.value, Mapping):
        faults.append(node.fault("", "expected sections of key: value", f"Known: {', '.join(('agent', *_SECTIONS))}."))
        return {}
    found: dict[str, Entry] = {}
    for name, entry in node.value.items():
        key = name.lower()
        if key not in (*_SECTIONS, "agent"):
            hint = "This key belongs under `agent:`." if key in _CONTRACT_KEYS else nearest(key, (*_SECTIONS, "agent"))
            faults.append(fault_at(entry.key, name, "unknown section", hint))
        elif key in found:
            faults.append(
                fault_at(entry.key, name, "this section stands twice, in upper and in lower case", "Join them.")
            )
        else:
            found[key] = entry
    if contract_expected and "agent" not in found:
        faults.append(fault_at(node.mark, "agent", "this file holds no contract", "A contract stands under `agent:`."))
    return found


def _merged(files: Files, key: str, first: Entry, second: Entry) -> Entry:
    """Sections of two files joined; a value that both set is a fault."""
    one, two = first.node, second.node
    if not isinstance(one.value, Mapping) or not isinstance(two.value, Mapping):
        message = f"{key} is already set in {first.key.file}:{first.key.line}"
        files.findings.faults.append(fault_at(second.key, key, message, "Keep it in one file."))
        return first
    joined = dict(one.value)
    for name, entry in two.value.items():
        joined[name] = _merged(files, f"{key}.{name}", joined[name], entry) if name in joined else entry
    return Entry(first.key, Node(one.mark, joined))


def _over(base: Node, top: Node) -> Node:
    """`top` laid over `base`, key by key."""
    if not isinstance(base.value, Mapping) or not isinstance(top.value, Mapping):
        return top
    joined = dict(base.value)
    for name, entry in top.value.items():
        joined[name] = Entry(entry.key, _over(joined[name].node, entry.node)) if name in joined else entry
    return Node(top.mark, joined)


def _defaults(env: Mapping[str, str]) -> Node:
    path = Path(__file__).with_name("defaults.yaml")
    node = parse(path.read_text(encoding="utf-8"), str(path), env).node
    assert node is not None, "defaults.yaml ships with the package and is read by the tests"
    return node


def _draft(files: Files, entry: Entry, path: Path) -> Draft | None:
    contract, faults = validate(AgentContract, entry.node, "agent")
    files.findings.faults.extend(faults)
    if contract is None:
        return None
    node = Node(entry.key, entry.node.value)
    return Draft(contract.name or path.stem, contract, node, files.shown(path))


# --- Whether it fits together ---------------------------------------------------------------------------------------


def _check_policy(
    findings: Findings, settings: Settings, built_in: Settings, node: Node, drafts: list[Draft], *, lone: bool
) -> None:
    dialects = {*plugins.names("providers"), *(each.dialect for each in built_in.providers.values())}
    strict = findings.warnings if lone else findings.faults
    strict.extend(checks.unknown_models(settings, node, drafts))
    strict.extend(checks.unknown_facts(settings, node, drafts))
    findings.faults.extend(checks.unknown_dialects(settings, node, dialects))
    findings.warnings.extend(checks.models_without_key(settings, node, drafts))
    if not lone:
        findings.warnings.extend(checks.budgets_of_nobody(settings, node, drafts))
        findings.warnings.extend(fault for draft in drafts for fault in checks.unnamed_model(settings, draft))
    for draft in drafts:
        strict.extend(checks.unknown_model(settings, draft))


def _shared(files: Files) -> _Shared:
    root = files.root
    prompts = {f"prompts/{path.name}": files.text(path) or "" for path in files.listed(root / "prompts", (".md",))}
    schemas = {path.stem: _schema(files, path) for path in files.listed(root / "schemas", (".json",))}
    tools_file = root / "tools.py"
    source = files.text(tools_file) if tools_file.is_file() else None
    return _Shared(
        prompts=prompts,
        schemas={name: schema for name, schema in schemas.items() if schema is not None},
        tools=None if source is None else declared_tools(source),
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


def _policy_versions(settings: Settings) -> Versions:
    return Versions(
        policy=content_hash([settings.task_budgets, settings.caching, settings.degradation]),
        route=content_hash([settings.providers, settings.models, settings.routing]),
    )


def _agent(files: Files, settings: Settings, draft: Draft, shared: _Shared, versions: Versions) -> Agent:
    """The contract with what it refers to; what does not exist is noted."""
    contract = draft.contract
    prompt = _prompt(files, draft, shared)
    faults_before = len(files.findings.faults)
    intents, articles = _knowledge(files, draft)
    # An article that cannot be read must not show up once more as one that is missing.
    whole = len(files.findings.faults) == faults_before
    citable = [article.id for article in articles] if whole else None
    files.findings.faults.extend(checks.flow_faults(draft, intents, citable))
    _check_tools(files.findings, draft, shared)
    budget = settings.task_budgets.get(draft.name)
    schema = shared.schemas.get(contract.output_schema)
    limits = contract.limits.limits
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


def _check_tools(findings: Findings, draft: Draft, shared: _Shared) -> None:
    has_file = shared.tools_file is not None
    names = None if shared.tools is None else {*shared.tools, *plugins.names("tools")}
    findings.warnings.extend(checks.undefined_tools(draft, names, has_file=has_file))
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
