"""What a workspace's files say of prompts, oversight, versions and guards, as facts of an evidence pack.

Above: evidence. Below: config. Nothing is opened but the files of tools, to know what their effects are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from interlock.config.contract import ToolUse
from interlock.config.models import ref_of, usable
from interlock.config.workspace import Workspace
from interlock.core.errors import UnknownModel
from interlock.tools.define import Tool

from .pack import LONE, Fact, Row
from .stores import name_of


def kept(workspace: Workspace) -> Fact:
    """What is stored of prompts, by whose they are."""
    rows = [
        {"of": name, "store_prompts": agent.contract.logging.store_prompts}
        for name, agent in sorted(workspace.agents.items())
    ]
    rows.append({"of": LONE, "store_prompts": workspace.settings.logging.store_prompts})
    note = "none: nothing is kept once a task is over · redacted: without what the redactor finds · full: as it was said · encrypted: the same, sealed with a key of its tenant. A task under way keeps what it needs until it is over, one that was handed to a person until they have closed it."
    return Fact("prompts.kept", "What is stored of prompts, arguments and answers", tuple(rows), note=note)


def places(workspace: Workspace) -> Fact:
    """Where what was said may stand, and for how long."""
    rows = tuple({"place": place, "what": what, "how long": span} for place, what, span in _places(workspace))
    note = "Backups that somebody made, copies of files, and what vendors keep by their own terms are not known to the workspace."
    return Fact("prompts.places", "Where they may stand, and how long", rows, note=note)


def _places(workspace: Workspace) -> Iterator[tuple[str, str, str]]:
    settings, store = workspace.settings, name_of(workspace)
    kept_for = settings.retention
    sealed = ", sealed with a key of the tenant" if settings.encryption is not None else ""
    days = kept_for.bodies_days or kept_for.raw_days
    yield (
        store,
        f"content of tasks and calls, as `store_prompts` says{sealed}",
        f"{days} days" if days else "without end",
    )
    if kept_for.then == "archive" and (kept_for.raw_days or kept_for.max_size_mb):
        yield str(workspace.root / kept_for.folder), f"Parquet files of what has left the store{sealed}", "without end"
    exact, similar = settings.caching.exact_cache, settings.caching.semantic_cache
    if exact.enabled:
        at = {"store": store, "redis": f"Redis {_host(settings.redis.url.reveal())}", "memory": "memory"}[exact.backend]
        yield at, "answers of the exact cache", f"{exact.ttl_seconds:g} s"
    if similar.enabled:
        yield store, "questions and answers of the semantic cache", f"{similar.ttl_seconds:g} s"
    if settings.responses.keep:
        yield (
            store,
            "turns of the Responses API that callers did not forbid to keep",
            f"{settings.responses.ttl_days} days",
        )
    yield (
        str(workspace.store.parent / "files"),
        "files of batches and of `code.run`",
        f"answers of batches {settings.batches.output_days} days, others without end",
    )
    at = f"Redis {_host(settings.redis.url.reveal())}" if settings.sessions.backend == "redis" else store
    yield at, "sessions that tools and callers keep", f"{settings.sessions.ttl_hours:g} h after the last change"
    otlp = settings.telemetry.otlp
    if otlp is not None and otlp.content:
        yield _host(otlp.endpoint), "messages, arguments and results, sent with telemetry", "as the receiver says"
    for hook in settings.webhooks:
        yield (
            f"{store}, then {_host(hook.url)}",
            f"messages on {', '.join(hook.events)}",
            f"until taken, or {hook.give_up_after_s:g} s",
        )


def _host(address: str) -> str:
    """Without user, password, path and query."""
    parts = urlsplit(address)
    return f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"


def retention(workspace: Workspace) -> Fact:
    """What `retention:` says."""
    said = workspace.settings.retention
    row: Row = {
        "events leave after days": said.raw_days,
        "content is forgotten after days": said.bodies_days,
        "changes of breakers are forgotten after days": said.breakers_days or said.raw_days,
        "largest size in MB": said.max_size_mb,
        "then": said.then,
    }
    set_ = any((said.raw_days, said.bodies_days, said.max_size_mb))
    return Fact(
        "prompts.retention",
        "How long the ledger keeps what",
        (row,) if set_ else (),
        "Nothing is set: everything stays, sums and content alike.",
    )


def vendors(workspace: Workspace) -> Fact:
    """Who may be sent a prompt: every provider that can be called, and which aliases and contracts lead to it."""
    settings = workspace.settings
    led: dict[str, set[str]] = {}
    for alias, tiers in settings.models.items():
        for model in (each for models in tiers.values() for each in models):
            _lead(workspace, model, alias, led)
    for name, agent in workspace.agents.items():
        if agent.model and agent.model not in settings.models:
            _lead(workspace, agent.model, name, led)
    rows = tuple(
        {
            "provider": name,
            "host": _host(each.base_url) or "this machine",
            "region": each.region or "not said",
            "simulated": each.simulated,
            "named by": sorted(led.get(name, ())),
        }
        for name, each in sorted(settings.providers.items())
        if name in led or (each.models and (each.api_key or not each.needs_key))
    )
    note = "A provider that nothing names may still be asked by callers that write its model's name, unless their key says otherwise."
    return Fact("vendors.asked", "Vendors and regions that may be asked", rows, note=note)


def _lead(workspace: Workspace, model: str, by: str, led: dict[str, set[str]]) -> None:
    try:
        ref = ref_of(workspace.settings, model)
    except UnknownModel:
        return
    if usable(workspace.settings, ref):
        led.setdefault(ref.provider, set()).add(f"{by} ({ref.model})")


def oversight(workspace: Workspace, tools: Mapping[str, Tool] | None) -> Fact:
    """Every tool of every contract: what it does, and who has to say yes. `tools`: `None` where they could not be loaded."""
    rows = tuple(
        {
            "contract": name,
            "tool": use.name,
            "effect": _effect(use, tools),
            "a person decides": _rule(use),
            "unanswered": f"{agent.contract.approval.on_expiry} after {agent.contract.approval.expires_after_s:g} s",
            "denied by rule": [rule.when.text for rule in use.rules if rule.then == "deny"],
            "most calls": use.max_calls,
        }
        for name, agent in sorted(workspace.agents.items())
        for use in agent.contract.tools
    )
    note = "`once` is harm when repeated. Beside these rules a person is asked where the information-flow policy does not allow a call by itself, and where a crash leaves it open whether a call was made."
    return Fact("oversight.rules", "Which tools need a person's yes", rows, "No contract may call a tool.", note)


def _effect(use: ToolUse, tools: Mapping[str, Tool] | None) -> str:
    tool = None if tools is None else tools.get(use.name)
    return "not known" if tool is None else tool.effect


def _rule(use: ToolUse) -> str:
    said = use.requires_human_approval
    if isinstance(said, bool):
        return "always" if said else "never"
    return f"when {said.text}"


def in_force(workspace: Workspace) -> Fact:
    """Content hashes of what decides now."""
    rows = [
        {
            "of": name,
            "contract": agent.versions.contract,
            "prompt": agent.versions.prompt,
            "policy": agent.versions.policy,
            "route": agent.versions.route,
        }
        for name, agent in sorted(workspace.agents.items())
    ]
    own = workspace.versions
    rows.append({"of": LONE, "contract": own.contract, "prompt": own.prompt, "policy": own.policy, "route": own.route})
    return Fact("versions.in_force", "Versions in force", tuple(rows), note="Two equal hashes are the same content.")


def flow(workspace: Workspace) -> Fact:
    """Where the information-flow policy is on."""
    rows = tuple(
        {
            "contract": name,
            "under the policy": any(use.flow is not None for use in agent.contract.tools),
            "tools without terms": [use.name for use in agent.contract.tools if use.flow is None],
            "unsure": agent.contract.information.unsure,
            "untrusted inputs": sorted(key for key, each in agent.contract.inputs.items() if each.trust == "untrusted"),
            "personal data shown to tools": sorted({kind for use in agent.contract.tools for kind in use.reveal}),
        }
        for name, agent in sorted(workspace.agents.items())
    )
    return Fact("protection.flow", "Information-flow policy by agent", rows, "There is no contract.")


def guards(workspace: Workspace) -> Fact:
    """What looks at texts."""
    pii, also = workspace.settings.pii, workspace.settings.guards
    rows: list[Row] = []
    if pii is not None:
        kinds = ", ".join(f"{kind}: {then}" for kind, then in sorted(pii.kinds.items()))
        rows.append({"guard": "personal data and credentials", "does": f"{pii.then}{f'; {kinds}' if kinds else ''}"})
    if also.injection is not None:
        said = [name for name in ("rules", "classifier") if getattr(also.injection, name)]
        rows.append({"guard": "signs of injections", "does": f"signals by {', '.join(said) or 'nothing'}"})
    for when, names in (("before", also.moderation.before), ("after", also.moderation.after)):
        if names:
            refused = ", ".join(also.moderation.refuse) or "all categories"
            rows.append({"guard": f"moderation {when} the model", "does": f"{', '.join(names)}; refuses {refused}"})
    return Fact("protection.guards", "Guards of texts", tuple(rows), "No guard of texts is on.")


def sandbox(workspace: Workspace) -> Fact:
    """What foreign code has to be kept by, and where it and tools may connect to."""
    said, egress = workspace.settings.sandbox, workspace.settings.egress
    row: Row = {
        "least level": said.min_level,
        "on a worker elsewhere": said.worker is not None,
        "network": said.network,
        "hosts that tools may reach": sorted(each.host for each in egress.allow),
        "MCP commands outside of it": sorted(n for n, each in workspace.settings.mcp.servers.items() if each.outside),
    }
    note = "As declared. `interlock doctor` attacks it on the host and says what held."
    return Fact("protection.sandbox", "Isolation of foreign code", (row,), note=note)


def limits(workspace: Workspace) -> Fact:
    """What may be spent."""
    rows = [
        {"of": f"limit {each.limit.name}", "usd": _usd(each.nano_usd), "per": each.period or "", "seconds": None}
        for each in workspace.settings.limits
    ]
    rows += [
        {
            "of": f"contract {name}",
            "usd": _usd(agent.limits.max_cost_nano_usd),
            "per": "task",
            "seconds": agent.limits.max_seconds,
        }
        for name, agent in sorted(workspace.agents.items())
    ]
    return Fact("limits.declared", "Limits on spending and time", tuple(rows), "Nothing limits what is spent.")


def _usd(nano: int | None) -> str:
    return "" if nano is None else f"{nano / 1e9:.6f}".rstrip("0").rstrip(".")


def doors(workspace: Workspace) -> Fact:
    """Who gets in at all."""
    server = workspace.settings.server
    oidc = server.oidc
    row: Row = {
        "listens at": f"{server.host}:{server.port}",
        "TLS": "of its own" if server.tls_cert else "a proxy's, if any",
        "server key": "set" if server.api_key else "made by the server",
        "people sign in at": "" if oidc is None else _host(oidc.issuer),
        "roles by claim": [] if oidc is None else [f"{value}: {role}" for value, role in sorted(oidc.roles.items())],
        "anybody else": "refused" if oidc is None or oidc.otherwise is None else oidc.otherwise,
    }
    note = "A proxy in front is not known to the workspace."
    return Fact("access.doors", "Doors", (row,), note=note)
