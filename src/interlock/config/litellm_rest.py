"""LiteLLM's router, library and proxy settings as sections of an interlock.yaml.

Above: litellm. Below: litellm_models.
"""

from __future__ import annotations

import re
from typing import Any

from .litellm import Report, section
from .litellm_models import Found
from .shapes import is_list

STRATEGIES = {
    "simple-shuffle": "weights",
    "latency-based-routing": "latency",
    "least-busy": "latency",
    "usage-based-routing": "latency",
    "usage-based-routing-v2": "latency",
    "cost-based-routing": "cost",
}
PERIODS = {
    "1s": "second",
    "1m": "minute",
    "60s": "minute",
    "1h": "hour",
    "60m": "hour",
    "1d": "day",
    "24h": "day",
    "30d": "month",
    "1mo": "month",
}
ALWAYS = {
    "drop_params": "what a model cannot take is refused with a clear error or left out by its profile",
    "enable_pre_call_checks": "inputs are always checked against the model's context window before they are sent",
    "background_health_checks": "circuits are opened and closed by the calls themselves",
    "set_verbose": "nothing to carry over",
    "json_logs": "nothing to carry over",
    "forward_traceparent_to_llm_provider": "`traceparent` is always sent on",
    "allow_requests_on_db_unavailable": "calls are served while the store is behind, up to a stated bound; see docs/ledger.md",
}
REASONS = {
    "success_callback": "every call is in the ledger (`interlock trace`, `interlock pnl`); spans go out by `telemetry`",
    "failure_callback": "as success_callback",
    "callbacks": "as success_callback",
    "service_callbacks": "as success_callback",
    "content_policy_fallbacks": "a refusal is handed on as it is; use `routing.escalate_if` or a verifier",
    "retry_policy": "retries are decided by whether an error may pass, under one budget (`resilience.retries`)",
    "allowed_fails_policy": "as retry_policy",
    "enable_tag_filtering": "use `routing.escalate_if` with facts that callers send",
    "provider_budget_config": "use `limits` with `only: {model: ...}`",
    "alerting": "not part of the files yet",
    "guardrails": "not carried over",
    "custom_auth": "not carried over",
    "pass_through_endpoints": "not carried over",
}


def rest_of(sections: dict[str, Any], found: Found, report: Report) -> dict[str, Any]:
    """The whole document."""
    library, router = section(sections.get("litellm_settings")), section(sections.get("router_settings"))
    proxy = section(sections.get("general_settings"))
    document: dict[str, Any] = {
        "providers": found.providers,
        "models": found.models,
        "prices": found.prices,
        "routing": {},
        "resilience": {},
        "shaping": found.shaping,
        "caching": {},
        "limits": [],
        "redis": {},
        "server": {},
    }
    _fallbacks({**library, **router}, found, report)
    _balance(router, found, document, report)
    for where, settings in (("litellm_settings", library), ("router_settings", router)):
        _reliability(settings, where, document, report)
    _cache(library, document, report)
    _redis(router, "router_settings", document, report)
    _budget(library, document, report)
    _proxy(proxy, document, report)
    for where, settings in (("litellm_settings", library), ("router_settings", router), ("general_settings", proxy)):
        _what_is_left(settings, where, report)
    for name in section(sections.get("environment_variables")):
        report.changed(f"environment_variables.{name}", "set it in the environment of `interlock serve`")
    for name in sections:
        if name not in (
            "model_list",
            "litellm_settings",
            "router_settings",
            "general_settings",
            "environment_variables",
        ):
            report.left(name, REASONS.get(name, "there is nothing like it here"))
    return document


def _fallbacks(settings: dict[str, Any], found: Found, report: Report) -> None:
    """Fallback groups become the tiers above: they stand in when all of a tier has failed, or its window is too small."""
    first = {alias: list(tiers["default"]) for alias, tiers in found.models.items()}
    for kind in ("fallbacks", "context_window_fallbacks"):
        for at, entry in enumerate(settings.get(kind) or ()):
            for alias, others in section(entry).items():
                key = f"{kind}[{at}].{alias}"
                names = [str(other) for other in others] if is_list(others) else []
                targets = list(found.models) if alias == "*" else [alias]
                if not any(target in found.models for target in targets):
                    report.left(key, f"no model {alias!r} was carried over")
                    continue
                before = len(report.items)
                for target in targets:
                    _above(found, first, target, names, key, report)
                if len(report.items) == before:
                    report.carried(key, f"models.{alias}: the same tiers stand above already")
    names = [str(name) for name in settings.get("default_fallbacks") or ()]
    before = len(report.items)
    for alias in list(found.models) if names else ():
        _above(found, first, alias, names, "default_fallbacks", report)
    if names and len(report.items) == before:
        report.changed("default_fallbacks", "no other alias is there that could fall back on it")
    for alias, target in section(settings.get("model_group_alias")).items():
        name = str(section(target).get("model", "")) or str(target)
        if name in found.models:
            found.models[alias] = {tier: list(models) for tier, models in found.models[name].items()}
            found.weights[alias] = dict(found.weights.get(name, {}))
            report.carried(f"model_group_alias.{alias}", f"models.{alias}, as models.{name}")
        else:
            report.left(f"model_group_alias.{alias}", f"no model {name!r} was carried over")


def _above(found: Found, first: dict[str, list[str]], alias: str, names: list[str], key: str, report: Report) -> None:
    tiers = found.models[alias]
    for name in names:
        if name == alias:
            continue
        held = {ref for models in tiers.values() for ref in models}
        models = [ref for ref in first.get(name, ()) if ref not in held]
        if name not in first:
            report.left(key, f"no model {name!r} was carried over to fall back on")
        elif models:
            tiers[name] = models
            report.carried(key, f"models.{alias}: the tier {name!r} above")


def _balance(router: dict[str, Any], found: Found, document: dict[str, Any], report: Report) -> None:
    strategy = str(router.get("routing_strategy") or "simple-shuffle")
    by = STRATEGIES.get(strategy)
    if by is None:
        report.left("router_settings.routing_strategy", f"{strategy!r} has no counterpart; models are asked in order")
        return
    shared = [alias for alias, tiers in found.models.items() if any(len(models) > 1 for models in tiers.values())]
    balance: dict[str, Any] = {}
    for alias in shared:
        held = {ref for models in found.models[alias].values() for ref in models}
        weights = {ref: weight for ref, weight in found.weights.get(alias, {}).items() if ref in held}
        balance[alias] = {"by": by, **({"weights": weights} if by == "weights" and weights else {})}
    if balance:
        document["routing"]["balance"] = balance
    if "routing_strategy" in router:
        say = (
            report.carried
            if strategy in ("simple-shuffle", "latency-based-routing", "cost-based-routing")
            else report.changed
        )
        say("router_settings.routing_strategy", f"routing.balance: by {by}")


def _reliability(settings: dict[str, Any], where: str, document: dict[str, Any], report: Report) -> None:
    resilience = document["resilience"]
    number = _number(settings.get("num_retries"))
    if number is not None:
        resilience.setdefault("retries", {})["max_tries"] = min(10, int(number) + 1)
        report.carried(
            f"{where}.num_retries",
            f"resilience.retries.max_tries: {min(10, int(number) + 1)}, under a budget for all calls together",
        )
    for name in ("request_timeout", "timeout"):
        seconds = _number(settings.get(name))
        if seconds:
            resilience["timeout_s"] = seconds
            report.carried(f"{where}.{name}", f"resilience.timeout_s: {seconds:g}, for a call with all its tries")
    fails = _number(settings.get("allowed_fails"))
    if fails is not None:
        resilience.setdefault("circuit", {})["consecutive"] = max(1, int(fails) + 1)
        report.changed(f"{where}.allowed_fails", "counts failures in a row here: resilience.circuit.consecutive")
    cool_s = _number(settings.get("cooldown_time"))
    if cool_s:
        resilience.setdefault("circuit", {}).update(cool_s=cool_s, cool_max_s=max(30.0, cool_s))
        report.carried(f"{where}.cooldown_time", "resilience.circuit.cool_s; one probe goes out then")


def _cache(library: dict[str, Any], document: dict[str, Any], report: Report) -> None:
    if not library.get("cache"):
        return
    params = section(library.get("cache_params"))
    kind = str(params.get("type") or "redis")
    if kind.endswith("semantic"):
        document["caching"]["semantic_cache"] = {"enabled": True}
        report.changed(
            "litellm_settings.cache",
            "caching.semantic_cache: under an error budget, with an audit; see docs/caching.md",
        )
        return
    exact: dict[str, Any] = {"enabled": True}
    ttl = _number(params.get("ttl"))
    if ttl:
        exact["ttl_seconds"] = ttl
    if kind == "redis" and _redis(params, "litellm_settings.cache_params", document, report):
        exact["backend"] = "redis"
    elif kind == "local":
        exact["backend"] = "memory"
    document["caching"]["exact_cache"] = exact
    if kind in ("redis", "local", "disk"):
        report.carried("litellm_settings.cache", "caching.exact_cache")
    else:
        report.changed("litellm_settings.cache", f"{kind!r} is not there: caching.exact_cache in the workspace's store")


def _redis(settings: dict[str, Any], where: str, document: dict[str, Any], report: Report) -> bool:
    """Whether Redis is known to our file now."""
    url = settings.get("redis_url") or settings.get("url")
    host = settings.get("redis_host") or settings.get("host")
    if not url and not host:
        return bool(document["redis"])
    if url:
        document["redis"]["url"] = report.reference(url, f"{where}.redis_url", "REDIS_URL")
    else:
        password = settings.get("redis_password") or settings.get("password")
        port = settings.get("redis_port") or settings.get("port") or 6379
        secret = f":{report.reference(password, f'{where}.redis_password', 'REDIS_PASSWORD')}@" if password else ""
        written = [_plain(part, default) for part, default in ((host, "127.0.0.1"), (port, "6379"))]
        document["redis"]["url"] = f"redis://{secret}{written[0]}:{written[1]}/0"
    report.carried(f"{where}: Redis", "redis.url")
    return True


def _plain(value: Any, default: str) -> str:
    """A value that may be a reference to the environment; with the usual value where the variable is not set."""
    text = str(value)
    return f"${{{text.removeprefix('os.environ/')}:-{default}}}" if text.startswith("os.environ/") else text


def _budget(library: dict[str, Any], document: dict[str, Any], report: Report) -> None:
    amount = _number(library.get("max_budget"))
    if amount is None:
        return
    written = str(library.get("budget_duration") or "30d")
    period = PERIODS.get(written)
    if period is None:
        report.left(
            "litellm_settings.max_budget",
            f"a budget for {written!r} is not there; periods are second, minute, hour, day and month",
        )
        return
    document["limits"].append({"name": "budget", "period": period, "usd": amount})
    report.carried("litellm_settings.max_budget", f"limits: {amount:g} dollars per {period}, reserved before each call")


def _proxy(proxy: dict[str, Any], document: dict[str, Any], report: Report) -> None:
    if proxy.get("master_key"):
        document["server"]["api_key"] = report.reference(
            proxy["master_key"], "general_settings.master_key", "LITELLM_MASTER_KEY"
        )
        report.carried("general_settings.master_key", "server.api_key")
    if proxy.get("completion_model"):
        name = str(proxy["completion_model"])
        if name in document["models"]:
            document["routing"]["default_model"] = name
            report.carried("general_settings.completion_model", "routing.default_model")
        else:
            report.left("general_settings.completion_model", f"no model {name!r} was carried over")
    if (most := _number(proxy.get("global_max_parallel_requests"))) and most >= 1:
        document["resilience"].setdefault("admission", {})["max_concurrent"] = int(most)
        report.carried("general_settings.global_max_parallel_requests", "resilience.admission.max_concurrent")
    if (most := _number(proxy.get("max_parallel_requests"))) and most >= 1:
        for provider in document["providers"].values():
            provider.setdefault("max_concurrent", int(most))
        report.carried("general_settings.max_parallel_requests", "max_concurrent of the providers in this file")
    if proxy.get("database_url"):
        report.changed(
            "general_settings.database_url",
            "the ledger needs no server: `store`. Keys, teams and spend stay in LiteLLM's database; make keys with `interlock keys create`",
        )


CARRIED = frozenset(
    (
        *(
            "num_retries",
            "request_timeout",
            "timeout",
            "allowed_fails",
            "cooldown_time",
            "fallbacks",
            "context_window_fallbacks",
        ),
        *(
            "default_fallbacks",
            "model_group_alias",
            "routing_strategy",
            "cache",
            "cache_params",
            "max_budget",
            "budget_duration",
        ),
        *("redis_host", "redis_port", "redis_password", "redis_url", "master_key", "completion_model", "database_url"),
        *("global_max_parallel_requests", "max_parallel_requests"),
    )
)


def _what_is_left(settings: dict[str, Any], where: str, report: Report) -> None:
    for name in settings:
        if name in ALWAYS:
            report.changed(f"{where}.{name}", ALWAYS[name])
        elif name not in CARRIED:
            report.left(f"{where}.{name}", REASONS.get(name, "there is nothing like it here"))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    text = str(value)
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None
