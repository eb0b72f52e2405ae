"""What gets into the store, and what a store refuses."""

from interlock.core.caller import Caller
from interlock.core.events import Attempt, Finished, Record, Settled, Started
from interlock.core.caller import Versions
from interlock.core.money import Usage
from interlock.core.store import RollFilter, TaskFilter
from interlock.storage import SqliteStore

T = 1_760_000_000_000_000_000


def lone(n, **kw):
    return Record(f"tsk_{n}", 1, "acme", T, Settled(f"c{n}", "model", "m", Caller("acme", task=f"tsk_{n}", step=1), "ok", T, 1000, cost_nano_usd=5, usage=Usage(input=3), deployment="p/m", **kw), {"x": 1})


def test_smoke(tmp_path):
    s = SqliteStore.open(tmp_path / "a" / "x.db")
    assert s.write([[lone(1)], [lone(2)]]) == [None, None]
    assert s.write([[lone(1)], [lone(3)]]) == [None, None]
    print(s.tasks.list(TaskFilter()))
    print(s.rolls(RollFilter()))
    print(s.records("tsk_1"))
    print(s.totals())
    f = s.tasks.begin(Record("tsk_9", 0, "acme", T, Started("w", Caller("acme"), Versions()), {}), "me", T + 5)
    r = s.write([[Record("tsk_9", 1, "acme", T, lone(1).event, {}, fence=f)], [Record("tsk_9", 2, "acme", T, lone(1).event, {}, fence=f+1)]])
    print(r)
    s.write([[Record("tsk_9", 3, "acme", T+9000, Finished("resolved"), {}, fence=f)]])
    print(s.tasks.list(TaskFilter()), s.totals(), s.tasks.outcomes())
    s.close()
