"""Metrics: what the ledger counted, the same whenever they are looked at, and as Prometheus and OTLP write them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from interlock.core.caller import Caller
from interlock.core.events import Attempt, Escalation, Record, Settled
from interlock.core.meters import MeterRow
from interlock.core.money import Usage
from interlock.core.store import RollFilter, RollRow
from interlock.observe.conventional import conventional
from interlock.observe.families import Family, Histogram, spread
from interlock.observe.instruments import Instruments
from interlock.observe.otlp import Otlp
from interlock.observe.prometheus import Exposition
from interlock.observe.semconv import words
from interlock.observe.sums import MOST_VALUES, REST
from interlock.storage import SqliteStore

from .receiver import attributes

HOUR_NS = 3_600_000_000_000
T0 = 1_790_000_000_000_000_000 // HOUR_NS * HOUR_NS


def call(n: int, *, at_ns: int = T0, tenant: str = "acme", workflow: str = "support", **changes: Any) -> list[Record]:
    caller = Caller(tenant, workflow=workflow, task=f"tsk_{n:05}", step=1)
    base: dict[str, Any] = {
        "name": "alias",
        "status": "ok",
        "started_ns": at_ns,
        "duration_us": 50_000,
        "deployment": "openai/gpt-4o",
        "tier": "large",
        "usage": Usage(input=100, cache_read=20, output=30),
        "cost_nano_usd": 4_000,
        "attempts": (Attempt("openai/gpt-4o", "ok", at_ns, 50_000, "large", Usage(100, 20, 0, 0, 30), 4_000),),
    }
    event = Settled(call=f"cal_{n:05}", kind="model", caller=caller, **{**base, **changes})
    return [Record(caller.task, 1, tenant, at_ns + n, event)]


@pytest.fixture
def store(tmp_path: Path) -> Generator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "il.db")
    yield opened
    opened.close()


def collected(store: Any, at_ns: int = T0, **options: Any) -> dict[str, Family]:
    return by_name(Instruments(store, Still(at_ns), list, **options).collect())


class Still:
    """A clock that stands."""

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns

    def wall_ns(self) -> int:
        return self.at_ns

    def monotonic_s(self) -> float:
        return self.at_ns / 1e9


def by_name(families: Sequence[Family]) -> dict[str, Family]:
    return {family.name: family for family in families}


def total(family: Family) -> float:
    return sum(value.count if isinstance(value, Histogram) else value for value in family.samples.values())


@pytest.mark.requirement("OB-04")
def test_counters_agree_with_the_ledger(store: SqliteStore):
    failed = Attempt("openai/gpt-4o", "error", T0, 10, "large", Usage(input=9), 900, error="upstream_error")
    other = Attempt("anthropic/claude", "ok", T0, 10, "large", Usage(100, 20, 0, 0, 30), 4_000)
    store.write([call(n) for n in range(3)])
    store.write([call(3, attempts=(failed, other), deployment="anthropic/claude", cost_nano_usd=4_900)])
    store.write([call(4, escalations=(Escalation("small", "large", "low confidence"),), schema_violations=2)])
    store.write([call(5, status="error", error="timeout", attempts=(), deployment="", usage=Usage(), cost_nano_usd=0)])
    store.write([call(6, degraded="smaller_model", saved_nano_usd=70, cache="exact")])
    found = collected(store)

    totals = store.totals()
    assert round(total(found["interlock_cost_usd"]) * 1e9) == totals.events_nano_usd == totals.rolls_nano_usd
    assert total(found["interlock_calls"]) == 7
    assert total(found["interlock_attempts"]) == 1
    assert found["interlock_fallbacks"].samples == {("acme", "support", "openai/gpt-4o"): 1}
    assert found["interlock_escalations"].samples == {("acme", "support", "small -> large"): 1}
    assert found["interlock_schema_violations"].samples == {("acme", "support", ""): 2}
    assert found["interlock_failures"].samples == {("acme", "support", "timeout"): 1}
    assert found["interlock_degraded"].samples == {("acme", "support", "smaller_model"): 1}
    assert found["interlock_saved_usd"].samples == {("acme", "support", "exact"): 7e-8}
    assert total(found["interlock_call_duration_seconds"]) == 7
    assert total(found["interlock_context_tokens"]) == 6
    latest = found["interlock_call_latency_seconds"].samples["acme", "model", "openai/gpt-4o", "0.5"]
    assert latest == pytest.approx(0.05, rel=0.02)


@pytest.mark.requirement("OB-04")
def test_counters_never_fall_and_miss_nothing_while_hours_pass(store: SqliteStore):
    clock = Still(T0)
    instruments = Instruments(store, clock, list)
    seen = 0.0
    for n in range(60):
        clock.at_ns = T0 + n * 3 * HOUR_NS
        store.write([call(n, at_ns=clock.at_ns - (n % 7) * HOUR_NS)])
        found = by_name(instruments.collect())
        assert total(found["interlock_calls"]) == n + 1 > seen
        seen = n + 1
    unchanged = by_name(instruments.collect()) == collected(store, clock.at_ns)
    assert unchanged  # not compared in the assertion: a difference would be drawn for minutes


@pytest.mark.requirement("OB-04")
def test_tenants_are_added_up_where_they_are_not_to_be_named(store: SqliteStore):
    store.write([call(n, tenant=f"t{n % 3}") for n in range(9)])
    named, plain = collected(store), collected(store, tenants=False)

    assert {labels[0] for labels in named["interlock_calls"].samples} == {"t0", "t1", "t2"}
    assert "tenant" not in plain["interlock_calls"].labels
    assert list(plain["interlock_calls"].samples.values()) == [9]
    (spread_over,) = plain["interlock_call_duration_seconds"].samples.values()
    assert isinstance(spread_over, Histogram)
    assert spread_over.count == 9


@pytest.mark.requirement("TL-10", "OB-04")
def test_the_share_of_a_tools_answers_from_memory_is_a_share_over_tenants_too(store: SqliteStore):
    plain: dict[str, Any] = {"name": "rates.get", "deployment": "", "attempts": (), "cost_nano_usd": 0}
    hit: dict[str, Any] = {**plain, "status": "cache_hit", "cache": "tool"}
    cases = [("acme", plain), ("acme", hit), ("acme", hit), ("acme", hit), ("rival", plain)]
    cases.append(("rival", {**plain, "status": "error", "error": "down"}))
    for n, (tenant, made) in enumerate(cases):
        (record,) = call(n, tenant=tenant, **made)
        store.write([[structs.replace(record, event=structs.replace(record.event, kind="tool"))]])

    named, over_all = (collected(store, tenants=each)["interlock_kept_answer_share"] for each in (True, False))

    assert named.samples == {("acme", "support", "rates.get"): 0.75, ("rival", "support", "rates.get"): 0.0}
    assert (over_all.labels, over_all.samples) == (("workflow", "name"), {("support", "rates.get"): 0.6})
    body, _ = Exposition().written([named], "text/plain")
    assert b'interlock_kept_answer_share{name="rates.get",tenant="acme",workflow="support"} 0.75' in body


@pytest.mark.requirement("OB-04")
def test_names_that_callers_choose_do_not_grow_the_metrics_without_end(store: SqliteStore):
    store.write([call(n, workflow=f"w{n}") for n in range(MOST_VALUES + 50)])
    found = collected(store)["interlock_calls"]

    assert len(found.samples) == MOST_VALUES + 1
    assert sum(n for labels, n in found.samples.items() if labels[1] == REST and isinstance(n, int)) == 50


class Rows:
    """A store of roll-ups alone."""

    def __init__(self, rolls: list[RollRow], meters: list[MeterRow]) -> None:
        self._rolls, self._meters = rolls, meters

    def rolls(self, which: RollFilter) -> list[RollRow]:
        return [row for row in self._rolls if row.hour >= which.since_ns // HOUR_NS]

    def meters(self, which: RollFilter) -> list[MeterRow]:
        return [row for row in self._meters if row.hour >= which.since_ns // HOUR_NS]


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 5)), max_size=20), st.lists(st.integers(0, 140), max_size=5)
)
def test_sums_do_not_depend_on_when_they_are_looked_at(hours: list[tuple[int, int]], looks: list[int]):
    rows = [
        RollRow(
            hour, "t", "w", "call", "model", "m", "p/m", "", False, "", "ok", n, n, 0, 0, Usage(n), {"input": n}, {3: n}
        )
        for hour, n in hours
    ]
    source, clock = Rows(rows, [MeterRow(hour, "t", "w", "retries", "p/m", n) for hour, n in hours]), Still(0)
    instruments = Instruments(source, clock, list)
    for look in sorted(looks):
        clock.at_ns = look * HOUR_NS
        instruments.collect()
    found = by_name(instruments.collect())

    whole = sum(n for _, n in hours)
    assert total(found["interlock_calls"]) == total(found["interlock_retries"]) == whole
    assert total(found["interlock_call_duration_seconds"]) == whole


@pytest.mark.requirement("OB-04")
@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_prometheus_own_parser_reads_what_is_written(store: SqliteStore, accept: str):
    store.write([call(n, name='ali"as\nx') for n in range(4)])
    body, content_type = Exposition().written(list(collected(store).values()), accept)
    assert content_type.startswith(accept.split(";", maxsplit=1)[0])
    if accept == "text/plain":
        read = {family.name: family for family in text_string_to_metric_families(body.decode())}
        (sample,) = [each for each in read["interlock_calls"].samples if each.name == "interlock_calls_total"]
        assert (sample.value, sample.labels["name"]) == (4, 'ali"as\nx')
        buckets = [each for each in read["interlock_call_duration_seconds"].samples if each.name.endswith("_bucket")]
        assert [each.value for each in buckets if each.labels["le"] in ("0.04", "0.08", "+Inf")] == [0, 4, 4]
    else:
        assert body.endswith(b"# EOF\n")


@pytest.mark.requirement("OB-01")
def test_otlp_carries_our_metrics_and_those_of_the_conventions(store: SqliteStore):
    store.write([call(n) for n in range(4)])
    families = list(collected(store).values())
    body = Otlp({}, version="1").metrics([*families, *conventional(families, words("latest"))], since_ns=1, at_ns=2)
    (resource,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
    metrics = {each.name: each for each in resource.scope_metrics[0].metrics}

    (calls,) = metrics["interlock.calls"].sum.data_points
    assert (calls.as_int, attributes(calls)["interlock.deployment"]) == (4, "openai/gpt-4o")
    assert (calls.start_time_unix_nano, calls.time_unix_nano) == (1, 2)
    (durations,) = metrics["gen_ai.client.inference.duration"].histogram.data_points
    assert durations.count == 4
    assert durations.sum == pytest.approx(0.2, rel=0.02)
    said = attributes(durations)
    assert (said["gen_ai.provider.name"], said["gen_ai.request.model"]) == ("openai", "gpt-4o")
    (read,) = metrics["gen_ai.client.inference.usage.input_tokens"].sum.data_points
    assert read.as_int == 4 * 120


def test_the_bounds_of_a_histogram_hold_what_is_on_them():
    assert spread({}).count == 0
    assert spread({0: 3}).counts[0] == 3
