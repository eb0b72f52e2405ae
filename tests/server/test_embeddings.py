"""Embeddings through the official client, the whole gateway and a vendor that counts."""

from __future__ import annotations

import asyncio
import base64
import random
import struct
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.app import open_reading
from interlock.core.events import Attempt, Settled
from interlock.core.money import Usage
from interlock.core.store import TaskFilter
from interlock.gateway import split
from interlock.gateway.micro import Micro
from interlock.storage import SqliteStore

from .test_end_to_end import FILES, House, booked, house
from .vendor import CUT, Asked, Said, Vendor, said, vendor


def embedded(asked: Asked) -> Said:
    """Each text's length and number of words, and ten tokens for each text."""
    body = asked.body
    if "bad" in body["input"]:
        return said({"error": {"message": "no such input", "type": "invalid_request_error"}}, 400)
    vectors = [struct.pack("<2f", len(text), len(text.split())) for text in body["input"]]
    data = [
        {"object": "embedding", "index": at, "embedding": base64.b64encode(each).decode()}
        for at, each in enumerate(vectors)
    ]
    used = {"prompt_tokens": 10 * len(data), "total_tokens": 10 * len(data)}
    return said({"object": "list", "model": body["model"], "data": data[::-1], "usage": used})


def files(there: Vendor) -> str:
    """The workspace of `house` with its provider at another vendor."""
    return FILES.replace("{base_url}", there.base_url)


def patient(up: House) -> None:
    """Calls that a busy machine brings late still go together."""
    embeddings: Any = up.il.gateway.embeddings
    embeddings._groups._micro = Micro(wait_s=0.5)


@pytest.mark.requirement("GW-04")
async def test_vectors_come_as_numbers_or_base64_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    async with vendor(embedded) as there, house(tmp_path, files=files(there)) as up, up.client() as client:
        raw: Any = await client.embeddings.with_raw_response.create(model="support", input=["one", "two words"])
        got = raw.parse()
        plain = await client.embeddings.create(
            model="mine/small", input="three small words", encoding_format="float", dimensions=2
        )
    assert [each.embedding for each in got.data] == [[3.0, 1.0], [9.0, 2.0]]
    assert [each.index for each in got.data] == [0, 1]
    assert (plain.data[0].embedding, plain.usage.prompt_tokens) == ([17.0, 3.0], 10)
    assert raw.headers["x-interlock-cost-nano-usd"] == str(20 * 1000)
    assert there.asked[1].path == "/v1/embeddings"
    assert there.asked[1].body["dimensions"] == 2
    assert booked(tmp_path) == (30, 0, 30 * 1000)


@pytest.mark.requirement("GW-04")
async def test_concurrent_calls_share_upstream_calls_and_each_is_billed_its_share(tmp_path: Path) -> None:
    callers = 64
    async with vendor(embedded) as there, house(tmp_path, files=files(there)) as up, up.client() as client:
        patient(up)
        texts = ["word " * (1 + number % 7) for number in range(callers)]
        got = await asyncio.gather(*(client.embeddings.create(model="support", input=text) for text in texts))
    assert [each.data[0].embedding for each in got] == [[float(len(t)), float(len(t.split()))] for t in texts]
    assert len(there.asked) <= callers / 8
    assert booked(tmp_path) == (10 * callers, 0, 10 * callers * 1000)
    with open_reading(tmp_path) as reading:
        rows = reading.tasks(TaskFilter(limit=1000))
    assert len(rows) == callers
    assert all(row.cost_nano_usd > 0 for row in rows)


@pytest.mark.requirement("GW-04")
async def test_one_bad_input_fails_nobody_but_who_sent_it(tmp_path: Path) -> None:
    async with vendor(embedded) as there, house(tmp_path, files=files(there)) as up, up.client() as client:
        asks = [client.embeddings.create(model="support", input=text) for text in ("a", "bad", "b c")]
        got: Any = await asyncio.gather(*asks, return_exceptions=True)
    assert isinstance(got[1], openai.BadRequestError)
    assert [got[0].data[0].embedding, got[2].data[0].embedding] == [[1.0, 1.0], [3.0, 2.0]]
    assert booked(tmp_path) == (20, 0, 20 * 1000)


@pytest.mark.requirement("GW-04")
async def test_who_goes_away_is_settled_with_its_share_and_the_vendor_is_cut_off_with_the_last(tmp_path: Path) -> None:
    async with vendor(embedded) as there:
        there.hold = asyncio.Event()
        async with house(tmp_path, files=files(there)) as up, up.client() as client:
            patient(up)
            asks = [asyncio.create_task(client.embeddings.create(model="support", input=text)) for text in ("a", "b")]
            while not there.asked:
                await asyncio.sleep(0.001)
            asks[0].cancel()
            await asyncio.sleep(0.05)
            assert there.gone == 0
            there.hold.set()
            assert (await asks[1]).data[0].embedding == [1.0, 1.0]
            there.hold = asyncio.Event()
            lonely = asyncio.create_task(client.embeddings.create(model="support", input="c"))
            while len(there.asked) < 2:
                await asyncio.sleep(0.001)
            lonely.cancel()
            async with asyncio.timeout(60):
                while not there.gone:
                    await asyncio.sleep(0.001)
    with open_reading(tmp_path) as reading:
        rows = sorted(reading.tasks(TaskFilter(limit=10)), key=lambda row: row.task)
    assert sorted((row.outcome, row.input_tokens) for row in rows[:2]) == [("cancelled", 10), ("resolved", 10)]
    assert rows[2].outcome == "cancelled"


async def test_what_is_no_request_for_embeddings_is_refused_with_its_place(tmp_path: Path) -> None:
    async with vendor(embedded) as there, house(tmp_path, files=files(there)) as up, up.client() as client:
        for wrong in ({"input": []}, {"input": ["a", ""]}, {"input": ["a", 1]}, {"input": "a", "dimensions": 0}):
            with pytest.raises(openai.BadRequestError):
                await client.post("/embeddings", body={"model": "support", **wrong}, cast_to=object)
    assert there.asked == []


@pytest.mark.requirement("GW-04", "GW-11")
async def test_the_model_on_this_machine_makes_embeddings_for_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as up, up.client() as client:
        got = await client.embeddings.create(model="local/minilm", input=["a dog barks", "a hound barks", "tax law"])
        with pytest.raises(openai.BadRequestError, match="makes no embeddings"):
            await client.embeddings.create(model="local/desk", input="a")
    dog, hound, law = (each.embedding for each in got.data)
    assert len(dog) == 384
    assert sum(a * b for a, b in zip(dog, hound, strict=True)) > 0.6 > sum(a * b for a, b in zip(dog, law, strict=True))


@given(
    st.integers(0, 10**12),
    st.lists(st.integers(1, 10**6), min_size=1, max_size=30),
    st.integers(0, 10**12),
)
@pytest.mark.requirement("GW-04", "OB-03")
def test_shares_add_up_to_the_token_and_the_nano_dollar(tokens: int, weights: list[int], cost: int) -> None:
    tried = Attempt("v/m", "ok", 1, 1, usage=Usage(input=tokens), cost_nano_usd=cost)
    shares = split.attempt(tried, weights)
    assert sum(each.usage.input for each in shares) == tokens
    assert sum(each.cost_nano_usd for each in shares) == cost
    over = sum(weights)
    assert all(abs(s.usage.input - tokens * w / over) <= 1 for s, w in zip(shares, weights, strict=True))


@pytest.mark.requirement("GW-04", "SG-05")
async def test_tenants_never_share_an_upstream_call(tmp_path: Path) -> None:
    async with vendor(embedded) as there, house(tmp_path, files=files(there)) as up, up.client() as client:
        other = openai.AsyncOpenAI(api_key="il-other", base_url=f"{up.door.url}/v1", max_retries=0)
        async with other:
            both = [
                one.embeddings.create(model="support", input=f"text {n}") for n in range(8) for one in (client, other)
            ]
            await asyncio.gather(*both)
    for asked in there.asked:
        assert len(set(asked.body["input"])) == len(asked.body["input"])


@pytest.mark.requirement("GW-04", "OB-03")
async def test_under_failures_the_ledger_says_what_the_vendor_billed(tmp_path: Path) -> None:
    rng = random.Random(20261121)
    billed = 0

    def answer(asked: Asked) -> Said:
        nonlocal billed
        luck = rng.random()
        if luck < 0.2:
            return said({"error": {"message": "try later"}}, 500 if luck < 0.15 else 429)
        if luck < 0.3:
            return CUT, "", b""
        billed += 10 * len(asked.body["input"])
        return embedded(asked)

    async with vendor(answer) as there, house(tmp_path, files=files(there)) as up, up.client() as client:
        for _ in range(6):
            asks = [client.embeddings.create(model="support", input=f"text {number}") for number in range(30)]
            await asyncio.gather(*asks, return_exceptions=True)
    assert billed > 0
    store = SqliteStore.open(tmp_path / "interlock.db")
    events = [record.event for row in store.tasks.list(TaskFilter(limit=1000)) for record in store.records(row.id)]
    store.close()
    tries = [tried for event in events if isinstance(event, Settled) for tried in event.attempts]
    assert sum(tried.usage.input for tried in tries if tried.status == "ok") == billed
    assert sum(tried.cost_nano_usd for tried in tries if tried.status == "ok") == billed * 1000


@pytest.mark.requirement("GW-04", "GW-07")
async def test_gemini_makes_embeddings_a_hundred_texts_at_a_time(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Said:
        texts = [each["content"]["parts"][0]["text"] for each in asked.body["requests"]]
        usage = {"promptTokenCount": 3 * len(texts)}
        return said({"embeddings": [{"values": [len(text), 0.5]} for text in texts], "usageMetadata": usage})

    async with vendor(answer) as there:
        text = FILES.replace("{base_url}", there.base_url).replace("dialect: openai", "dialect: gemini")
        async with house(tmp_path, files=text) as up, up.client() as client:
            texts = ["x" * (1 + number % 9) for number in range(150)]
            got = await client.embeddings.create(model="mine/small", input=texts, dimensions=2)
            with pytest.raises(openai.BadRequestError, match="tokens cannot be carried"):
                await client.embeddings.create(model="mine/small", input=[1, 2, 3])
    assert [each.embedding for each in got.data] == [[float(len(each)), 0.5] for each in texts]
    assert [len(asked.body["requests"]) for asked in there.asked] == [100, 50]
    assert there.asked[0].path == "/v1/models/small:batchEmbedContents"
    assert there.asked[0].headers["x-goog-api-key"] == "sk-vendor"
    assert there.asked[0].body["requests"][0]["outputDimensionality"] == 2
    assert booked(tmp_path) == (450, 0, 450 * 1000)
