"""Versions follow one another while everything else goes on: calls, reads, streams, and bytes that nobody should send."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from interlock.server import door as door_module

from .tenants_kit import Town, town
from .test_attacks import header, mutated

AT_ONCE = 3
ROUNDS = 3
ASK = {"model": "support", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 50}
GARBAGE = (b"\x16\x03\x01\x02\x00\x01", b"POST /api/config/reload HTTP/1.1\r\ncontent-length: 9\r\n\r\n{", b"\r\n" * 50)


class Traffic:
    """Clients that go on until they are told to stop, each on a connection of its own that it keeps."""

    def __init__(self, place: Town) -> None:
        self.place = place
        self.over = asyncio.Event()
        self.seen: Counter[str] = Counter()

    async def calls(self) -> None:
        async with self.place.client(self.place.owner) as client:
            while not self.over.is_set():
                told = await client.post("/v1/chat/completions", json=ASK)
                self.seen[f"call {told.status_code}"] += 1

    async def reads(self) -> None:
        async with self.place.client(self.place.owner) as client:
            while not self.over.is_set():
                told = await client.get(f"/api/tasks/{self.place.things.task}")
                self.seen[f"read {told.status_code}"] += 1

    async def odd(self, rng: random.Random) -> None:
        """The route itself with bodies, headers, methods and a key that it does not want."""
        async with self.place.client(self.place.owner) as client, self.place.client("il-nobody") as nobody:
            while not self.over.is_set():
                stranger = await nobody.post("/api/config/reload", content=mutated(rng), headers=header(rng))
                wrong = await client.request(rng.choice(("GET", "PUT", "DELETE")), "/api/config/reload")
                self.seen[f"odd {stranger.status_code} {wrong.status_code}"] += 1

    async def bytes(self, rng: random.Random) -> None:
        """No requests at all, or half of one: the client goes away in its middle."""
        address = httpx2.URL(self.place.url)
        while not self.over.is_set():
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(rng.choice(GARBAGE))
            writer.write_eof()
            await reader.read()
            writer.close()
            self.seen["bytes"] += 1

    async def stream(self) -> None:
        """The events of a task that waits: one stream after the other, each to its end."""
        path = f"/api/tasks/{self.place.things.task}/events"
        async with self.place.client(self.place.owner) as client:
            while not self.over.is_set():
                async with client.stream("GET", path) as told:
                    assert told.status_code == 200
                    await told.aread()
                self.seen["stream"] += 1


async def reloaded(place: Town, rng: random.Random) -> int:
    async with place.client(place.owner) as client:
        told = await client.post("/api/config/reload", content=mutated(rng), headers=header(rng))
        assert told.json()["ok"], told.text
        return told.status_code


@pytest.mark.requirement("OP-03")
async def test_versions_that_follow_one_another_under_calls_reads_streams_and_garbage_break_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(door_module, "COLD_S", 0.2)
    rng = random.Random(11)
    async with town(tmp_path) as place:
        traffic = Traffic(place)
        clients = (traffic.calls(), traffic.calls(), traffic.reads(), traffic.odd(rng), traffic.bytes(rng))
        async with asyncio.TaskGroup() as group:
            going = [group.create_task(each) for each in clients]
            streaming = group.create_task(traffic.stream())
            for number in range(ROUNDS):
                text = (tmp_path / "interlock.yaml").read_text()
                (tmp_path / "interlock.yaml").write_text(f"{text}# {number}\n")
                said = await asyncio.gather(*(reloaded(place, rng) for _ in range(AT_ONCE)))
                assert said == [200] * AT_ONCE
            async with asyncio.timeout(60):
                while not traffic.seen["stream"]:
                    await asyncio.sleep(0.02)
            traffic.over.set()
            await asyncio.gather(*going)
            streaming.cancel()
        async with place.client(place.owner) as client:
            assert (await client.get("/api/config")).status_code == 200
    seen = {name for name, count in traffic.seen.items() if count}
    assert seen == {"call 200", "read 200", "odd 401 405", "bytes", "stream"}, traffic.seen
