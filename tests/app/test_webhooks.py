"""Messages to a receiver that is away: said once, sent again, and said once more when it is back."""

import asyncio
import logging
import random
from typing import Any, cast

import pytest

from interlock.app.webhooks import Webhooks
from interlock.config.webhooks import Webhook
from interlock.core.errors import ConnectFailed
from interlock.testing.clock import FakeClock


class Away:
    """An HTTP client whose first two requests find nobody."""

    def __init__(self) -> None:
        self.asked = 0
        self.taken = asyncio.Event()

    async def request(self, _request: object, _deadline: object) -> Any:
        self.asked += 1
        if self.asked <= 2:
            raise ConnectFailed("nothing listens there")
        self.taken.set()
        return type("Reply", (), {"status": 200})()


@pytest.mark.requirement("AG-06")
async def test_an_address_that_does_not_answer_is_said_when_it_begins_and_when_it_ends(
    caplog: pytest.LogCaptureFixture,
):
    http = Away()
    to = Webhook.model_validate({"url": "http://127.0.0.1:9/hook", "secret": "a-secret-of-some-length"})
    hooks = Webhooks([to], cast(Any, http), FakeClock(), random.Random(7), sleep=lambda _: asyncio.sleep(0))
    with caplog.at_level(logging.WARNING, "interlock.webhooks"):
        hooks.finished("support", "tsk_1", {"outcome": "resolved"})
        working = asyncio.create_task(hooks.run(at_once=1))
        await asyncio.wait_for(http.taken.wait(), 5)
        await asyncio.sleep(0)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert [line.split(" ", 1)[1] for line in caplog.messages] == [
        "does not take messages, they are sent again: nothing listens there",
        "takes messages again",
    ]
