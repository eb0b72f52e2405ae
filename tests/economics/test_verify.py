"""The ledger against vendors' exports, as the vendors document them."""

import json

import pytest

from interlock.core.errors import InvalidRequest
from interlock.core.money import Usage
from interlock.core.store import RollRow
from interlock.economics.exports import read
from interlock.economics.verify import verified

DAY = 1_763_596_800  # 2025-11-20T00:00:00Z


def roll(deployment="openai/gpt-4o-mini", n=5, status="ok", hour=10, cost=0, **usage):
    return RollRow(
        hour=DAY // 3600 + hour,
        tenant="acme",
        workflow="",
        role="call",
        kind="model",
        name="x",
        deployment=deployment,
        tier="",
        simulated=False,
        cache="",
        status=status,
        n=n,
        cost_nano_usd=cost,
        simulated_nano_usd=0,
        saved_nano_usd=0,
        usage=Usage(**usage),
        lines_nano_usd={},
        latency={},
    )


def openai_usage(**fields):
    result = {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000,
        "output_tokens": 500,
        "input_cached_tokens": 800,
        "num_model_requests": 5,
        "model": "gpt-4o-mini-2024-07-18",
        "api_key_id": None,
        **fields,
    }
    bucket = {"object": "bucket", "start_time": DAY, "end_time": DAY + 86_400, "results": [result]}
    return json.dumps({"object": "page", "data": [bucket], "has_more": False, "next_page": None}).encode()


AGREEING = roll(input=200, cache_read=800, output=500)


@pytest.mark.requirement("OB-03")
def test_a_bill_that_says_the_same_agrees_whatever_hours_and_retries_it_is_made_of():
    rolls = [
        roll(n=3, input=100, cache_read=500, output=300),
        roll(n=2, hour=20, input=100, cache_read=300, output=200),
    ]
    verdict = verified(read(openai_usage()), rolls, ["openai"])
    assert verdict.agrees
    assert [(line.day, line.model) for line in verdict.lines] == [("2025-11-20", "gpt-4o-mini")]


@pytest.mark.parametrize(
    ("fields", "rolls", "cause"),
    [
        ({"num_model_requests": 9, "input_tokens": 4000}, [AGREEING], "4 requests of the vendor's did not go through"),
        ({"num_model_requests": 3}, [AGREEING], "2 requests are not in the export"),
        ({"output_tokens": 510}, [roll(n=4, input=200, cache_read=800, output=490), roll(n=1, status="client_gone", output=10)], "1 tries broke off"),
        ({"input_cached_tokens": 100}, [AGREEING], "how much of it was cached"),
        ({"input_tokens": 1010}, [AGREEING], "another time zone"),
        ({}, [], "the ledger knows of no call"),
    ],
)  # fmt: skip
def test_differences_are_named_with_what_they_likely_come_from(fields, rolls, cause):
    verdict = verified(read(openai_usage(**fields)), rolls, ["openai"])
    assert not verdict.agrees
    assert cause in "; ".join(verdict.lines[0].causes)


def test_what_the_vendor_does_not_bill_at_all_is_named_too():
    verdict = verified(read(openai_usage()), [AGREEING, roll("openai/gpt-5", input=7, output=7)], ["openai"])
    assert [(line.model, line.agrees) for line in verdict.lines] == [("gpt-4o-mini", True), ("gpt-5", False)]
    assert "bills nothing" in verdict.lines[1].causes[0]


def test_simulated_cached_and_other_providers_calls_are_no_part_of_it():
    others = [roll("groq/gpt-4o-mini", input=9), roll("openai/gpt-4o-mini", status="refused", n=7)]
    assert verified(read(openai_usage()), [AGREEING, *others], ["openai"]).agrees


def test_costs_are_compared_where_that_is_all_there_is():
    amount = {"value": 0.06, "currency": "usd"}
    result = {"object": "organization.costs.result", "amount": amount, "line_item": None, "project_id": None}
    page = json.dumps({"data": [{"start_time": DAY, "end_time": DAY + 86_400, "results": [result]}]}).encode()
    assert verified(read(page), [roll(cost=60_000_000, input=1)], ["openai"]).agrees
    verdict = verified(read(page), [roll(cost=50_000_000, input=1)], ["openai"])
    assert "the vendor's cost is 1.200 of the ledger's" in verdict.lines[0].causes[0]
    assert verified(read(page), [roll(cost=59_990_000, input=1)], ["openai"], tolerance=0.001).agrees


def test_anthropics_usage_has_its_cache_writes_apart():
    result = {
        "uncached_input_tokens": 10,
        "cache_read_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6},
        "output_tokens": 20,
        "model": "claude-sonnet-4-20250514",
        "api_key_id": "apikey_1",
    }
    bucket = {"starting_at": "2025-11-20T00:00:00Z", "ending_at": "2025-11-21T00:00:00Z", "results": [result]}
    export = read(json.dumps([{"data": [bucket], "has_more": False}]).encode())
    assert export.vendor == "anthropic"
    ours = roll("anthropic/claude-sonnet-4", input=10, cache_read=30, cache_write=4, cache_write_1h=6, output=20)
    assert verified(export, [ours], ["anthropic"]).agrees
    assert verified(export.of_keys(["apikey_2"]), [], ["anthropic"]).lines == ()


def test_anthropics_cost_report_is_in_cents():
    bucket = {
        "starting_at": "2025-11-20T00:00:00Z",
        "results": [{"amount": "123.45", "currency": "USD", "model": "claude-x"}],
    }
    (line,) = read(json.dumps({"data": [bucket]}).encode()).lines
    assert line.cost_nano_usd == 1_234_500_000


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            (
                "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
                "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
                "usage_output_tokens,web_search_count\n2025-11-20,claude-opus-4-20250514,prod,Default,standard,x,10,4,6,30,20,0\n"
            ),
            ("claude-opus-4", "prod", 50, 20),
        ),
        (
            (
                "start_time_iso,model,input_tokens,output_tokens,input_cached_tokens,num_model_requests,api_key_id\n"
                "2025-11-20T00:00:00Z,gpt-4o,1000,200,100,5,key-abc\n"
            ),
            ("gpt-4o", "key-abc", 1000, 200),
        ),
    ],
)
def test_the_csvs_of_the_consoles_are_read(text, line):
    (found,) = read(text.encode()).lines
    assert found.usage is not None
    assert (found.day, found.model, found.key, found.usage.input_total, found.usage.output_total) == (
        "2025-11-20",
        *line,
    )


@pytest.mark.parametrize("data", [b"", b"hello", b"{}", b'{"data": [{"x": 1}]}', b"a,b\n1,2\n"])
def test_anything_else_is_refused_with_what_is_known(data):
    with pytest.raises(InvalidRequest, match="no usage or cost export"):
        read(data, "x.json")
