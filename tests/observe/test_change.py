"""Where a figure changed for good, with which version, and how seldom one is seen where there is none."""

from __future__ import annotations

import random

import pytest

from interlock.core.caller import Versions
from interlock.core.store import TaskRow
from interlock.observe.change import Change, Ran, changes, versions_along

from .kit import MINUTE, NOW


def row(at: int, **fields: object) -> TaskRow:
    return TaskRow(f"t{at:04d}", "acme", "task", created_ns=NOW + at * MINUTE, outcome="resolved", **fields)  # type: ignore[arg-type]


def tasks(rng: random.Random, n: int, at: int, factor: float, *, late: int = 0) -> list[Ran]:
    """Whose cost rises at one place, heavy tails included; the prompt changes `late` tasks after it."""
    found: list[Ran] = []
    for place in range(n):
        cost = rng.lognormvariate(0, 0.6) * (factor if place >= at else 1.0) * (100 if rng.random() < 0.01 else 1)
        ran = row(place, cost_nano_usd=round(cost * 1e6), duration_us=round(rng.lognormvariate(0, 1) * 1e6))
        found.append(Ran(ran, Versions(prompt="p2" if place >= at + late else "p1", contract="c1")))
    return found


@pytest.mark.requirement("OB-06")
def test_a_rise_of_half_is_found_where_it_began_and_called_by_its_version():
    rng = random.Random(3)
    hits: list[Change] = []
    for _ in range(50):
        found = [each for each in changes(tasks(rng, 300, 200, 1.5)) if each.metric == "cost by task"]
        hits += found
    assert len(hits) >= 48
    assert sum(each.version == "prompt p2" for each in hits) >= 46
    assert all(each.worse for each in hits)
    assert all(each.n_before == 200 for each in hits if each.version)
    assert "cost by task" in hits[0].sentence()
    assert "since prompt p2" in hits[0].sentence()


@pytest.mark.requirement("OB-06")
def test_a_version_that_began_elsewhere_is_not_to_blame():
    rng = random.Random(4)
    found = [each for _ in range(30) for each in changes(tasks(rng, 400, 120, 2.0, late=150))]
    assert len([each for each in found if each.metric == "cost by task"]) >= 28
    assert not [each for each in found if each.version]


@pytest.mark.requirement("OB-06")
def test_where_nothing_changed_nothing_is_said():
    rng = random.Random(5)
    wrong = sum(bool(changes(tasks(rng, 300, 0, 1.0))) for _ in range(300))
    assert wrong <= 6  # 1 % of looks were agreed, each over eight figures


def test_few_tasks_say_nothing():
    assert changes(tasks(random.Random(6), 30, 15, 10.0)) == []


def test_versions_are_read_where_they_change_and_nowhere_else():
    rows = [row(at) for at in range(1_000)]
    read: list[str] = []

    def versions(task: str) -> Versions:
        read.append(task)
        return Versions(prompt="p2" if task >= "t0437" else "p1")

    runs = versions_along(rows, versions)
    assert [run.versions.prompt for run in runs] == ["p1"] * 437 + ["p2"] * 563
    assert len(read) < 60
