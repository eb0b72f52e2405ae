"""The public price list: what a deployment costs by the data of the package `genai-prices`, the only place that knows its keys.

Above: prices. Below: listing, taken. The list works offline and is as new as the installed package, whose version `Price.source` names; it is read from
`pricelist.json`, which was taken from one version, and from the package itself where another one is installed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec
from msgspec import Struct

from interlock.core.money import NANO_PER_USD, Price, Rates
from interlock.core.ports import Deployment
from interlock.core.time import NS_PER_S

from .listing import Listing, Model, Step, Stepped, Terms, Usd

SHIPPED = Path(__file__).with_name("pricelist.json")
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
    """Loads the list: some milliseconds of CPU, or a tenth of a second where another version of the package is installed."""
    listing()


def find(deployment: Deployment, tier: str, at_ns: int) -> Listed | str:
    """The prices at one instant, or why there are none."""
    known = listing()
    model = _model(known, deployment)
    if isinstance(model, str):
        return model
    at = dt.datetime.fromtimestamp(at_ns // NS_PER_S, dt.UTC)
    context = TIERS[tier]
    standard, tiers = model.standard(at), [each for each in model.tiers if each.when == context and each.holds(at)]
    usd = model.usd(at, context)
    found = tuple(
        Price(
            model=deployment.name,
            rates=_rates(usd, above),
            source=f"genai-prices {known.package}",
            since=_since([standard, *tiers], at),
            version="",
            tier=tier,
            above_input=above,
            estimated=bool(context) and not tiers,
        )
        for above in _cliffs(usd)
    )
    return Listed(found, _note(usd, tier, not context or bool(tiers)))


@cache
def listing() -> Listing:
    """The list, read once."""
    shipped = msgspec.json.decode(SHIPPED.read_bytes(), type=Listing)
    if _other_installed(shipped.package):
        from .taken import taken

        return taken()
    return shipped


def _other_installed(version: str) -> bool:
    """Whether the package is there in another version; told by its folder, since asking it takes as long as its list."""
    spec = find_spec("genai_prices")
    if spec is None or spec.origin is None:
        return False
    folder = Path(spec.origin).parent.parent
    return not (folder / f"genai_prices-{version}.dist-info").is_dir()


def _model(known: Listing, deployment: Deployment) -> Model | str:
    """The list's entry, looked for by the provider's name, then by its address; never by the model's name alone, since
    a server of one's own may serve a model under a vendor's name.
    """
    vendor = known.vendor(deployment.provider, deployment.base_url)
    if vendor is None:
        return f"the price list knows no provider {deployment.provider!r}"
    model = known.model(vendor, deployment.model)
    return model if model is not None else f"the price list knows no model {deployment.model!r} of {vendor.id}"


def _since(terms: list[Terms], at: dt.datetime) -> str:
    """The latest date from which anything of this price holds, as far as the list dates it."""
    known = [each.since for each in terms if each.since is not None and each.holds(at)]
    return max(known).isoformat() if known else ""


def _cliffs(usd: Mapping[str, Usd]) -> list[int]:
    """The numbers of input tokens above which another price holds for the whole call; zero first."""
    starts = {step.above for value in usd.values() for step in _steps(value)}
    return [0, *sorted(starts - {0})]


def _steps(value: Usd) -> tuple[Step, ...]:
    return value.steps if isinstance(value, Stepped) else ()


def _rates(usd: Mapping[str, Usd], above: int) -> Rates:
    return Rates(**{bucket: _nano(_first(usd, names), above) for bucket, names in _KEYS.items()})


def _first(usd: Mapping[str, Usd], names: tuple[str, ...]) -> Usd:
    return next((usd[name] for name in names if name in usd), Decimal(0))


def _nano(value: Usd, above: int) -> int:
    """Whole nano-dollars per million tokens, for calls above a number of input tokens."""
    reached = [step.usd for step in _steps(value) if above >= step.above]
    dollars = reached[-1] if reached else value.base if isinstance(value, Stepped) else value
    return int((dollars * NANO_PER_USD).to_integral_value(ROUND_HALF_EVEN))


def _note(keys: Mapping[str, Usd], tier: str, offered: bool) -> str:
    notes: list[str] = []
    if not offered:
        notes.append(f"the price list has no {tier} price; the standard price is used and marked as estimated.")
    if _PER_REQUEST in keys:
        notes.append(f"the vendor also charges ${keys[_PER_REQUEST]} per thousand requests, which is not counted.")
    if "input_mtok" not in keys and "output_mtok" not in keys:
        notes.append("the price list has no token price; calls count as $0.00.")
    return " ".join(notes)
