"""Several workers behind one port: one limit, one ledger, one set of keys; a worker that dies is replaced."""

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from interlock.core.events import Settled
from interlock.testing.upstream import Answer, Upstream
from tests.ledger.kit import records_in

INTERLOCK = str(Path(sys.executable).with_name("interlock"))
KEY = "il-of-the-test"
ASK = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}],"max_tokens":50}'


class House:
    """A running `interlock serve --workers 2`, its vendor and its workspace."""

    def __init__(self, process, port, folder, vendor, told):
        self.process = process
        self.port = port
        self.folder = folder
        self.vendor = vendor
        self.told = told

    async def send(self, method="POST", path="/v1/chat/completions", body=ASK, key=KEY):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        reply = await reader.read()
        writer.close()
        head, _, rest = reply.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), head.decode(), rest

    def workers(self):
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sorted(int(each) for each in found)

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.02)

    async def heard_everywhere(self, key, status):
        """Returns when nobody any more says anything else than `status` to a look at the keys, which counts for no limit."""
        async with asyncio.timeout(60):
            in_a_row = 0
            while in_a_row < 24:  # each connection meets either worker
                said, _, _ = await self.send("GET", "/api/keys", b"", key=key)
                in_a_row = in_a_row + 1 if said == status else 0

    def calls(self):
        events = [each.event for each in records_in(self.folder / ".interlock" / "interlock.db")]
        return dict(Counter(each.status for each in events if isinstance(each, Settled) and each.kind == "model"))


def listeners(port):
    """How many sockets listen at `port`."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


@asynccontextmanager
async def house(folder, limits, answer=None):
    async with Upstream(answer or Answer()) as vendor:
        (folder / "interlock.yaml").write_text(
            f"server: {{api_key: {KEY}}}\n"
            f"providers: {{openai: {{base_url: '{vendor.base_url}', api_key: sk-test}}}}\n"
            f"limits: {json.dumps(limits)}\n"
        )
        process = await asyncio.create_subprocess_exec(
            INTERLOCK, "serve", "-w", str(folder), "--port", "0", "--workers", "2", stderr=asyncio.subprocess.PIPE
        )
        told = []
        try:
            async with asyncio.timeout(60):
                assert process.stderr is not None
                while not (found := re.search(r"at http://127\.0\.0\.1:(\d+)/v1", "".join(told))):
                    line = (await process.stderr.readline()).decode()
                    assert line, "".join(told)
                    told.append(line)
            place = House(process, int(found[1]), folder, vendor, told)
            await place.until(lambda: listeners(place.port) == 2)
            yield place
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            told.append((await asyncio.wait_for(process.stderr.read(), 90)).decode())
            await process.wait()


@pytest.mark.requirement("GW-34", "OP-05")
async def test_workers_share_a_port_a_limit_and_a_ledger_and_end_in_good_order(tmp_path):
    limits = [{"name": "per day", "per": "tenant", "period": "day", "requests": 60}]
    async with house(tmp_path, limits) as place:
        replies = await asyncio.gather(*(place.send() for _ in range(100)))
        assert sorted({status for status, _, _ in replies}) == [200, 429]
        assert sum(status == 200 for status, _, _ in replies) == 60
        refused = next(head for status, head, _ in replies if status == 429).lower()
        assert "retry-after: " in refused
        assert "x-ratelimit-limit-requests: 60" in refused
        assert "x-ratelimit-remaining-requests: 0" in refused
        assert place.vendor.served.requests == 60
    assert place.process.returncode == 0, place.told
    assert place.calls() == {"ok": 60, "refused": 40}
    assert not list((tmp_path / ".interlock").glob("*.flight.*"))


@pytest.mark.requirement("GW-34")
async def test_a_killed_worker_is_replaced_and_what_it_had_open_is_settled(tmp_path):
    killed = asyncio.Event()
    async with house(tmp_path, [], Answer(until=killed)) as place:
        first = place.workers()
        waiting = [asyncio.ensure_future(place.send()) for _ in range(16)]
        await place.until(lambda: place.vendor.served.requests == 16)
        os.kill(first[0], signal.SIGKILL)
        killed.set()
        await place.until(lambda: len(place.workers()) == 2 and first[0] not in place.workers())
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        done = sum(not isinstance(each, BaseException) and each[0] == 200 for each in ended)
        assert (await place.send())[0] == 200
        await place.until(lambda: sum(place.calls().values()) == 17)
    calls = place.calls()
    assert calls["ok"] == done + 1
    assert calls.get("crashed", 0) == 16 - done
    assert place.process.returncode == 0


@pytest.mark.requirement("GW-34")
async def test_a_new_key_and_its_end_are_heard_of_by_every_worker(tmp_path):
    async with house(tmp_path, []) as place:
        wanted = {
            "name": "ann",
            "tenant": "acme",
            "models": ["gpt-4o-*"],
            "limits": [{"requests": 30, "period": "day"}],
        }
        status, _, body = await place.send(path="/api/keys", body=json.dumps(wanted).encode())
        assert status == 201, body
        made = json.loads(body)
        await place.heard_everywhere(made["secret"], 403)
        replies = await asyncio.gather(*(place.send(key=made["secret"]) for _ in range(40)))
        assert sum(status == 200 for status, _, _ in replies) == 30, "one count for both workers"
        status, _, body = await place.send(key=made["secret"], body=ASK.replace(b"gpt-4o-mini", b"gpt-5"))
        assert (status, b"may not use" in body) == (403, True)
        assert (await place.send("GET", "/api/keys", b"", key=made["secret"]))[0] == 403
        status, _, body = await place.send("DELETE", f"/api/keys/{made['id']}", b"")
        assert (status, json.loads(body)["state"]) == (200, "revoked")
        await place.heard_everywhere(made["secret"], 401)
        replies = await asyncio.gather(*(place.send(key=made["secret"]) for _ in range(12)))
        assert {status for status, _, _ in replies} == {401}
