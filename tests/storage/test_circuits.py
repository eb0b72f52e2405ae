"""Changes of breakers: kept once, counted by the hour, found by time; the same on SQLite and PostgreSQL."""

import pytest

from interlock.core.circuits import CircuitChange, CircuitState
from interlock.core.store import RollFilter, Store

from .conftest import Opened

HOUR = 3_600_000_000_000
NOW = 500_000 * HOUR


def change(
    minute: int, state: CircuitState, seq: int, *, process: str = "here:b:1:1", tenant: str = "acme", of: str = "v/one"
) -> CircuitChange:
    return CircuitChange(NOW + minute * 60_000_000_000, tenant, process, seq, of, state, f"reason {seq}")


def counted(store: Store) -> dict[tuple[int, str, str], int]:
    rows = store.meters(RollFilter())
    return {(row.hour, row.tenant, row.label): row.n for row in rows if row.meter == "circuits"}


@pytest.mark.requirement("OB-04")
def test_changes_are_kept_once_and_counted_once_however_often_they_are_written(store: Store):
    changes = [change(1, "open", 1), change(2, "half_open", 2), change(61, "closed", 3)]
    store.circuits.add(changes[:2])
    store.circuits.add(changes)
    store.circuits.add([])

    assert store.circuits.since("acme", 0, 10) == changes[::-1]
    assert store.circuits.since("acme", NOW + 60_000_000_000 * 2, 1) == changes[2:]
    assert counted(store) == {
        (500_000, "acme", "open v/one"): 1,
        (500_000, "acme", "half_open v/one"): 1,
        (500_001, "acme", "closed v/one"): 1,
    }


@pytest.mark.requirement("OB-04", "SG-05")
def test_processes_stand_side_by_side_and_tenants_apart(opened: Opened):
    one, other = opened(), opened()
    one.circuits.add([change(1, "open", 1), change(5, "closed", 2), change(7, "open", 3, of="v/two")])
    other.circuits.add([change(2, "open", 1, process="there:b:1:1"), change(3, "open", 1, tenant="b", process="x")])

    before = one.circuits.before("acme", NOW + HOUR, 10)
    assert [(each.process, each.deployment, each.state) for each in before] == [
        ("here:b:1:1", "v/two", "open"),
        ("there:b:1:1", "v/one", "open"),
    ]
    assert [each.seq for each in one.circuits.before("acme", NOW + 4 * 60_000_000_000, 10)] == [1, 1]
    assert [each.tenant for each in one.circuits.since("b", 0, 10)] == ["b"]


@pytest.mark.requirement("SG-08")
def test_old_changes_are_forgotten_and_their_counts_stay(store: Store):
    store.circuits.add([change(1, "open", 1), change(61, "closed", 2)])

    assert store.circuits.forget(NOW + HOUR) == 1
    assert [each.seq for each in store.circuits.since("acme", 0, 10)] == [2]
    assert sum(counted(store).values()) == 2
