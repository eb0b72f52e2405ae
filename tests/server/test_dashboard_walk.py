"""Somebody who has never seen it answers four questions from the screen, by following what is written there."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from interlock.core.events import Settled
from interlock.core.time import NS_PER_S, SystemClock

from .chromium import CHROMIUM, Tab, browsing
from .dashboard_kit import Past, workspace, write
from .test_dashboard_browser import serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")
DAY_NS = 86_400 * NS_PER_S
SAID = "the stock system answered 503 three times"
SCREEN = "document.querySelector('main').innerText"


def weeks(now_ns: int) -> list[Past]:
    """Two of them: in the later one, half of the answers had to be escalated; one task failed, one payment was approved."""
    stories: list[Past] = []
    for number in range(24):
        each = Past(f"tsk_{number:03d}", now_ns - (NS_PER_S * (600 + number) if number < 12 else 9 * DAY_NS + number))
        each.begin()
        each.model(escalated=number % 2 == 0 and number < 12)
        each.tool()
        if number == 3:
            last = each.records[-1]
            assert isinstance(last.event, Settled)
            broken = structs.replace(last.event, status="error", error="tool_failed", message=SAID)
            each.records[-1] = structs.replace(last, event=broken)
        if number == 5:
            each.approval(7, who="mia@shop.example")
            each.tool("payments.create_intent")
        each.end(*(("failed",) if number == 3 else ()), **({"error": "tool_failed"} if number == 3 else {}))
        stories.append(each)
    return stories


async def press(tab: Tab, selector: str, text: str) -> str:
    """The screen after a click on the link that says `text`."""
    await tab.follow(
        f"[...document.querySelectorAll({selector!r})].find((each) => each.innerText.includes({text!r})).click()"
    )
    return await tab.run(SCREEN)


@pytest.mark.requirement("OB-08", "EC-01", "OB-02")
async def test_four_questions_are_answered_from_the_screen(tmp_path: Path):
    root = workspace(tmp_path / "workspace")
    write(root, *weeks(SystemClock().wall_ns()))
    async with serving(root) as (address, entrance), browsing(tmp_path / "profile") as tab:
        await tab.go(address + entrance)
        money = await press(tab, "nav a", "P&L")
        await press(tab, "nav a", "Home")
        failures = await press(tab, "tr:has(.tag.bad) a", "1")
        failure = await press(tab, "tbody a", "tsk_003")
        await tab.go(f"{address}/ui/tasks/tsk_005")
        refund = await opened(tab, "approval")

    assert "Cost per success\n$" in money
    assert "more than in the 7d before, mostly for " in money
    assert "Without routing: everything by" in money
    assert "tool_failed" in failures
    assert SAID in failure
    assert "inventory.lookup · step" in failure
    assert "approve by mia@shop.example" in refund
    assert tab.complaints == []


async def opened(tab: Tab, name: str) -> str:
    """The screen after a click on a step, which is fetched into the page."""
    return await tab.run(
        "new Promise((done) => { document.addEventListener('htmx:afterSettle', () => done(document.querySelector('#why').innerText));"
        f" [...document.querySelectorAll('a.row')].find((each) => each.innerText.includes({name!r})).click(); }})"
    )
