"""The price of every model: own prices from the files first, then the public price list, resolved once and then looked up.

Above: app hands the book to the gateway as `core.ports.PriceOf`, and `known` to the ledger. Below: pricelist, config, core.
No money is a float anywhere: a list's decimal dollars per million tokens become whole nano-dollars per million.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct, structs

from interlock.config.schema import PriceSettings
from interlock.core.money import Price, Rates
from interlock.core.ports import ON_DEVICE, Deployment
from interlock.core.time import NS_PER_S, Clock

from . import pricelist
from .pricelist import Listed

STANDARD = "standard"
SLOT_NS = 1800 * NS_PER_S
"""Prices are looked up again every half-hour of the day, since some hold for hours of the day and all may get a new date."""
_MICROS_PER_HOUR = 3_600 * 1_000_000
_FALLBACK = "*"
KEPT = 2_000
"""Models whose prices and warnings are remembered; a request may name any model, so there must be an end to them."""
VERSIONS_KEPT = 20_000
"""Prices that can be looked up by version: many more, since the ledger asks for one shortly after it was applied."""

BUILT_IN: Mapping[str, Price] = {
    f"{ON_DEVICE}/*": Price(
        model=f"{ON_DEVICE}/*", rates=Rates(), source="on this machine: nobody charges for it", since="", version=""
    ),
    # A stand-in, so that a rehearsal shows an order of magnitude; its money never mixes with real money.
    "simulated/*": Price(
        model="simulated/*",
        rates=Rates(
            input=150_000_000,
            cache_read=75_000_000,
            cache_write=150_000_000,
            cache_write_1h=150_000_000,
            output=600_000_000,
            reasoning=600_000_000,
        ),
        source="stand-in for simulated models: a small hosted model's list price (gpt-4o-mini, 2026-10)",
        since="",
        version="",
        estimated=True,
    ),
}
"""Prices of what is part of Interlock itself; own prices of the same name go first."""


class _Resolved(Struct, frozen=True):
    """The prices of one model in one tier for one half-hour, by ascending `above_input`."""

    slot: int
    prices: tuple[Price, ...]


class PriceBook:
    """`core.ports.PriceOf`. A price is never missing: where none is known it is marked as estimated and listed in `warnings`."""

    def __init__(self, overrides: Mapping[str, PriceSettings], clock: Clock) -> None:
        """`overrides`: own prices by `provider/model`; `provider/*` holds for all its models, `*` where nothing else is known."""
        self._overrides = overrides
        self._clock = clock
        self._resolved: dict[tuple[str, str], _Resolved] = {}
        self._by_version: dict[str, Price] = {}
        self._warnings: dict[str, str] = {}
        self._resolving = threading.Lock()

    def __call__(self, deployment: Deployment, input_tokens: int) -> Price:
        """The standard price of a call whose whole input is `input_tokens`."""
        return self.price(deployment, input_tokens)

    def price(self, deployment: Deployment, input_tokens: int, tier: str = STANDARD) -> Price:
        """The price in one of the tiers of `pricelist.TIERS`.

        Raises:
            ValueError: no tier of that name exists at all.
        """
        slot = self._clock.wall_ns() // SLOT_NS
        found = self._resolved.get((deployment.name, tier))
        if found is None or found.slot != slot:
            found = self._resolve(deployment, tier, slot)
        prices = found.prices
        if len(prices) == 1:
            return prices[0]
        return next((price for price in reversed(prices) if input_tokens > price.above_input), prices[0])

    def known(self, version: str) -> Price | None:
        """The price of a version that this book has given out."""
        return self._by_version.get(version)

    @property
    def warnings(self) -> list[str]:
        """What a person should know about prices that were given out: one line for each."""
        return list(self._warnings.values())

    def warm(self, deployments: Iterable[Deployment]) -> None:
        """Resolves these now, so that no call has to load the price list."""
        for deployment in deployments:
            self.price(deployment, 0)

    def load(self) -> None:
        """Loads the price list now, off the path of requests; for servers that take any model name."""
        pricelist.load()

    def _resolve(self, deployment: Deployment, tier: str, slot: int) -> _Resolved:
        if tier not in pricelist.TIERS:
            raise ValueError(f"no price tier {tier!r}; there are {', '.join(pricelist.TIERS)}")
        with self._resolving:
            prices = self._find(deployment, tier, slot * SLOT_NS)
            found = _Resolved(slot, tuple(_versioned(price) for price in prices))
            self._by_version.update({price.version: price for price in found.prices})
            self._resolved[deployment.name, tier] = found
            _forget_oldest(self._by_version, VERSIONS_KEPT)
            _forget_oldest(self._resolved, KEPT)
            _forget_oldest(self._warnings, KEPT)
        return found

    def _find(self, deployment: Deployment, tier: str, at_ns: int) -> list[Price]:
        own = self._own(deployment.name)
        if own is None or own.tier not in (STANDARD, tier):
            return self._public(deployment, tier, at_ns)
        price = _own_price(deployment.name, own)
        if own.tier != tier:
            # Only the standard price is declared: it stands in for the discounted one, which would be lower.
            price = structs.replace(price, tier=tier, estimated=True)
        if not own.above_input:
            return [price]
        below = [each for each in self._public(deployment, tier, at_ns) if each.above_input < own.above_input]
        return [*below, structs.replace(price, above_input=own.above_input)]

    def _public(self, deployment: Deployment, tier: str, at_ns: int) -> list[Price]:
        """What is known without an own price."""
        name = deployment.name
        for pattern, price in BUILT_IN.items():
            if fnmatchcase(name, pattern):
                return [structs.replace(price, model=name, tier=tier)]
        listed = pricelist.find(deployment, tier, at_ns)
        if isinstance(listed, Listed):
            if listed.note:
                self._warnings[f"{name} {tier}"] = f"{name}: {listed.note}"
            return list(listed.prices)
        return [self._stand_in(name, listed)]

    def _own(self, name: str) -> PriceSettings | None:
        """The own price that fits best: of the very name, else of the longest pattern."""
        if name in self._overrides:
            return self._overrides[name]
        patterns = [each for each in self._overrides if each != _FALLBACK and fnmatchcase(name, each)]
        return self._overrides[max(patterns, key=len)] if patterns else None

    def _stand_in(self, name: str, why: str) -> Price:
        fallback = self._overrides.get(_FALLBACK)
        if fallback is not None:
            self._warnings[name] = f"{name}: {why}; the fallback price `{_FALLBACK}` of the configuration is used."
            return structs.replace(_own_price(name, fallback), estimated=True)
        self._warnings[name] = (
            f"{name}: {why}; its calls count as $0.00, so no limit in dollars holds them. Declare it under `prices:`."
        )
        return Price(model=name, rates=Rates(), source=f"none: {why}", since="", version="", estimated=True)


def _forget_oldest(kept: dict[Any, Any], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]


def _own_price(name: str, own: PriceSettings) -> Price:
    """An own price. Dollars per hour are turned into token rates, since a server's answer says tokens and never its time.

    A provider that runs in this process reports time and no tokens, so the hour itself stands beside them: no call has both.
    """
    rates = own.rates
    if own.gpu_hour_nano_usd is not None:
        per_second = own.tokens_per_second or 0
        hourly = round(per_second * _MICROS_PER_HOUR)
        rate = -(-own.gpu_hour_nano_usd * 1_000_000 * 1_000_000 // hourly)
        rates = Rates(output=rate, reasoning=rate, compute_ms=own.gpu_hour_nano_usd)
    return Price(model=name, rates=rates, source=own.source, since=own.since, version="", tier=own.tier)


def _versioned(price: Price) -> Price:
    """The price under the hash of all that it says."""
    blank = structs.replace(price, version="")
    digest = blake2b(msgspec.json.encode(structs.asdict(blank), order="sorted"), digest_size=6)
    return structs.replace(blank, version=digest.hexdigest())
