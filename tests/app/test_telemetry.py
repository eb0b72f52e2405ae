"""What a served workspace tells of itself: `/metrics` for scrapers, spans for an OpenTelemetry receiver, one trace from the caller to the vendor."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from interlock.cli.main import main
from interlock.core.time import SystemClock
from interlock.net.client import PooledClient
from interlock.observe.families import Family
from interlock.observe.instruments import Instruments
from interlock.observe.meter import Meter
from interlock.observe.otlp import Otlp
from interlock.observe.post import Post
from interlock.observe.post import Receiver as Address
from interlock.observe.semconv import words
from interlock.storage import SqliteStore
from interlock.testing.upstream import Answer, Asked, Upstream
from tests.observe.receiver import Receiver, attributes, receiving

from .conftest import Folder
from .test_serve import serving

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def sampled(body: str) -> dict[str, float]:
    """Values by name, added up over labels."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


async def asked(address: str, key: str, text: str = "When does it arrive?", **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=60) as client:
        answer = await client.post(
            f"{address}/v1/chat/completions",
            headers={"authorization": f"Bearer {key}", **headers},
            json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]},
        )
    assert answer.status_code == 200
    return answer


async def told_of(address: str, key: str, *, spans: int) -> Any:
    """What the server says of itself, once it has heard that so many spans arrived."""
    async with httpx2.AsyncClient(timeout=60) as client, asyncio.timeout(60):
        while True:
            told = (await client.get(f"{address}/healthz", headers={"authorization": f"Bearer {key}"})).json()
            if told["telemetry"]["spans"] == spans:
                return told


def key_of(folder: Folder) -> str:
    return (folder.root / ".interlock" / "server.key").read_text().strip()


async def spans_at(receiver: Receiver, count: int) -> list[Any]:
    async with asyncio.timeout(60):
        while len(receiver.spans) < count:
            receiver.got.clear()
            await receiver.got.wait()
    return receiver.spans


async def metric_at(receiver: Receiver, name: str) -> None:
    async with asyncio.timeout(60):
        while name not in {each.name for each in receiver.metrics}:
            receiver.got.clear()
            await receiver.got.wait()


@pytest.mark.requirement("OB-01")
async def test_a_call_is_in_its_callers_trace_from_the_client_to_the_vendor(policy_folder: Folder):
    seen: list[Asked] = []

    def answer(asked_: Asked) -> Answer:
        seen.append(asked_)
        return Answer(text="On Friday.", input_tokens=1_000, output_tokens=100)

    async with Upstream(answer) as upstream, receiving() as receiver:
        policy_folder.provider("openai", upstream.base_url)
        policy_folder.write(
            "policies/telemetry.yaml",
            f"telemetry:\n  otlp: {{endpoint: '{receiver.endpoint}', headers: {{x-token: hush}}, every_s: 0.05, metrics_every_s: 0.1,\n"
            "         semconv: 1.41, resource: {deployment.environment.name: test}}\n",
        )
        async with serving(policy_folder) as address:
            key = key_of(policy_folder)
            await asked(address, key, traceparent=f"00-{TRACE}-{SPAN}-01")
            step, attempt = await spans_at(receiver, 2)
            await metric_at(receiver, "gen_ai.client.operation.duration")
            told = await told_of(address, key, spans=2)

    assert step.trace_id.hex() == attempt.trace_id.hex() == TRACE
    assert step.parent_span_id.hex() == SPAN
    assert seen[0].headers["traceparent"] == f"00-{TRACE}-{step.span_id.hex()}-01"
    assert attributes(attempt)["gen_ai.usage.input_tokens"] == 1_000
    assert attributes(step)["interlock.cost.nano_usd"] > 0
    assert attributes(receiver.resources[0])["deployment.environment.name"] == "test"
    assert receiver.headers[0]["x-token"] == "hush"
    assert told["telemetry"]["away"] == ""
    assert "interlock.calls_under_way" in {each.name for each in receiver.metrics}


@pytest.mark.requirement("OB-04")
async def test_metrics_are_scraped_with_the_servers_key_and_survive_a_restart(policy_folder: Folder):
    async with Upstream(Answer(text="On Friday.", input_tokens=1_000, output_tokens=100)) as upstream:
        policy_folder.provider("openai", upstream.base_url)
        for round_ in (1, 2):
            async with serving(policy_folder) as address, httpx2.AsyncClient(timeout=60) as client:
                key = key_of(policy_folder)
                await asked(address, key, f"question {round_}")
                denied = await client.get(f"{address}/metrics")
                found: dict[str, float] = {}
                async with asyncio.timeout(60):
                    while found.get("interlock_calls_total", 0) < round_:
                        scraped = await client.get(f"{address}/metrics", headers={"authorization": f"Bearer {key}"})
                        found = sampled(scraped.text)
            assert denied.status_code == 401
            assert found["interlock_calls_total"] == round_
            assert found["interlock_tokens_total"] == round_ * 1_100
            assert found["interlock_calls_waiting"] == 0
            assert found["interlock_breaker"] == 1


@pytest.mark.requirement("OB-04")
async def test_metrics_may_be_open_and_then_a_tenant_need_not_be_named(policy_folder: Folder):
    policy_folder.write("policies/telemetry.yaml", "telemetry: {metrics: {open: true, tenants: false}}\n")
    async with serving(policy_folder) as address, httpx2.AsyncClient(timeout=60) as client:
        body = ""
        async with asyncio.timeout(60):
            while "interlock_ledger_queued 0" not in body:  # what the start itself has put on record may still wait
                body = (await client.get(f"{address}/metrics")).text

    assert "tenant=" not in body.replace('interlock_tasks_unfinished{tenant="', "")


def test_a_receiver_without_the_library_is_an_error_at_the_start(
    policy_folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    policy_folder.write("policies/telemetry.yaml", "telemetry: {otlp: {endpoint: 'http://127.0.0.1:4318'}}\n")
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.proto.collector.logs.v1", None)
    with pytest.raises(Exception, match="interlock"):
        Otlp({}, version="1")
    assert main(["serve", "-w", str(policy_folder.root), "--port", "0"]) != 0
    assert "pip install 'interlock[otel]'" in capsys.readouterr().err


class Still:
    """A clock that stands."""

    def wall_ns(self) -> int:
        return 1_790_000_000_000_000_000

    def monotonic_s(self) -> float:
        return 0.0


@pytest.mark.requirement("OB-01")
@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_receiver_of_traces_alone_is_not_pestered_with_metrics(
    tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
):
    store, http = SqliteStore.open(tmp_path / "il.db"), PooledClient(SystemClock())
    async with receiving() as receiver:
        receiver.answers = [(status, b"")]
        otlp, chosen = Otlp({}, version="1"), words("latest")
        post = Post(Address(receiver.endpoint), otlp, http, SystemClock(), random.Random(7))
        instruments = Instruments(store, Still(), lambda: [Family("interlock_x", "x", "gauge", (), {(): 1.0})])
        meter = Meter(post, instruments, otlp=otlp, words=chosen, clock=Still(), every_s=0.01)
        async with asyncio.timeout(60):
            await meter.run()
    await http.close()
    store.close()
    assert receiver.asked == 1
    assert [line.partition(" takes ")[2] for line in caplog.messages] == [
        f"no metrics (it answered {status}): none are sent"
    ]
