"""`interlock worker` as a process: takes over at once what another one lets go, and ends in order."""

import asyncio
import signal

import pytest

from bench.workers_ground import ground
from interlock.app import Interlock
from interlock.core.events import Settled
from tests.servers import postgres_programs


@pytest.mark.requirement("OP-04", "OP-06", "AG-11")
async def test_a_worker_that_is_told_to_stop_lets_its_tasks_go_to_another_one_and_no_call_is_cut_off():
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    async with ground(0.4) as place:
        first = place.start("worker", "--concurrency", "4")
        await place.ready(first)
        async with Interlock.from_file(place.folder) as il:
            await place.submit(il, [f"o{n}" for n in range(4)])
        async with asyncio.timeout(60):
            while len({str(each.body["messages"][:2]) for each in place.vendor.asked}) < 4:  # each task has asked
                await asyncio.sleep(0.01)
        second = place.start("worker")
        await place.ready(second)
        await asyncio.to_thread(place.end, first, signal.SIGTERM)
        store = place.store()
        await place.finished(store, 4, 120)
        await asyncio.to_thread(place.end, second, signal.SIGINT)
        rows = place.rows(store)
        statuses = {
            record.event.status for row in rows for record in store.records(row.id) if isinstance(record.event, Settled)
        }
        noted = place.books()
        store.close()
        assert (first.returncode, second.returncode) == (0, 0)
        assert "it took 4 tasks" in (place.folder / "worker-0.log").read_text()
    assert {row.outcome for row in rows} == {"resolved"}
    assert statuses == {"ok"}, "what was under way was waited for"
    assert len({line.split()[0] for line in noted}) == 4


async def asked(port: int, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ")[1]), body


@pytest.mark.requirement("OP-04", "OP-06")
async def test_a_worker_says_whether_it_lives_and_whether_it_is_ready():
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    async with ground(0.6) as place:
        worker = place.start("worker", "--health", "0")
        await place.ready(worker, "/readyz at port")
        port = int((place.folder / "worker-0.log").read_text().rpartition("at port ")[2].split()[0])
        assert await asked(port, "/healthz") == (200, b'{"status":"ok"}')
        assert await asked(port, "/readyz") == (200, b'{"status":"ok"}')
        assert (await asked(port, "/"))[0] == 404
        async with Interlock.from_file(place.folder) as il:
            await place.submit(il, ["o1"])
        async with asyncio.timeout(60):
            while place.vendor.served.requests < 1:
                await asyncio.sleep(0.01)
            place.postgres.stop()
            while (await asked(port, "/readyz"))[0] == 200:
                await asyncio.sleep(0.05)
            assert (await asked(port, "/healthz"))[0] == 200, "starting it again would not bring the store back"
            place.postgres.start()
            while (await asked(port, "/readyz"))[0] != 200:
                await asyncio.sleep(0.05)
        store = place.store()
        await place.finished(store, 1, 60)
        store.close()
        await asyncio.to_thread(place.end, worker, signal.SIGTERM)
        assert worker.returncode == 0
