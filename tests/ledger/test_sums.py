"""Money adds up to the nano-dollar: over events, over tasks, over roll-ups and in the statement, whatever happened between."""

import tempfile
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.core.events import OutcomeSeen, Record, lone_ids
from interlock.core.store import RollFilter, Store
from interlock.economics import report, statements
from interlock.ledger import Recorder, RecorderLimits
from interlock.storage import SqliteStore
from tests.ledger.kit import (
    PRICE,
    T0,
    Clock,
    Gate,
    attempt,
    call,
    calls_in,
    crashed,
    die,
    finished,
    money,
    record,
    started,
)

LIMITS = RecorderLimits(calls=64, group=8, flush_window_s=0.001, retry_first_s=0.001, retry_longest_s=0.005)
HOUR = 3_600_000_000_000

attempts = st.lists(
    st.builds(
        attempt,
        st.sampled_from(["ok", "error", "timeout", "client_gone"]),
        tokens=st.integers(0, 100_003),
        simulated=st.booleans(),
        deployment=st.sampled_from(["p/m", "p/big", "local/support_reply"]),
    ),
    max_size=4,
)
calls = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["ok", "error", "cache_hit", "shed", "timeout", "client_gone", "refused"]),
        "attempts": attempts,
        "kind": st.sampled_from(["model", "tool"]),
        "workflow": st.sampled_from(["support_reply", ""]),
        "tenant": st.sampled_from(["acme", "other"]),
        "purpose": st.sampled_from(["", "", "judge"]),
        "started_ns": st.integers(T0, T0 + 5 * HOUR),
        "reasons": st.just(("because",) * 3) | st.just(("a very long reason " * 40,) * 4),
    }
)
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("lone"), calls),
        st.tuples(st.just("step"), calls, st.integers(0, 2), st.booleans()),
        st.tuples(st.just("takeover"), st.integers(0, 2)),
        st.tuples(st.just("outcome"), st.integers(0, 2), st.booleans()),
        st.tuples(
            st.just("end"), st.integers(0, 2), st.sampled_from(["resolved", "failed", "handed_to_human", "simulated"])
        ),
        st.tuples(st.just("crash"), st.lists(calls, max_size=3), st.lists(st.integers(1, 10**6), max_size=3)),
        st.tuples(st.just("again"), calls),
    ),
    max_size=25,
)


class World:
    """A ledger to which things happen, and beside it what it should hold in the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteStore.open(path, busy_timeout_s=1, synchronous="normal")
        self.gate = Gate(self.store)
        self.expected: dict[str, tuple[int, int]] = {}
        self.numbers = iter(range(10_000))
        self.seq = [0, 0, 0]
        self.fence = [self.store.tasks.begin(started(f"t{n}"), "a", T0 + HOUR) for n in range(3)]
        self.recorder = self.start()

    def start(self) -> Recorder:
        clock = Clock()
        recorder = Recorder(
            cast("Store", self.gate), clock, path=self.path, price_of_version={"v1": PRICE}.get, limits=LIMITS
        )
        recorder.start()
        return recorder

    def settle(self, settled, fence=0):
        slot = self.recorder.open(crashed(settled.caller.task, settled.caller.step))
        self.recorder.settle(slot, settled, {"response": {"text": "x" * 400}}, fence=fence)
        self.expected[settled.call] = money(settled)

    def lone(self, fields):
        self.settle(self.alone(fields))

    def alone(self, fields):
        task, own = lone_ids(f"tsk_{next(self.numbers)}")
        return call(task, call_id=own, **fields)

    def step(self, fields, which, stale):
        self.seq[which] += 1
        name = f"t{which}"
        fence = self.fence[which] - (1 if stale and self.fence[which] > 1 else 0)
        self.settle(call(name, self.seq[which], **fields | {"workflow": "support_reply", "tenant": "acme"}), fence)

    def takeover(self, which):
        self.flush()
        claimed = self.store.tasks.claim(f"t{which}", "b", now_ns=T0 + 9 * HOUR, lease_until_ns=T0 + 9 * HOUR)
        self.fence[which] = claimed or self.fence[which]

    def outcome(self, which, success):
        self.seq[which] += 1
        self.flush()
        self.store.write([[Record(f"t{which}", self.seq[which], "acme", T0, OutcomeSeen(success, "user"))]])

    def end(self, which, outcome):
        self.seq[which] += 1
        self.flush()
        self.store.write([[finished(f"t{which}", self.seq[which], outcome=outcome)]])

    def again(self, fields):
        """The same call is written once more, as after a crash between commit and clearing the journal."""
        settled = self.alone(fields)
        self.settle(settled)
        self.flush()
        self.store.write([[record(settled)]])

    def crash(self, settled, open_costs):
        """Some calls had settled and were not written yet, some were open, when the process was killed.

        Every other open one was the next step of a task whose new worker will use that place again.
        """
        self.flush()
        self.gate.down = True
        for fields in settled:
            self.lone(fields)
        for cost in open_costs:
            number = next(self.numbers)
            place = (f"t{cost % 3}", self.seq[cost % 3] + 1) if number % 2 else (f"open{number}", 1)
            event = crashed(*place, cost=cost, call_id=f"dead{number}", workflow="support_reply" if number % 3 else "")
            self.recorder.open(event)
            self.expected[event.call] = (cost, 0)
        die(self.recorder)
        self.gate.down = False
        self.recorder = self.start()

    def flush(self):
        assert self.recorder.close_now(10.0) == 0
        self.recorder = self.start()

    def check(self):
        assert self.recorder.close_now(10.0) == 0
        real = sum(each[0] for each in self.expected.values())
        simulated = sum(each[1] for each in self.expected.values())
        totals = self.store.totals()
        assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd == real
        assert totals.events_simulated_nano_usd == totals.tasks_simulated_nano_usd == simulated
        assert totals.rolls_simulated_nano_usd == simulated
        assert calls_in(self.path) == sorted(self.expected)
        for row in self.store.rolls(RollFilter()):
            assert sum(row.lines_nano_usd.values()) == row.cost_nano_usd + row.simulated_nano_usd
        whole = report(statements(self.store))
        assert whole.cost_nano_usd == real
        assert whole.simulated_nano_usd == simulated
        assert sum(line.cost_nano_usd for line in whole.lines if not line.simulated) == real
        assert sum(line.cost_nano_usd for line in whole.lines if line.simulated) == simulated
        self.store.close()


@pytest.mark.requirement("OB-03", "EC-01")
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(happenings)
def test_sums_agree_for_any_interleaving_of_outcomes(happened):
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "store.db")
        for name, *what in happened:
            getattr(world, name)(*what)
        world.check()
