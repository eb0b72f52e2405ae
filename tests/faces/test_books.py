"""Every call of every dialect in front of every provider is in the ledger exactly once, with what the vendor says of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interlock.app import open_reading
from interlock.core.money import Usage
from interlock.core.store import TaskFilter
from interlock.testing.upstream import Answer

from .clients import Face, User, Wish
from .house import VENDORS, House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("GW-06", "GW-29")]
ASK = (User("How is the weather?"),)
LONG = "one two three four five six seven eight"


async def settled(home: House, user: str) -> Any:
    """The one event of the one call of a user, once it is committed."""
    async with asyncio.timeout(60):
        while True:
            with open_reading(home.folder) as reading:
                found = [task for task in reading.tasks(TaskFilter(limit=1000)) if task.user == user]
                traces = [reading.trace(task.task) for task in found]
            events = [step.call for trace in traces if trace for step in trace.steps if step.call]
            if events:
                assert len(events) == 1
                return events[0]
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_each_call_settles_once_with_what_the_vendor_counted(face: Face, home: House, vendor: str) -> None:
    told = Answer(text=LONG, input_tokens=100, output_tokens=40, cached_tokens=30)
    asks: dict[str, Any] = {"whole": face.ask, "stream": face.stream}
    for how, ask in asks.items():
        home.script(vendor, told)
        user = f"{face.name}-{vendor}-{how}"
        await ask(home.fresh(vendor), ASK, Wish(user=user))
        event = await settled(home, user)
        assert (event.status, len(event.attempts)) == ("ok", 1)
        usage = Usage(**event.usage)
        assert (usage.input_total, usage.cache_read, usage.output_total) == (100, 30, 40)
        home.script(vendor, Answer(status=400, text="no"))
        user += "-refused"
        with pytest.raises(face.bad_request):
            await ask(home.fresh(vendor), ASK, Wish(user=user))
        event = await settled(home, user)
        assert (event.status, event.cost_nano_usd, Usage(**event.usage)) == ("error", 0, Usage())


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_client_that_leaves_a_stream_pays_for_what_it_saw(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(text=LONG, input_tokens=100, stall_after=6, piece_delay_s=0.005))
    user, begun = f"{face.name}-{vendor}-left", asyncio.Event()

    async def leave() -> None:
        async for _ in face.pieces(home.fresh(vendor), ASK, Wish(user=user)):
            begun.set()

    leaving = asyncio.create_task(leave())
    await begun.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    event = await settled(home, user)
    assert event.status == "client_gone"
    usage = Usage(**event.usage)
    assert usage.output_total >= 1
    assert usage.input_total >= 1
