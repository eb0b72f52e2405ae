"""The public price list: the data of the package `genai-prices`, the only place that knows its shape.

Above: prices. Below: `genai_prices`, loaded when it is first asked (or by `load`). The list works offline; it is as new as the
package that is installed, and `Price.source` names that version.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from importlib import import_module
from typing import Any, cast

from msgspec import Struct

from interlock.core.money import NANO_PER_USD, Price, Rates
from interlock.core.ports import Deployment
from interlock.core.time import NS_PER_S

TIERS: Mapping[str, Mapping[str, str]] = {
    "standard": {},
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
"""Our names of price tiers → how the list asks for them. The list ignores what it does not know, so nothing else is let through."""

_KEYS: Mapping[str, tuple[str, ...]] = {
    "input": ("input_mtok",),
    "cache_read": ("cache_read_mtok", "input_mtok"),
    "cache_write": ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "output": ("output_mtok",),
    "reasoning": ("output_reasoning_mtok", "output_mtok"),
    "input_image": ("input_image_mtok", "input_mtok"),
    "input_audio": ("input_audio_mtok", "input_mtok"),
    "output_image": ("output_image_mtok", "output_mtok"),
    "output_audio": ("output_audio_mtok", "output_mtok"),
}
"""Our buckets → the list's keys, the first one that it has: what has no price of its own costs what the plain kind costs."""
_PER_REQUEST = "requests_kcount"


class Listed(Struct, frozen=True):
    """What the list says about one model in one tier."""

    prices: tuple[Price, ...]
    """By ascending `above_input`; the first one holds from the first token."""
    note: str = ""
    """What the list says that these prices do not express."""


def load() -> None:
    """Loads the list (about half a second of CPU)."""
    _snapshot()


def find(deployment: Deployment, tier: str, at_ns: int) -> Listed | str:
    """The prices at one instant, or why there are none."""
    listed: Any = _model(deployment)
    if isinstance(listed, str):
        return listed
    at = dt.datetime.fromtimestamp(at_ns // NS_PER_S, dt.UTC)
    context = TIERS[tier]
    offered = not context or any(_applies(variant, context, at) for variant in listed.price_variants or ())
    keys = _stated(listed.get_prices(at, dict(context)))
    since = _since(listed, context, at)
    source = f"genai-prices {import_module('genai_prices').__version__}"
    found = tuple(
        Price(
            model=deployment.name,
            rates=_rates(keys, above),
            source=source,
            since=since,
            version="",
            tier=tier,
            above_input=above,
            estimated=not offered,
        )
        for above in _cliffs(keys)
    )
    return Listed(found, _note(keys, tier, offered))


def _snapshot() -> Any:
    return import_module("genai_prices.data_snapshot").get_snapshot()


def _model(deployment: Deployment) -> Any:
    """The list's entry, looked for by the provider's name, then by its address; never by the model's name alone, since
    a server of one's own may serve a model under a vendor's name.
    """
    snapshot = _snapshot()
    provider: Any = None
    for name, address in ((deployment.provider, None), (None, deployment.base_url or None)):
        if provider is None and (name or address):
            try:
                provider = snapshot.find_provider(None, name, address)
            except LookupError:
                continue
    if provider is None:
        return f"the price list knows no provider {deployment.provider!r}"
    model = provider.find_model(deployment.model.lower(), all_providers=snapshot.providers)
    return model if model is not None else f"the price list knows no model {deployment.model!r} of {provider.id}"


def _applies(variant: Any, context: Mapping[str, str], at: dt.datetime) -> bool:
    active: bool = variant.constraint is None or variant.constraint.active(at)
    return active and len(_stated(variant.prices)) > 0 and variant.when == dict(context)


def _stated(prices: object) -> dict[str, Any]:
    """The keys that a price of the list holds."""
    return {key: value for key, value in vars(prices).items() if value is not None}


def _since(model: Any, context: Mapping[str, str], at: dt.datetime) -> str:
    """The latest date from which anything of this price holds, as far as the list dates it."""
    dates: list[dt.date] = []
    dated: Any = model.prices
    if isinstance(dated, list):
        for each in reversed(cast("list[Any]", dated)):
            if each.constraint is None or each.constraint.active(at):
                dates.append(getattr(each.constraint, "start_date", dt.date.min))
                break
    applied: list[Any] = [each for each in model.price_variants or () if context and _applies(each, context, at)]
    dates += [getattr(each.constraint, "start_date", dt.date.min) for each in applied]
    known = [date for date in dates if date != dt.date.min]
    return max(known).isoformat() if known else ""


def _cliffs(keys: Mapping[str, Any]) -> list[int]:
    """The numbers of input tokens above which another price holds for the whole call; zero first."""
    starts = {tier.start for value in keys.values() for tier in getattr(value, "tiers", ())}
    return [0, *sorted(starts - {0})]


def _rates(keys: Mapping[str, Any], above: int) -> Rates:
    return Rates(**{bucket: _nano(_first(keys, names), above) for bucket, names in _KEYS.items()})


def _first(keys: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((keys[name] for name in names if name in keys), Decimal(0))


def _nano(value: Any, above: int) -> int:
    """Whole nano-dollars per million tokens, for calls above a number of input tokens."""
    for tier in reversed(getattr(value, "tiers", ())):
        if above >= tier.start:
            return _nano(tier.price, 0)
    dollars: Decimal = getattr(value, "base", value)
    return int((dollars * NANO_PER_USD).to_integral_value(ROUND_HALF_EVEN))


def _note(keys: Mapping[str, Any], tier: str, offered: bool) -> str:
    notes: list[str] = []
    if not offered:
        notes.append(f"the price list has no {tier} price; the standard price is used and marked as estimated.")
    if _PER_REQUEST in keys:
        notes.append(f"the vendor also charges ${keys[_PER_REQUEST]} per thousand requests, which is not counted.")
    if "input_mtok" not in keys and "output_mtok" not in keys:
        notes.append("the price list has no token price; calls count as $0.00.")
    return " ".join(notes)
