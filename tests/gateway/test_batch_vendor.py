"""What a batch through its vendor's own API holds back at the limits of its tenant, and what is left of that."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from interlock.core.batches import BatchRow, FileRow, VendorAnswer, VendorBatch
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChatResponse, Message
from interlock.core.errors import UpstreamCut
from interlock.core.limits import Limit
from interlock.core.money import Price, Rates, Usage
from interlock.core.ports import Deployment
from interlock.gateway.batch_vendor import VendorBatches, VendorParts
from interlock.gateway.quota import Quotas
from interlock.plugins.profiles import ModelProfile
from interlock.testing.clock import FakeClock

LINES = 600
USED = Usage(input=3, output=5)
AT = Deployment("mine", "small", "fake")
PRICE = Price("mine/small", Rates(input=10**6, output=2 * 10**6, reasoning=2 * 10**6), "test", "", "p1")


class Api:
    """A vendor's; its answers break off as often as it is told to, after most of them."""

    def __init__(self, breaks: int) -> None:
        self.breaks = breaks

    def offered(self, _: Any) -> bool:
        return True

    def line(self, _at: Any, _request: ChatRequest, name: str) -> bytes:
        return name.encode()

    async def submit(self, *_: Any) -> str:
        return "theirs"

    async def look(self, *_: Any) -> VendorBatch:
        return VendorBatch("theirs", ended=True)

    async def answers(self, *_: Any) -> AsyncIterator[VendorAnswer]:
        for number in range(1, LINES + 1):
            if number == LINES - 10 and self.breaks:
                self.breaks -= 1
                raise UpstreamCut("cut in the middle.")
            yield VendorAnswer(f"batch_1-{number}", 200, ChatResponse("small", "Good.", usage=USED))


class Provider:
    def __init__(self, api: Api) -> None:
        self.batches = api


class Log:
    """Keeps nothing but the row."""

    def __init__(self) -> None:
        self.blobs = self

    def file_now(self, *_: Any) -> FileRow:
        return FileRow("file_1", "acme", "batch", "in.jsonl", 10, 0)

    def lines(self, _: Any) -> Any:
        line = b'{"custom_id":"x","method":"POST","url":"/v1/chat/completions","body":{}}'
        return ((0, line) for _ in range(LINES))

    async def save(self, row: BatchRow) -> BatchRow:
        return row

    async def append(self, _: Any) -> None: ...

    async def answered(self, *_: Any) -> None: ...


class Speaks:
    def __init__(self, request: ChatRequest) -> None:
        self._request = request

    def request(self, *_: Any) -> ChatRequest:
        return self._request

    def reply(self, *_: Any) -> bytes:
        return b"{}"


def vendors(breaks: int = 0, **fields: Any) -> tuple[VendorBatches, Quotas]:
    clock = FakeClock()
    limits = (Limit("day", ("tenant",), period="day", tokens=10**9), Limit("running", ("tenant",), concurrency=3))
    quotas = Quotas(limits, clock)
    request = ChatRequest("small", (Message("user", "hi"),), max_output_tokens=100, **fields)
    everything: Any = {
        "log": Log(),
        "clock": clock,
        "providers": {"fake": Provider(Api(breaks))},
        "first_of": lambda *_: AT,
        "batch_price_of": lambda *_: PRICE,
        "speaks": Speaks(request),
        "profile_of": lambda _: ModelProfile(match=(), context_window=8_000, max_output=1_000),
        "quotas": quotas,
    }
    return VendorBatches(VendorParts(**everything)), quotas


ROW = BatchRow("batch_1", "acme", Caller("acme"), "/v1/chat/completions", "file_1", "24h", deployment="mine/small")


def standing(quotas: Quotas) -> dict[str, int]:
    return {amount: used for _, _, amount, used, _ in quotas.standings()}


@pytest.mark.requirement("GW-05", "GW-34")
async def test_answers_that_are_fetched_once_more_are_counted_once() -> None:
    through, quotas = vendors(breaks=2)
    row = await through.go_on(ROW)
    assert row is not None
    for _ in range(2):
        with pytest.raises(UpstreamCut):
            await through.go_on(row)
    assert await through.go_on(row) is None
    assert standing(quotas) == {"tokens": LINES * 8, "concurrency": 0}


@pytest.mark.requirement("GW-05", "GW-34")
async def test_several_answers_to_a_line_are_all_held_back() -> None:
    (one, held_for_one), (four, held_for_four) = vendors(), vendors(n=4)
    await asyncio.gather(one.go_on(ROW), four.go_on(ROW))
    more = standing(held_for_four)["tokens"] - standing(held_for_one)["tokens"]
    assert more == 3 * 100 * LINES


@pytest.mark.requirement("GW-05", "GW-34")
async def test_a_batch_that_is_given_up_holds_no_place_any_more() -> None:
    through, quotas = vendors()
    row = await through.go_on(ROW)
    assert row is not None
    assert standing(quotas)["concurrency"] == 1
    through.over(row)
    assert standing(quotas)["concurrency"] == 0
