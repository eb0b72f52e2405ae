"""Conversations that are kept: whoever waits for a turn to be written is told, whatever becomes of it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from interlock.core.caller import Caller
from interlock.ledger import KeptResponses
from interlock.testing.clock import FakeClock


class Recorder:
    """Fails as often as it is told to."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)

    async def run(self, _job: Callable[[Any], Any]) -> None:
        if self.faults:
            raise self.faults.pop(0)


async def test_a_store_that_fails_in_whatever_way_keeps_nobody_waiting():
    recorder: Any = Recorder(ValueError("a defect"))
    store: Any = None
    kept = KeptResponses(store, recorder, FakeClock(), ttl_s=60.0)
    with pytest.raises(ValueError, match="a defect"):
        await asyncio.wait_for(kept.keep(Caller("acme"), "resp_1", "", [], b"[]", b"{}"), 60)
    await asyncio.wait_for(kept.keep(Caller("acme"), "resp_2", "", [], b"[]", b"{}"), 60)
