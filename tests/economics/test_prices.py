"""The price of every model: dated, by bucket and tier, overridable, and never silently missing."""

import datetime as dt

import pytest

from interlock.config.schema import PriceSettings
from interlock.core.money import Rates, Usage, cost_of
from interlock.core.ports import Deployment
from interlock.economics import PriceBook, prices
from tests.ledger.kit import Clock

GEMINI = "https://generativelanguage.googleapis.com/v1beta"


def at(date: str) -> Clock:
    clock = Clock()
    clock.now_ns = int(dt.datetime.fromisoformat(f"{date}T12:00:00+00:00").timestamp()) * 10**9
    return clock


@pytest.fixture
def book():
    return PriceBook({}, at("2026-11-01"))


def own(**fields: object) -> PriceSettings:
    """An own price, from the keys of the file."""
    return PriceSettings.model_validate(fields)


def deployment(name: str, base_url: str = "") -> Deployment:
    provider, model = name.split("/", 1)
    return Deployment(provider, model, "openai", base_url=base_url)


# What the vendors published (genai-prices 0.2.3 bundles it): dollars per million tokens, and whole calls at those prices.
VENDORS = [
    ("openai/gpt-4o-mini", "", "standard", Usage(input=20_000, cache_read=60_000, output=1_000), 8_100_000),
    ("openai/gpt-4o-mini", "", "batch", Usage(input=20_000, output=1_000), 1_800_000),
    (
        "anthropic/claude-sonnet-4-5",
        "",
        "standard",
        Usage(cache_read=60_000, cache_write=20_000, input=20_000, output=1_000),
        168_000_000,
    ),
    ("anthropic/claude-sonnet-4-5", "", "standard", Usage(cache_write_1h=10_000), 60_000_000),
    ("anthropic/claude-sonnet-4-5", "", "standard", Usage(input=250_000), 1_500_000_000),
    ("gemini/gemini-2.5-pro", GEMINI, "standard", Usage(input=150_000), 187_500_000),
    ("gemini/gemini-2.5-pro", GEMINI, "standard", Usage(input=250_000), 625_000_000),
    ("gemini/gemini-2.5-pro", GEMINI, "batch", Usage(input=250_000), 312_500_000),
    ("openai/o4-mini", "", "standard", Usage(input=1_000, reasoning=2_000, output=500), 12_100_000),
    (
        "openai/gpt-audio",
        "",
        "standard",
        Usage(input=1_000, input_audio=2_000, output=500, output_audio=300),
        90_700_000,
    ),
    ("openai/gpt-image-1.5", "", "standard", Usage(input=100, input_image=1_000, output_image=4_000), 136_500_000),
    ("gemini/gemini-2.5-flash", GEMINI, "standard", Usage(input=1_000, input_audio=10_000, output=1_000), 12_800_000),
    ("openai/gpt-4o-mini", "", "priority", Usage(input=1_000_000), 250_000_000),
]


@pytest.mark.requirement("EC-02")
@pytest.mark.parametrize(("name", "base_url", "tier", "usage", "nano_usd"), VENDORS)
def test_a_call_costs_what_the_vendor_published(book, name, base_url, tier, usage, nano_usd):
    price = book.price(deployment(name, base_url), usage.input_total, tier)
    assert cost_of(price.rates, usage) == nano_usd
    assert (price.model, price.tier, price.estimated) == (name, tier, False)
    assert price.source.startswith("genai-prices ")


@pytest.mark.requirement("EC-02")
def test_reasoning_and_media_cost_what_output_and_input_cost_where_the_list_says_nothing_else(book):
    rates = book(deployment("openai/gpt-4o-mini"), 0).rates
    assert rates.reasoning == rates.output_image == rates.output == 600_000_000
    assert rates.input_image == rates.cache_write == rates.input == 150_000_000


@pytest.mark.requirement("EC-02")
def test_a_price_holds_from_its_date(book):
    earlier = PriceBook({}, at("2026-10-01"))
    name = deployment("openai/gpt-4o-mini")
    assert book.price(name, 0, "batch").since == "2026-10-14"
    before = earlier.price(name, 0, "batch")
    assert (before.estimated, before.rates.input) == (True, 150_000_000)
    assert "no batch price" in earlier.warnings[0]


def test_prices_of_certain_hours_are_followed_through_the_day():
    clock = at("2026-11-01")
    book = PriceBook({}, clock)
    seen: set[str] = set()
    for _ in range(48):
        seen.add(book(deployment("deepseek/deepseek-chat"), 0).version)
        clock.forward(1800)
    assert len(seen) == 2
    assert all(book.known(version) for version in seen)


def test_a_version_is_the_hash_of_all_that_a_price_says(book):
    name = deployment("openai/gpt-4o-mini")
    price = book(name, 10)
    assert price is book(name, 20)
    assert book.known(price.version) is price
    assert PriceBook({}, at("2026-11-20"))(name, 0).version == price.version
    assert book.price(name, 0, "batch").version != price.version
    assert len(price.version) == 12


@pytest.mark.requirement("EC-02")
def test_an_own_price_goes_first_and_a_pattern_holds_for_many():
    mine = {
        "openai/gpt-4o-mini": own(input_mtok_usd=0.1, output_mtok_usd=0.4, source="contract 2026", since="2026-05-01"),
        "mine/*": own(input_mtok_usd=1, output_mtok_usd=2),
        "mine/big*": own(input_mtok_usd=3, output_mtok_usd=4),
    }
    book = PriceBook(mine, at("2026-11-01"))
    price = book(deployment("openai/gpt-4o-mini"), 0)
    assert (price.rates.input, price.rates.output, price.rates.reasoning) == (100_000_000, 400_000_000, 400_000_000)
    assert (price.source, price.since, price.estimated) == ("contract 2026", "2026-05-01", False)
    assert book(deployment("mine/small"), 0).rates.input == 1_000_000_000
    assert book(deployment("mine/big-one"), 0).rates.input == 3_000_000_000
    assert book.price(deployment("mine/small"), 0, "batch").estimated


@pytest.mark.requirement("EC-02")
def test_an_own_gpu_by_the_hour_is_spread_over_the_tokens_that_it_makes():
    gpu = own(gpu_hour_usd=2.10, tokens_per_second=900, source="lease 2026-10")
    price = PriceBook({"mine/llama": gpu}, Clock())(deployment("mine/llama"), 0)
    an_hour = cost_of(price.rates, Usage(input=1_000_000, output=900 * 3600))
    assert 2_100_000_000 <= an_hour <= 2_100_000_010
    assert price.source == "lease 2026-10"


def test_what_runs_in_this_process_pays_its_hour_by_the_millisecond():
    price = PriceBook({"local/*": own(gpu_hour_usd=0.36, tokens_per_second=1)}, Clock())(
        deployment("local/helpdesk"), 0
    )
    assert cost_of(price.rates, Usage(compute_ms=50)) == 5_000


def test_an_own_price_above_a_number_of_tokens_leaves_the_public_one_below():
    above = own(input_mtok_usd=9, output_mtok_usd=9, above_input=100_000)
    book = PriceBook({"openai/gpt-4o-mini": above}, at("2026-11-01"))
    name = deployment("openai/gpt-4o-mini")
    assert book(name, 100_000).rates.input == 150_000_000
    assert book(name, 100_001).rates.input == 9_000_000_000


def test_an_unknown_price_is_never_silent(book):
    unknown = deployment("ollama/llama3.2", "http://127.0.0.1:11434/v1")
    price = book(unknown, 0)
    assert (price.rates, price.estimated) == (Rates(), True)
    assert "ollama/llama3.2" in book.warnings[0]
    assert "count as $0.00" in book.warnings[0]
    fallback = PriceBook({"*": own(input_mtok_usd=5, output_mtok_usd=5)}, Clock())
    price = fallback(unknown, 0)
    assert (price.rates.input, price.estimated) == (5_000_000_000, True)
    assert "fallback" in fallback.warnings[0]


def test_a_vendors_model_on_a_server_of_ones_own_does_not_get_the_vendors_price(book):
    assert book(deployment("mine/gpt-4o-mini", "http://127.0.0.1:8000/v1"), 0).estimated


def test_what_a_list_cannot_express_is_said(book):
    book(deployment("perplexity/sonar"), 0)
    assert "per thousand requests" in book.warnings[0]


def test_what_runs_on_the_device_costs_nothing_and_what_is_simulated_is_marked(book):
    local, simulated = book(deployment("local/support_reply"), 0), book(deployment("simulated/small"), 0)
    assert (local.rates, local.estimated) == (Rates(), False)
    assert simulated.estimated
    assert simulated.rates.output > 0
    assert book.warnings == []


def test_a_tier_that_does_not_exist_is_an_error_not_the_standard_price(book):
    with pytest.raises(ValueError, match="no price tier 'service_tier=batch'; there are standard, batch"):
        book.price(deployment("openai/gpt-4o-mini"), 0, "service_tier=batch")


def test_however_many_models_are_asked_for_only_so_many_are_remembered(monkeypatch):
    monkeypatch.setattr(prices, "KEPT", 5)
    monkeypatch.setattr(prices, "VERSIONS_KEPT", 20)
    book = PriceBook({}, at("2026-11-01"))
    given = [book.price(deployment(f"mine/model-{number}"), 10) for number in range(40)]
    assert len(book.warnings) == 5
    assert [book.known(price.version) for price in given[:20]] == [None] * 20
    assert [book.known(price.version) for price in given[20:]] == given[20:]
    assert book.price(deployment("mine/model-0"), 10) == given[0]
