"""The recorder: one event per call, whatever happens to the store or to the process."""

import asyncio

from interlock.core.caller import Caller
from interlock.core.events import Record, Settled, Started
from interlock.core.caller import Versions
from interlock.core.money import Usage
from interlock.core.store import TaskFilter
from interlock.core.time import SystemClock
from interlock.ledger import Recorder, RecorderLimits, TaskLog
from interlock.storage import SqliteStore

T = 1_760_000_000_000_000_000


def call(n, status="ok", **kw):
    return Settled(f"c{n}", "model", "m", Caller("acme", task=f"tsk_{n}", step=1), status, T, 1000, cost_nano_usd=5, usage=Usage(input=3), deployment="p/m", **kw)


async def test_smoke(tmp_path):
    path = tmp_path / "x.db"
    store = SqliteStore.open(path)
    clock = SystemClock()
    rec = Recorder(store, clock, path=path, limits=RecorderLimits(calls=64))
    rec.start()
    for n in range(200):
        s = rec.open(call(n, "crashed"))
        rec.settle(s, call(n), {"a": "b" * n * 100})
        if n % 50 == 0:
            log = TaskLog(rec, store, clock)
            f = await log.begin(Record(f"t{n}", 0, "acme", T, Started("w", Caller("acme"), Versions()), {}))
            print(f, await log.claim(f"t{n}"), rec.health())
    print(rec.health())
    print(await rec.close(), rec.health())
    print(store.totals(), list(tmp_path.iterdir()))
    store.close()
