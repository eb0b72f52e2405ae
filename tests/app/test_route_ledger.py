"""A workspace's own finished tasks teach a route, as far as somebody has said whether they succeeded."""

import pytest
from msgspec import structs

from interlock.app.route_ledger import from_ledger
from interlock.app.routes import Plan, train
from interlock.app.tier0 import Model
from interlock.core.errors import ConfigError
from interlock.core.events import OutcomeSeen, Record
from interlock.storage import SqliteStore
from tests.ledger.kit import PRICE, T0, attempt, call, finished, record, started


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "interlock.yaml").write_text(
        "models: {support: {small: [simulated/small], premium: [simulated/big]}}\n"
    )
    return tmp_path


def told(task, seq, success):
    return Record(task, seq, "acme", T0 + 2 * 10**9, OutcomeSeen(success, "person"))


def written(folder, tasks):
    """Tasks of one model call each: (tier, whether it succeeded or None, further fields of the call, task type)."""
    store = SqliteStore.open(folder / ".interlock" / "interlock.db")
    for place, (tier, success, fields, kind) in enumerate(tasks):
        task = f"t{place}"
        asked = {"request": [{"role": "user", "text": f"question {place}"}], "response": {"text": "2 + 2 = 4"}}
        tries = [structs.replace(attempt(), tier=tier)]
        if fields.get("checked"):
            tries.append(structs.replace(attempt(), tier=tier, purpose="check:agreement"))
        event = call(task, 2, attempts=tries, tier=tier, **{k: v for k, v in fields.items() if k != "checked"})
        rows = [started(task, facts={"task_type": kind}), record(event, content=asked), finished(task, 3)]
        store.write([rows if success is None else [*rows, told(task, 4, success)]], [PRICE])
    store.close()


@pytest.mark.requirement("GW-15")
def test_tasks_with_a_known_outcome_are_examples_of_the_tier_that_answered(folder):
    written(
        folder, [("small", True, {"checked": True}, "refund"), ("premium", False, {}, "late"), ("small", None, {}, "")]
    )

    found = from_ledger(folder, "support_reply")

    first, second = sorted(found.examples, key=lambda each: each.prompt)
    assert found.models == ("small", "premium")
    assert found.skipped == 1
    assert (first.prompt, first.task, first.right) == ("question 0", "refund", {"small": 1.0})
    assert first.answers == {"small": "2 + 2 = 4"}
    assert first.costs_nano_usd == {"small": attempt().cost_nano_usd}  # without what its check cost
    assert (second.task, second.right) == ("late", {"premium": 0.0})


@pytest.mark.requirement("GW-15")
def test_simulated_cached_and_degraded_answers_teach_nothing(folder):
    simulated = {"simulated": True}
    written(
        folder,
        [
            ("small", True, simulated, ""),
            ("small", True, {"cache": "exact"}, ""),
            ("small", True, {"degraded": "best_effort"}, ""),
        ],
    )
    with pytest.raises(ConfigError, match="none with a known outcome that a model worked on"):
        from_ledger(folder, "")


@pytest.mark.requirement("GW-15")
def test_a_route_from_the_ledger_knows_which_task_the_small_tier_fails_at(folder):
    tasks = [
        (tier, tier == "premium" or kind == "easy", {}, kind)
        for tier in ("small", "premium")
        for kind in ("easy", "hard")
        for _ in range(15)
    ]
    written(folder, tasks)

    route = train(from_ledger(folder, ""), Plan(embedding=False), Model()).route

    assert route.table["easy"]["small"].chance > 0.85
    assert route.table["hard"]["small"].chance < 0.15
    assert route.table["hard"]["premium"].chance > 0.85
