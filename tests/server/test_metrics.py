"""GET /metrics: every figure that somebody who watches a gateway asks for is there in one scrape, and says what the ledger says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from interlock.core.caller import Caller, Secret
from interlock.core.events import Attempt, Escalation, Settled
from interlock.core.ids import SystemIds
from interlock.core.money import Usage
from interlock.core.time import SystemClock
from interlock.server.asgi import ColdApp
from interlock.server.auth import Keys
from interlock.server.metrics import MetricsFace
from tests.ledger.kit import attempt, call, record

from .dashboard_kit import HOST, KEY, TENANT, dashboard, workspace


def calls(now_ns: int) -> list[Settled]:
    """A hundred that went well, from 10 ms to a second, and one of each kind that did not quite."""
    good, failed = attempt(deployment="p/one"), attempt("error", deployment="p/one")
    late = Attempt("p/one", "timeout", now_ns, 30, "small", Usage(), 0, error="upstream_timeout")
    other = attempt(deployment="q/two")
    made = [call(f"t{n}", attempts=[good], duration_us=10_000 * (n + 1), started_ns=now_ns) for n in range(100)]
    common: dict[str, Any] = {"started_ns": now_ns, "duration_us": 10_000}
    step = (Escalation("small", "premium", "confidence < 0.72 (confidence=0.4)"),)
    more = [
        call("retried", attempts=[failed, good], **common),
        call("elsewhere", attempts=[failed, other], **common),
        call("timed_out", attempts=[late], status="timeout", error="upstream_timeout", deployment="", **common),
        call("escalated", attempts=[good, other], escalations=step, **common),
        call(
            "cached", attempts=[], status="cache_hit", cache="exact", saved_nano_usd=5_000, deployment="p/one", **common
        ),
        call("odd", attempts=[good], schema_violations=2, **common),
        call("covered", attempts=[good], private={"email": 3, "iban": 1}, **common),
    ]
    return [*made, *more]


@pytest.mark.requirement("OB-04")
async def test_one_scrape_has_percentiles_queues_failures_routes_caches_violations_and_what_was_covered(tmp_path: Path):
    clock = SystemClock()
    async with dashboard(workspace(tmp_path)) as (il, _, _):
        il.ground.store.write([[record(each)] for each in calls(clock.wall_ns())])
        keys, watching = Keys({Secret(KEY): Caller(TENANT, key_id="server")}, None), il.watching()
        exposition = watching.exposition()
        assert exposition is not None
        face = MetricsFace(keys, watching.instruments, exposition, needs_key=True)
        transport = httpx2.ASGITransport(app=ColdApp(SystemIds(clock), face.routes(), []))
        async with httpx2.AsyncClient(transport=transport, base_url=HOST) as scraper:
            refused = await scraper.get("/metrics")
            answer = await scraper.get("/metrics", headers={"authorization": f"Bearer {KEY}"})

    samples = [each for family in text_string_to_metric_families(answer.text) for each in family.samples]

    def of(name: str, **labels: str) -> float:
        """The samples of a name with these labels, added up."""
        return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())

    assert refused.status_code == 401
    for share, seconds in (("0.5", 0.5), ("0.95", 0.95), ("0.99", 0.99)):
        latency = of("interlock_call_latency_seconds", quantile=share, deployment="p/one", kind="model")
        assert latency == pytest.approx(seconds, rel=0.05)
    assert of("interlock_calls_waiting") == 0
    assert of("interlock_failures_total", error="upstream_timeout") == 1
    assert of("interlock_calls_total", status="timeout") == 1
    assert of("interlock_retries_total", deployment="p/one") == 1
    assert of("interlock_fallbacks_total", deployment="p/one") == 1
    assert of("interlock_escalations_total", step="small -> premium") == 1
    assert of("interlock_calls_total", cache="exact") == 1
    assert of("interlock_saved_usd_total", cache="exact") == pytest.approx(5e-6)
    assert of("interlock_schema_violations_total") == 2
    assert (of("interlock_private_total", kind="email"), of("interlock_private_total", kind="iban")) == (3, 1)
