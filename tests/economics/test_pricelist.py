"""The price list that is shipped: the package's own, model by model, and no older than it."""

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from genai_prices import data_snapshot

from interlock.core.ports import Deployment
from interlock.economics import pricelist
from interlock.economics.listing import Listing, Stepped, Usd, models_of
from interlock.economics.taken import taken

INSTANTS = [
    dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC),
    dt.datetime(2025, 9, 1, 2, tzinfo=dt.UTC),
    dt.datetime(2026, 11, 1, 17, 29, tzinfo=dt.UTC),
    dt.datetime(2027, 1, 1, 23, 59, tzinfo=dt.UTC),
]
ADDRESSES = [
    "https://api.openai.com/v1",
    "https://api.anthropic.com",
    "https://api.mistral.ai/v1",
    "http://127.0.0.1:8000",
]


@pytest.fixture(scope="module")
def shipped() -> Listing:
    return msgspec.json.decode(pricelist.SHIPPED.read_bytes(), type=Listing)


@pytest.fixture(scope="module")
def package() -> Any:
    return data_snapshot.get_snapshot()


def test_the_shipped_list_is_that_of_the_package_that_the_lock_names(shipped):
    assert msgspec.json.encode(shipped) == msgspec.json.encode(taken()), "run scripts/price_list.py"


def test_a_vendor_is_recognised_by_name_and_address_as_the_package_does(shipped, package):
    names = [form for each in package.providers for form in (each.id, each.id.upper(), f"{each.id}-eu", each.name)]
    names += ["google-vertex", "bedrock", "azure-openai", "nobody", ""]
    for name in names:
        found = shipped.vendor(name, "")
        assert (found and found.id) == vendor_id(package, name, None)
    for address in ADDRESSES:
        found = shipped.vendor("nobody", address)
        assert (found and found.id) == vendor_id(package, None, address)


def test_every_model_is_found_and_priced_as_by_the_package(shipped, package):
    """All names that the list itself tells, at four instants and in every tier."""
    compared, alike = 0, set[tuple[int, int]]()
    for theirs, ours in zip(package.providers, shipped.vendors, strict=True):
        for name in sorted({form for model in theirs.models for form in (model.id, *forms(model.match))}):
            wanted = theirs.find_model(name.lower(), all_providers=package.providers)
            found = shipped.model(ours, name)
            assert (found is None) == (wanted is None), (theirs.id, name)
            compared += 1
            if wanted is None or found is None or (id(wanted), id(found)) in alike:
                continue
            alike.add((id(wanted), id(found)))
            for at in INSTANTS:
                for context in pricelist.TIERS.values():
                    stated = vars(wanted.get_prices(at, dict(context)))
                    assert plain(found.usd(at, context)) == their_plain(stated), (theirs.id, name, at, context)
    assert compared > 3_000


def test_another_version_of_the_package_is_read_itself(tmp_path, monkeypatch, shipped):
    older = tmp_path / "pricelist.json"
    older.write_bytes(msgspec.json.encode(Listing("0.0.1", ())))
    monkeypatch.setattr(pricelist, "SHIPPED", older)
    assert pricelist.listing.__wrapped__() == shipped


def test_the_list_knows_what_it_sells_for_others(shipped):
    azure = Deployment("azure", "gpt-4o-mini", "openai")
    listed = pricelist.find(azure, "standard", int(INSTANTS[2].timestamp()) * 10**9)
    assert isinstance(listed, pricelist.Listed)
    assert listed.prices[0].rates.input > 0
    assert models_of(bytes(shipped.vendors[0].models)) is models_of(bytes(shipped.vendors[0].models))


def vendor_id(package: Any, name: str | None, address: str | None) -> str | None:
    try:
        return package.find_provider(None, name, address).id
    except LookupError:
        return None


def forms(clause: Any) -> Iterator[str]:
    """Names that fit, or nearly fit, one of the list's clauses."""
    for key, around in (
        ("equals", ("{}", "{}-20251211")),
        ("starts_with", ("{}", "{}-x", "{}-20251211", "a{}")),
        ("ends_with", ("x-{}", "{}-x")),
        ("contains", ("a-{}-b", "{}")),
    ):
        if said := getattr(clause, key, None):
            yield from (each.format(said) for each in around)
    inner = (*(getattr(clause, "or_", None) or ()), *(getattr(clause, "and_", None) or ()))
    for each in inner:
        yield from forms(each)


def plain(usd: Mapping[str, Usd]) -> dict[str, tuple[Decimal, list[tuple[int, Decimal]]]]:
    return {
        key: (each.base, [(step.above, step.usd) for step in each.steps]) if isinstance(each, Stepped) else (each, [])
        for key, each in usd.items()
    }


def their_plain(stated: Mapping[str, Any]) -> dict[str, tuple[Decimal, list[tuple[int, Decimal]]]]:
    return {
        key: (each.base, [(tier.start, tier.price) for tier in each.tiers]) if hasattr(each, "tiers") else (each, [])
        for key, each in stated.items()
        if each is not None
    }
