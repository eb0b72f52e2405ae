"""The clock by which leases go: one for all processes on a store, and nobody can set it."""

import time

import pytest

from interlock.core.due import Wanted
from interlock.storage.lease_clock import lease_clock
from tests.ledger.kit import T0, started

S = 1_000_000_000


@pytest.mark.requirement("OP-04")
def test_setting_a_machines_clock_moves_no_lease(opened, monkeypatch):
    one, real_ns = opened().lease_clock(), time.time_ns
    before_ns = one()
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + 3_600 * S)
    another = opened().lease_clock()
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() - 3_600 * S)
    third = opened().lease_clock()
    for clock in (one, another, third):
        assert 0 <= clock() - before_ns < 60 * S


def test_after_a_start_of_the_machine_it_begins_again_from_the_wall_clock(tmp_path, monkeypatch):
    path = tmp_path / "store.db"
    path.with_name("store.db-clock").write_text("another-boot 00000000000000000017\n")
    assert abs(lease_clock(path)() - time.time_ns()) < 60 * S
    path.with_name("store.db-clock").write_text("cut sh")
    assert abs(lease_clock(path)() - time.time_ns()) < 60 * S
    monkeypatch.setattr("interlock.storage.lease_clock.BOOT_ID", tmp_path / "none")
    assert lease_clock(path) is time.time_ns


def test_what_waits_for_a_time_of_its_own_is_due_by_the_wall_clock(store):
    for name in ("now", "later"):
        store.tasks.begin(started(name), "maker", T0 + S)
    store.tasks.release("now", 1)
    store.tasks.release("later", 1, wake_at_ns=T0 + 60 * S)
    wanted = Wanted((("acme", "support_reply"),), 10)

    def due(due_ns):
        rows = store.tasks.take(wanted, "w", now_ns=T0 + 900 * S, lease_until_ns=T0 + 901 * S, due_ns=due_ns)
        return [row.id for row in rows]

    assert due(T0 + 1) == ["now"]
    assert due(T0 + 61 * S) == ["later"]
