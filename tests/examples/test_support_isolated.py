"""The support example as it is shipped: every tool runs in the sandbox, and reaches the shop by the statements it declares only."""

import asyncio
import json
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from interlock import Interlock
from interlock.app.doors import read
from interlock.core.caller import Caller
from interlock.tools.call import ToolReply
from interlock.tools.line import ToolRequest
from interlock.tools.load import load_tools
from tests.sandbox import kit

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "support"
SHOP = json.loads((EXAMPLE / "data" / "shop.json").read_text(encoding="utf-8"))


def test_every_tool_is_isolated_and_what_may_be_said_to_the_shop_is_what_they_declare():
    tools = load_tools(EXAMPLE / "tools.py")
    written = read((EXAMPLE / "data" / "statements.sql").read_text(encoding="utf-8"))

    assert all(each.isolated and each.door is not None and not each.reads for each in tools.values())
    assert {name for each in tools.values() for name in each.asks} == set(written)


@pytest.fixture
async def support(tmp_path: Path) -> AsyncIterator[Interlock]:
    kit.require_namespaces()
    shutil.copytree(EXAMPLE, tmp_path / "support", ignore=shutil.ignore_patterns(".interlock"))
    agent = tmp_path / "support" / "agents" / "support_reply.yaml"  # how busy this machine is, is not the point here
    agent.write_text(
        re.sub(r"timeout_ms: \d+", "timeout_ms: 60000", agent.read_text(encoding="utf-8")), encoding="utf-8"
    )
    async with Interlock.from_file(tmp_path / "support") as running:
        yield running


async def call(running: Interlock, name: str, key: str = "k1", **arguments: Any) -> ToolReply:
    grants = running.contracts["support_reply"].grants
    return await running.desk.call(Caller("fernhill", task="tsk_1"), ToolRequest(name, arguments, key=key), grants)


def rows(running: Interlock, sql: str) -> list[Any]:
    db = sqlite3.connect(running.workspace.root / ".interlock" / "shop.sqlite")
    found = db.execute(sql).fetchall()
    db.close()
    return found


@pytest.mark.requirement("TL-03")
async def test_a_refund_is_paid_once_from_inside_the_sandbox_and_its_event_says_where_it_ran(support: Interlock):
    lost = next(order["id"] for order in SHOP["orders"] if order["status"] == "lost")
    asked: dict[str, Any] = {"order_id": f"order no. {lost[-5:]}", "amount_usd": 1.5, "reason": "lost"}

    first = await call(support, "payments.refund", **asked)
    again = await call(support, "payments.refund", **asked)
    second = await call(support, "payments.refund", key="k2", **asked)

    assert first.settled.reasons[0].startswith("sandbox: level namespaces")
    assert first.content["result"]["order_id"] == lost
    assert again.content["result"] == first.content["result"]
    assert second.content["error"]["code"] == "already_refunded"
    assert rows(support, "SELECT order_id, amount_cents, count(*) FROM refunds") == [(lost, 150, 1)]
    assert rows(support, "SELECT key, tool FROM effects") == [("k1", "payments.refund")]


@pytest.mark.requirement("TL-03")
async def test_many_calls_at_once_neither_wait_for_each_other_for_good_nor_lose_an_effect(support: Interlock):
    cases = [{"subject": f"case {n}", "body": "x", "priority": "low"} for n in range(12)]
    made = await asyncio.gather(
        *(call(support, "tickets.create", key=f"t{n}", **each) for n, each in enumerate(cases)),
        *(call(support, "inventory.lookup", product="firefly headlamp") for _ in range(12)),
    )

    assert [each.settled.status for each in made] == ["ok"] * 24
    assert rows(support, "SELECT count(*), count(DISTINCT subject) FROM tickets") == [(12, 12)]
