"""Signs of injections by source: more than before is told, as much as before is not."""

from __future__ import annotations

import pytest

from interlock.core.caller import Caller
from interlock.core.events import Settled
from interlock.core.meters import MeterRow, metered
from interlock.observe.alarms import of_signs
from interlock.observe.orders import signs

NOW = 500_000


def row(ago: int, n: int, label: str, workflow: str = "support") -> MeterRow:
    return MeterRow(NOW - ago, "acme", workflow, "signals", label, n)


@pytest.mark.requirement("OB-06")
def test_a_source_that_begins_to_give_orders_is_told_with_its_signs():
    rows = [row(1, 9, "injection:override from web.fetch"), row(2, 3, "injection:exfiltration from web.fetch")]
    rows += [row(24 * day, 2, "injection:override") for day in range(28)]
    rows += [row(3, 40, "moderation:violence from web.fetch")]
    found = {each.source: each for each in signs(rows, NOW)}
    assert (found["web.fetch"].day, found["web.fetch"].more) == (12, True)
    assert found["web.fetch"].families == ("override", "exfiltration")
    assert (found["requests"].day, found["requests"].before, found["requests"].more) == (2, 2.0, False)
    (told,) = of_signs("acme", list(found.values()))
    assert told.title == "support: 12 texts of web.fetch look as if they gave orders"


@pytest.mark.requirement("OB-06")
def test_the_meter_names_the_tool_that_a_sign_came_from():
    caller = Caller("acme", workflow="support", task="t")
    tool = Settled("c", "tool", "web.fetch", caller, "ok", 0, signals=("injection:override",))
    model = Settled("c", "model", "small", caller, "ok", 0, signals=("injection:role",))
    assert ("signals", "injection:override from web.fetch", 1) in list(metered(tool))
    assert ("signals", "injection:role", 1) in list(metered(model))
