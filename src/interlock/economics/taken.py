"""The price list of the installed package `genai-prices` as plain values. Above: pricelist, scripts/price_list.py. Below: listing, `genai_prices`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from .listing import Clause, Listing, Model, Step, Stepped, Terms, Usd, Vendor

_CLAUSES = {
    "ClauseEquals": "equals",
    "ClauseStartsWith": "starts_with",
    "ClauseEndsWith": "ends_with",
    "ClauseContains": "contains",
    "ClauseRegex": "regex",
}


def taken() -> Listing:
    """As the package has it (a tenth of a second of CPU)."""
    package: Any = import_module("genai_prices")
    vendors: Iterable[Any] = import_module("genai_prices.data_snapshot").get_snapshot().providers
    return Listing(package.__version__, tuple(_vendor(each) for each in vendors))


def _vendor(said: Any) -> Vendor:
    models = msgspec.json.encode([_model(each) for each in said.models])
    name = None if said.provider_match is None else _clause(said.provider_match)
    return Vendor(said.id, said.api_pattern, msgspec.Raw(models), name, tuple(said.fallback_model_providers or ()))


def _model(said: Any) -> Model:
    prices: Any = said.prices
    if isinstance(prices, list):
        terms = [_terms(each.prices, each.constraint) for each in cast("list[Any]", prices)]
    else:
        terms = [_terms(prices, None)]
    tiers = [_terms(each.prices, each.constraint, each.when) for each in said.price_variants or ()]
    return Model(_clause(said.match), tuple(terms), tuple(tiers))


def _clause(said: Any) -> Clause:
    kind = type(said).__name__
    if kind == "ClauseOr":
        return Clause(any_of=tuple(_clause(each) for each in said.or_))
    if kind == "ClauseAnd":
        return Clause(all_of=tuple(_clause(each) for each in said.and_))
    name = _CLAUSES[kind]
    return replace(Clause(), **{name: getattr(said, name)})


def _terms(prices: object, constraint: object, when: Mapping[str, str] | None = None) -> Terms:
    stated: Mapping[str, Any] = prices.__dict__
    return Terms(
        {key: _usd(value) for key, value in stated.items() if value is not None},
        getattr(constraint, "start_date", None),
        _utc(getattr(constraint, "start_time", None)),
        _utc(getattr(constraint, "end_time", None)),
        None if when is None else dict(when),
    )


def _usd(said: Any) -> Usd:
    tiers: Iterable[Any] | None = getattr(said, "tiers", None)
    return said if tiers is None else Stepped(said.base, tuple(Step(each.start, each.price) for each in tiers))


def _utc(said: dt.time | None) -> dt.time | None:
    if said is None or said.tzinfo is None:
        return said
    return dt.datetime.combine(dt.date(1970, 1, 1), said).astimezone(dt.UTC).time()
