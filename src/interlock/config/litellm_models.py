"""LiteLLM's `model_list` and fallbacks as providers, aliases with tiers, prices and weights.

Above: litellm. Below: shapes. One deployment there is a model of a provider here; what differs between deployments of one vendor (address, key, limits,
timeout) makes providers of their own. The vendors' addresses and key names are those of LiteLLM's provider pages and of the vendors (2026-11).
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

from msgspec import Struct

from .litellm import Report, section

BUILT_IN = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY", "ollama": ""}
"""Providers that exist without being configured, and where their keys come from."""
SAME_AS = {"ollama_chat": "ollama", "hosted_vllm": "vllm", "text-completion-openai": "openai", "azure_text": "azure"}
ADDRESSES = {
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "deepseek": ("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "together_ai": ("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY"),
    "fireworks_ai": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"),
    "perplexity": ("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "nvidia_nim": ("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "cerebras": ("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
}
"""Vendors that speak OpenAI's chat completions."""
SERVERS = frozenset(
    (
        "vllm",
        "azure",
        "azure_ai",
        "lm_studio",
        "litellm_proxy",
        "custom_openai",
        "openai_like",
        "huggingface",
        "llamafile",
    )
)
"""Servers that speak it at an address of the team's own."""
OWN = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta",
    "ollama": "http://127.0.0.1:11434/v1",
}
"""The built-in providers' own addresses, for a second provider of that kind."""
NO_KEY = frozenset(("none", "null", "", "dummy", "fake-key", "anything", "sk-anything", "empty", "not-needed"))
"""What people write for servers that want no key."""
MODES = frozenset(("", "chat", "completion", "embedding", "responses"))
COSTS = {
    "input_cost_per_token": "input_mtok_usd",
    "output_cost_per_token": "output_mtok_usd",
    "cache_read_input_token_cost": "cache_read_mtok_usd",
    "cache_creation_input_token_cost": "cache_write_mtok_usd",
}
KNOWN = frozenset(
    (
        *("model", "api_base", "base_url", "api_key", "api_version", "custom_llm_provider", "rpm", "tpm", "weight"),
        *(
            "timeout",
            "stream_timeout",
            "max_retries",
            "organization",
            "extra_headers",
            "max_parallel_requests",
            "region_name",
            "max_tokens",
        ),
        *COSTS,
    )
)


class Found(Struct):
    """What the model list comes to."""

    providers: dict[str, dict[str, Any]] = {}
    models: dict[str, dict[str, list[str]]] = {}
    """Alias → tier → `provider/model`."""
    weights: dict[str, dict[str, float]] = {}
    """Alias → `provider/model` → weight."""
    prices: dict[str, dict[str, Any]] = {}
    shaping: dict[str, dict[str, Any]] = {}
    names: dict[tuple[Any, ...], str] = {}
    """What makes a provider one of its own → its name."""


class Where(Struct, frozen=True):
    """How a vendor is spoken to."""

    dialect: str
    base_url: str
    """Empty for the address that a built-in provider has."""
    env: str
    """Where LiteLLM looks for the key when none is given."""


class Entry(Struct, frozen=True):
    """One entry of the model list that can be called from here."""

    key: str
    alias: str
    vendor: str
    model: str
    where: Where
    params: dict[str, Any]
    info: dict[str, Any]

    @property
    def is_itself(self) -> bool:
        """The alias is what the model is called here anyway."""
        return self.alias == f"{self.vendor}/{self.model}"


def models_of(sections: dict[str, Any], report: Report) -> Found:
    """Every entry of the model list that can be called from here."""
    found = Found({}, {}, {}, {}, {}, {})
    entries = [_entry(section(each), f"model_list[{at}]", report) for at, each in enumerate(sections["model_list"])]
    readable = [entry for entry in entries if entry is not None]
    taken = {entry.alias for entry in readable if not entry.is_itself}
    for entry in readable:
        _add(entry, found, report, taken)
    return found


def _entry(said: dict[str, Any], key: str, report: Report) -> Entry | None:
    params, info = section(said.get("litellm_params")), section(said.get("model_info"))
    alias, written = str(said.get("model_name", "")), str(params.get("model", ""))
    if not alias or not written:
        report.left(key, "model_name or litellm_params.model is missing")
        return None
    mode = str(info.get("mode") or "")
    if mode not in MODES:
        report.left(key, f"{alias!r} is of mode {mode!r}, which is not served here")
        return None
    vendor, model = _split(written, params)
    where = _where(vendor, _address(params))
    if where is None:
        report.left(
            key,
            f"{alias!r}: nothing here speaks to {vendor!r} yet; one that speaks OpenAI's dialect is added by its address",
        )
        return None
    return Entry(key, alias, vendor, model, where, params, info)


def _add(entry: Entry, found: Found, report: Report, taken: set[str]) -> None:
    name = _provider(entry, found, report, taken)
    ref = f"{name}/{entry.model}"
    if "*" in entry.model:
        report.changed(entry.key, f"needs no entry: any model of {name!r} can be asked for as {name}/MODEL")
        return
    if ref == entry.alias:
        report.changed(entry.key, f"needs no entry: {ref} can be asked for as it is")
        return
    tier = found.models.setdefault(entry.alias, {}).setdefault("default", [])
    if ref not in tier:
        tier.append(ref)
    weight = entry.params.get("weight") or entry.params.get("rpm") or entry.params.get("tpm")
    if isinstance(weight, int | float) and not isinstance(weight, bool):
        found.weights.setdefault(entry.alias, {})[ref] = float(weight)
    _costs({**entry.info, **entry.params}, ref, entry.key, found, report)
    _params(entry.params, entry.alias, entry.key, found, report)
    report.carried(entry.key, f"models.{entry.alias}: {ref}")


def _split(written: str, params: dict[str, Any]) -> tuple[str, str]:
    """(vendor, the vendor's own name of the model)."""
    vendor, slash, model = written.partition("/")
    known = {*BUILT_IN, *SAME_AS, *ADDRESSES, *SERVERS}
    said = str(params.get("custom_llm_provider") or "")
    if said:
        return SAME_AS.get(said, said), model if slash and vendor == said else written
    if slash and (vendor in known or not _address(params)):
        return SAME_AS.get(vendor, vendor), model
    if re.match(r"claude-", written):
        return "anthropic", written
    if _address(params) or re.match(r"(gpt-|chatgpt-|o\d|text-embedding-|\*$)", written):
        return "openai", written
    return ("vertex_ai" if written.startswith("gemini") else written), written


def _address(params: dict[str, Any]) -> str:
    """The server's address; one in the environment as a reference, with a name that nothing has where the variable is not set."""
    written = str(params.get("api_base") or params.get("base_url") or "").strip().rstrip("/")
    if not written.startswith("os.environ/"):
        return written
    variable = written.removeprefix("os.environ/")
    return f"${{{variable}:-https://set-{variable.lower().replace('_', '-')}.invalid}}"


def _where(vendor: str, address: str) -> Where | None:
    """`None` for a vendor whose wire is not spoken here, or whose address is not known."""
    if vendor in BUILT_IN:
        dialect = "openai" if vendor == "ollama" else vendor
        own = _versioned(address, "/v1") if vendor == "ollama" and address else address
        return Where(dialect, own, BUILT_IN[vendor])
    if vendor in ADDRESSES:
        usual, env = ADDRESSES[vendor]
        return Where("openai", address or usual, env)
    if not address or vendor not in SERVERS:
        return None
    ending = {"azure": "/openai/v1", "huggingface": "/v1", "llamafile": "/v1", "lm_studio": "/v1"}.get(vendor, "")
    return Where("openai", _versioned(address, ending), "AZURE_API_KEY" if vendor == "azure" else "")


def _versioned(address: str, ending: str) -> str:
    """The address of the interface at a server whose own address was given."""
    return address if address.endswith("/v1") else f"{address}{ending}"


def _provider(entry: Entry, found: Found, report: Report, taken: set[str]) -> str:
    """The name of the provider that the deployment belongs to, which is made where there is none like it yet."""
    params, where = entry.params, entry.where
    credential = params.get("api_key")
    no_key = "api_key" in params and str(credential).lower() in NO_KEY
    usual = credential is None or str(credential) == f"os.environ/{where.env}"
    fields: dict[str, Any] = {
        "requests_per_minute": _whole(params.get("rpm")),
        "tokens_per_minute": _whole(params.get("tpm")),
        "max_concurrent": _whole(params.get("max_parallel_requests")),
        "timeout_s": _seconds(params.get("timeout")),
        "region": str(params.get("region_name") or ""),
    }
    headers = {str(name): value for name, value in section(params.get("extra_headers")).items()}
    if params.get("organization"):
        headers["OpenAI-Organization"] = params["organization"]
    identity = (entry.vendor, where.base_url, None if usual else str(credential), *fields.values(), str(headers))
    if identity in found.names:
        return found.names[identity]
    name = _name(entry, found, taken, usual)
    made: dict[str, Any] = (
        {} if name in BUILT_IN else {"dialect": where.dialect, "base_url": where.base_url or OWN[entry.vendor]}
    )
    if name not in BUILT_IN and not no_key and (credential is not None or where.env):
        said = f"os.environ/{where.env}" if credential is None else credential
        made["api_key"] = report.reference(said, f"{entry.key}.litellm_params.api_key", f"{name}_API_KEY")
        made["needs_key"] = True
    made |= {field: value for field, value in fields.items() if value}
    if headers:
        made["options"] = {
            "headers": {field: _header(value, f"{name}_{field}", entry.key, report) for field, value in headers.items()}
        }
    if made:
        found.providers[name] = made
    found.names[identity] = name
    return name


def _header(value: Any, name: str, key: str, report: Report) -> str:
    text = str(value)
    return (
        report.reference(text, f"{key}.litellm_params.extra_headers", name) if text.startswith("os.environ/") else text
    )


def _name(entry: Entry, found: Found, taken: set[str], usual: bool) -> str:
    """A name that no other provider has, and that makes no model's name the name of an alias."""
    used = {*found.names.values(), "vllm", "simulated", "local"}
    if entry.vendor not in BUILT_IN:
        used |= set(BUILT_IN)
    elif entry.where.base_url or not usual:
        used.add(entry.vendor)  # the built-in one has the usual address and key
    base = re.sub(r"[^a-z0-9_-]+", "-", f"{entry.vendor}-{_host(entry)}".lower()).strip("-")
    names = [base, *(f"{base}-{number}" for number in range(2, 1_000))]
    return next(name for name in names if name not in used and f"{name}/{entry.model}" not in taken)


def _host(entry: Entry) -> str:
    """What tells a server from others of its kind: the first part of its name, or all of an address in numbers."""
    address = entry.where.base_url
    if not address.startswith("http") or address == ADDRESSES.get(entry.vendor, ("",))[0]:
        return ""
    host = re.sub(r"^https?://|/.*$", "", address)
    return host if host[0].isdigit() else re.split(r"[:.]", host)[0]


def _costs(said: dict[str, Any], ref: str, key: str, found: Found, report: Report) -> None:
    costs = {ours: cost for theirs, ours in COSTS.items() if (cost := _number(said.get(theirs))) is not None}
    if "input_mtok_usd" in costs and "output_mtok_usd" in costs:
        prices = {name: float(round(Decimal(str(value)) * 1_000_000, 9)) for name, value in costs.items()}
        found.prices[ref] = {**prices, "source": "LiteLLM config"}
    elif costs:
        report.left(f"{key}: costs", "a price needs both input_cost_per_token and output_cost_per_token")


def _number(said: object) -> float | None:
    """Also of `1e-6`, which YAML 1.1 takes for a text."""
    try:
        found = float(said) if isinstance(said, int | float | str) else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _params(params: dict[str, Any], alias: str, key: str, found: Found, report: Report) -> None:
    """What else stands under litellm_params."""
    if (cap := _whole(params.get("max_tokens"))) is not None:
        found.shaping.setdefault(alias, {})["max_output_tokens"] = cap
        report.changed(f"{key}.litellm_params.max_tokens", f"is a cap here: shaping.{alias}.max_output_tokens")
    if params.get("api_version"):
        report.changed(
            f"{key}.litellm_params.api_version", "not needed: Azure's v1 interface is called, which takes no version"
        )
    for name in ("temperature", "top_p", "seed"):
        if name in params:
            why = f"there it holds where the caller says nothing, `shaping.{alias}.{name}` here would hold in any case; set it if that is what you want"
            report.left(f"{key}.litellm_params.{name}", why)
    for name in sorted(set(params) - KNOWN - {"temperature", "top_p", "seed"}):
        report.left(f"{key}.litellm_params.{name}", "there is nothing like it here")


def _whole(value: Any) -> int | None:
    text = str(value)
    return int(text) if value is not None and text.isdigit() and int(text) > 0 else None


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
