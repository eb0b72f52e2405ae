"""The example shop's tools do each effect once, refuse what the policy forbids, and survive being killed."""

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock import ToolError
from interlock.tools.load import load_tools
from tests.examples import shop

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "support"
TOOLS = load_tools(EXAMPLE / "tools.py")
SHOP = json.loads((EXAMPLE / "data" / "shop.json").read_text(encoding="utf-8"))
EMAILS = {customer["id"]: customer["email"] for customer in SHOP["customers"]}
Call = Callable[..., dict[str, Any]]


def orders(status: str) -> list[dict[str, Any]]:
    return [order for order in SHOP["orders"] if order["status"] == status]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE / "data", tmp_path / "data")
    return tmp_path


@pytest.fixture
def call(workspace: Path) -> Call:
    def use(name: str, key: str = "key-1", **arguments: Any) -> dict[str, Any]:
        return shop.called(TOOLS[name], workspace, key, arguments)

    return use


def rows(workspace: Path, sql: str) -> list[Any]:
    db = sqlite3.connect(workspace / ".interlock" / "shop.sqlite")
    found = db.execute(sql).fetchall()
    db.close()
    return found


def test_an_order_is_found_however_its_number_is_written(call):
    wanted = orders("shipped")[0]["id"]
    digits = wanted.removeprefix("FH-")
    for spelling in (wanted, f"fh {digits}", f"#{digits}", f"order no. {digits}", digits):
        assert call("orders.get", order_id=spelling)["id"] == wanted


def test_an_order_is_not_shown_to_another_customer(call):
    order = orders("delivered")[0]
    assert call("orders.get", order_id=order["id"], email=EMAILS[order["customer_id"]].upper())["id"] == order["id"]
    with pytest.raises(ToolError) as refused:
        call("orders.get", order_id=order["id"], email="somebody@example.com")
    assert refused.value.code == "not_yours"


def test_an_unknown_order_and_an_unknown_product_are_told_apart_from_failures(call):
    for name, arguments in (
        ("orders.get", {"order_id": "FH-99999"}),
        ("inventory.lookup", {"product": "a nice hat for grandma"}),
    ):
        with pytest.raises(ToolError) as refused:
            call(name, **arguments)
        assert refused.value.code == "not_found"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("is the Cloudrest XL pad back?", ["Cloudrest XL Sleeping Pad"]),
        ("any womens tern rain jackets left", ["Tern Rain Jacket Women"]),
        ("do you have firefly headlamps", ["Firefly 350 Headlamp", "Firefly 600 Headlamp"]),
    ],
)
def test_a_product_is_found_in_free_text(call, text, found):
    summary = call("inventory.lookup", product=text)["summary"]
    assert [part.split(" ($")[0] for part in summary.split("; ")] == found


def test_a_refund_with_the_same_key_is_paid_once_and_answers_the_same(call, workspace):
    order = orders("lost")[0]
    asked = {"order_id": order["id"], "amount_usd": order["total_cents"] / 100, "reason": "lost"}
    first = call("payments.refund", **asked)
    assert call("payments.refund", **asked) == first
    assert rows(workspace, "SELECT sum(amount_cents), count(*) FROM refunds") == [(order["total_cents"], 1)]


@pytest.mark.parametrize(
    ("change", "code"),
    [({"key": "key-2"}, "already_refunded"), ({"reason": "other"}, "key_reused")],
)
def test_a_second_refund_of_an_order_is_refused(call, workspace, change, code):
    asked = {"order_id": orders("lost")[0]["id"], "amount_usd": 1.5, "reason": "lost"}
    call("payments.refund", **asked)
    with pytest.raises(ToolError) as refused:
        call("payments.refund", **{**asked, **change})
    assert refused.value.code == code
    assert rows(workspace, "SELECT count(*) FROM refunds") == [(1,)]


@pytest.mark.parametrize(
    ("status", "amount", "code"),
    [
        ("lost", 1_000_000, "too_much"),
        ("lost", 0, "invalid_amount"),
        ("lost", 1.005, "invalid_amount"),
        ("processing", 1, "not_charged"),
    ],
)
def test_a_refund_outside_the_policy_is_refused_and_leaves_no_trace(call, workspace, status, amount, code):
    with pytest.raises(ToolError) as refused:
        call("payments.refund", order_id=orders(status)[0]["id"], amount_usd=amount, reason="x")
    assert refused.value.code == code
    call("orders.get", order_id=orders(status)[0]["id"])
    assert rows(workspace, "SELECT (SELECT count(*) FROM refunds) + (SELECT count(*) FROM effects)") == [(0,)]


def test_a_reversed_refund_no_longer_counts(call):
    order = orders("lost")[0]
    paid = call("payments.refund", order_id=order["id"], amount_usd=2, reason="x")
    call("payments.refund_reverse", key="key-2", refund_id=paid["refund_id"])
    assert call("orders.get", order_id=order["id"])["refunded_usd"] == 0
    assert call("payments.refund", key="key-3", order_id=order["id"], amount_usd=2, reason="x")["amount_usd"] == 2


def test_only_an_order_that_has_not_left_can_be_cancelled_and_that_can_be_undone(call):
    waiting, gone = orders("processing")[0]["id"], orders("shipped")[0]["id"]
    call("orders.cancel", order_id=waiting)
    assert call("orders.get", order_id=waiting)["status"] == "cancelled"
    call("orders.reopen", key="key-2", order_id=waiting)
    assert call("orders.get", order_id=waiting)["status"] == "processing"
    with pytest.raises(ToolError) as refused:
        call("orders.cancel", key="key-3", order_id=gone)
    assert refused.value.code == "too_late"


WORKER = """
import sys
from pathlib import Path
from interlock.tools.load import load_tools
from tests.examples import shop
refund = load_tools(Path(sys.argv[1]) / "tools.py")["payments.refund"]
print("ready", flush=True)
for order in sys.argv[3].split(","):
    shop.called(refund, Path(sys.argv[2]), "refund-" + order, {"order_id": order, "amount_usd": 1.25, "reason": "x"})
"""


def test_killed_at_any_instant_each_refund_is_paid_once(workspace):
    lost = [order["id"] for order in orders("lost")]
    chance = random.Random(20261120)
    command = [sys.executable, "-c", WORKER, str(EXAMPLE), str(workspace), ",".join(lost)]
    killed = 0
    for _ in range(8):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            try:
                worker.wait(timeout=chance.uniform(0.001, 0.08))
            except subprocess.TimeoutExpired:
                worker.send_signal(signal.SIGKILL)
                killed += 1
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    assert killed > 0
    assert rows(workspace, "SELECT count(*), count(DISTINCT order_id), sum(amount_cents) FROM refunds") == [
        (len(lost), len(lost), 125 * len(lost))
    ]
    assert rows(workspace, "PRAGMA integrity_check") == [("ok",)]
