"""A running server follows its files: under load, without a failed call, and with faults refused."""

import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from interlock.config.load import load
from interlock.core.events import Settled
from interlock.storage import SqliteStore
from interlock.testing.upstream import Answer, Upstream
from tests.ledger.kit import records_in

from .test_workers import INTERLOCK, KEY, House, listeners

RELOADS = 20
CALLERS = 6


def files(folder: Path, number: int, vendor: str, more: str = "") -> None:
    """Version `number` of the workspace; the alias of each is there under its own name too."""
    (folder / "interlock.yaml").write_text(
        f"server: {{api_key: {KEY}}}\n"
        f"providers: {{openai: {{base_url: '{vendor}', api_key: sk-test}}}}\n"
        f"models: {{chat: {{small: [openai/gpt-4o-mini]}}, v{number}: {{small: [openai/gpt-4o-mini]}}}}\n"
        f"{more}"
    )


class Running(House):
    """`interlock serve` with its vendor; `ask` reloads it."""

    async def ask(self, key=KEY):
        status, _, body = await self.send("POST", "/api/config/reload", b"", key)
        return status, json.loads(body)

    def rss_mb(self):
        """Memory of each worker."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.workers()]
        return [each * os.sysconf("SC_PAGE_SIZE") / 1e6 for each in pages]


async def started(folder: Path, vendor: Upstream, workers: int) -> Running:
    process = await asyncio.create_subprocess_exec(
        INTERLOCK, "serve", "-w", str(folder), "--port", "0", "--workers", str(workers), stderr=asyncio.subprocess.PIPE
    )
    told: list[str] = []
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while "/v1\n" not in "".join(told):
            line = (await process.stderr.readline()).decode()
            assert line, "".join(told)
            told.append(line)
    port = int("".join(told).split("/v1\n")[0].rpartition(":")[2])
    house = Running(process, port, folder, vendor, told)
    await house.until(lambda: listeners(port) == workers)
    return house


async def stopped(house: Running) -> str:
    house.process.send_signal(signal.SIGTERM)
    told = (await asyncio.wait_for(house.process.stderr.read(), 60)).decode()
    assert await house.process.wait() == 0
    return "".join(house.told) + told


class Load:
    """Callers on connections that they keep, whole answers and streams; nobody tries anything twice."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.stopping = asyncio.Event()
        self.answered = 0
        self.failed: list[str] = []

    async def call(self, number: int) -> None:
        stream = number % 3 == 0
        body = {"model": "chat", "messages": [{"role": "user", "content": f"hello {number}"}], "stream": stream}
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60.0) as client:
            while not self.stopping.is_set():
                try:
                    reply = await client.post(f"http://127.0.0.1:{self.port}/v1/chat/completions", json=body)
                except httpx2.HTTPError as error:
                    self.failed.append(repr(error))
                    continue
                whole = b"[DONE]" in reply.content if stream else reply.status_code == 200
                if reply.status_code != 200 or not whole:
                    self.failed.append(f"{reply.status_code} {reply.text[:200]}")
                self.answered += 1


@pytest.mark.requirement("OP-03")
async def test_twenty_reloads_under_load_fail_no_call_and_each_call_keeps_the_version_it_began_with(tmp_path: Path):
    async with Upstream(Answer(delay_s=0.03)) as vendor:
        files(tmp_path, 0, vendor.base_url)
        first = load(tmp_path).versions.route
        house = await started(tmp_path, vendor, workers=2)
        crowd = Load(house.port)
        callers = [asyncio.create_task(crowd.call(number)) for number in range(CALLERS)]
        served, seen_mb = [], []
        try:
            for number in range(1, RELOADS + 1):
                files(tmp_path, number, vendor.base_url)
                status, turned = await house.ask()
                assert (status, turned["ok"]) == (200, True), turned
                assert set(turned["workers"]) == {turned["version"]}
                served.append(turned["version"])
                status, _, body = await house.send("GET", "/v1/models", b"")
                assert f'"v{number}"'.encode() in body, "whoever asks after it gets the new one"
                before = crowd.answered
                await house.until(lambda before=before: crowd.answered > before + CALLERS)
                seen_mb.append(max(house.rss_mb()))
            await asyncio.sleep(0)
        finally:
            crowd.stopping.set()
            await asyncio.gather(*callers)
            told = await stopped(house)
    assert crowd.failed == []
    assert crowd.answered > RELOADS * CALLERS
    assert len(set(served)) == RELOADS
    assert "Traceback" not in told
    events = [each.event for each in records_in(tmp_path / ".interlock" / "interlock.db")]
    calls = [each for each in events if isinstance(each, Settled) and each.kind == "model"]
    assert Counter(each.status for each in calls) == {"ok": crowd.answered}
    audit = SqliteStore.open(tmp_path / ".interlock" / "interlock.db")
    deeds = [each.deed for each in audit.audit.read(0, 1000)]
    audit.close()
    assert [each.action for each in deeds].count("config.asked") == RELOADS
    switched = {each.detail.rpartition(" ")[2]: each.at_ns for each in deeds if each.action == "config.reloaded"}
    assert len(switched) == RELOADS
    routes = [first, *switched]
    assert {each.caller.versions.route for each in calls} <= set(routes)
    assert len({each.caller.versions.route for each in calls}) >= RELOADS
    for each in calls:  # whoever asks for a version has been told by then that all workers serve the one before
        later = routes[routes.index(each.caller.versions.route) + 2 :]
        assert all(each.started_ns <= switched[route] for route in later)
    print("MB of the largest worker", [round(each) for each in seen_mb], "calls", crowd.answered)
    assert max(seen_mb[-5:]) < max(seen_mb[4:9]) + 15, seen_mb


@pytest.mark.requirement("OP-03")
async def test_faulty_files_are_refused_with_every_fault_and_the_old_ones_go_on(tmp_path: Path):
    async with Upstream(Answer()) as vendor:
        files(tmp_path, 0, vendor.base_url)
        house = await started(tmp_path, vendor, workers=2)
        files(tmp_path, 1, vendor.base_url, "cachng: {}\nworkers: {concurrency: many}\n")
        status, turned = await house.ask()
        assert (status, turned["ok"]) == (422, False)
        assert [each["key"] for each in turned["faults"]] == ["cachng", "workers.concurrency"]
        assert all(each["line"] for each in turned["faults"])
        assert (await house.send())[0] == 200
        files(tmp_path, 1, vendor.base_url, "store: elsewhere.db\n")
        status, turned = await house.ask()
        assert "cannot change while the server runs" in turned["faults"][0]["message"]
        house.process.send_signal(signal.SIGHUP)
        assert (await house.ask("il-nobody"))[0] == 401
        for wanted in ({"tenant": "rival", "role": "admin"}, {"role": "developer"}):
            _, _, made = await house.send("POST", "/api/keys", json.dumps(wanted).encode())
            async with asyncio.timeout(60):
                while (status := (await house.ask(json.loads(made)["secret"]))[0]) == 401:
                    await asyncio.sleep(0.05)  # the other worker hears of a new key within a second
            assert status == 403, wanted
        files(tmp_path, 2, vendor.base_url)
        process = await asyncio.create_subprocess_exec(
            INTERLOCK, "reload", "-w", str(tmp_path), "--url", f"http://127.0.0.1:{house.port}", "--json",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told, _ = await process.communicate()
        assert (process.returncode, json.loads(told)["ok"]) == (0, True)
        killed = house.workers()[0]
        files(tmp_path, 3, vendor.base_url, "cachng: {}\n")
        os.kill(killed, signal.SIGKILL)
        await house.until(lambda: len(house.workers()) == 2 and killed not in house.workers())
        await house.until(lambda: listeners(house.port) == 2)
        for _ in range(6):
            status, _, body = await house.send("GET", "/v1/models", b"")
            assert (status, b'"v2"' in body) == (200, True), "a new worker begins with what the others serve"
        await stopped(house)


@pytest.mark.requirement("OP-03")
async def test_a_stream_that_began_before_a_hangup_signal_ends_with_its_own_version_and_counts_of_limits_go_on(
    tmp_path: Path,
):
    limit = "limits: [{name: few, per: tenant, period: day, requests: 4}]\n"
    reloaded = asyncio.Event()
    async with Upstream(Answer(until=reloaded)) as vendor:
        files(tmp_path, 0, vendor.base_url, limit)
        house = await started(tmp_path, vendor, workers=1)
        ask = b'{"model":"v0","messages":[{"role":"user","content":"hello"}],"stream":true}'
        slow = asyncio.create_task(house.send(body=ask))
        await house.until(lambda: vendor.served.requests == 1)
        files(tmp_path, 1, vendor.base_url, limit)
        house.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(60):
            while b'"v1"' not in (await house.send("GET", "/v1/models", b""))[2]:
                await asyncio.sleep(0.02)
        reloaded.set()
        status, _, body = await slow
        assert (status, b"[DONE]" in body) == (200, True)
        assert (await house.send(body=ask))[0] == 404, "the alias is gone for those who begin now"
        replies = await asyncio.gather(*(house.send(body=ask.replace(b"v0", b"v1")) for _ in range(6)))
        assert sorted(status for status, _, _ in replies) == [200] * 3 + [429] * 3, "one was used before"
        await stopped(house)
