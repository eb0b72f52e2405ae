"""The caches through the public face: what the files say, what a restart keeps, what a person can see."""

from __future__ import annotations

import asyncio

import pytest

from interlock.app import Interlock
from interlock.app.cached import open_caches
from interlock.core.caller import Caller
from interlock.core.chat import Chunk
from interlock.core.errors import ConfigError
from interlock.core.ports import ChatReply
from interlock.server.health import health_of
from interlock.testing.upstream import Answer, Upstream
from tests.storage.redis_kit import Server

from .conftest import Folder

FILES = """
models: {support: openai/gpt-4o-mini}
caching:
  exact_cache: {enabled: true, backend: store}
  semantic_cache: {enabled: true, error_budget: 2%, audit: 5%, similarity_threshold: 0.92, judge: text}
"""
CALLER = Caller("default", workflow="support_reply")


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    made.write("interlock.yaml", FILES)
    return made


def opened(folder, vendor):
    folder.provider("openai", vendor.base_url)
    return Interlock.from_file(folder.root)


@pytest.mark.requirement("GW-19")
async def test_an_answer_outlives_the_process_and_is_dropped_with_the_policy(folder):
    async with Upstream(Answer(text="On Friday.")) as vendor:
        async with opened(folder, vendor) as il:
            first = await il.chat("support", "When?", caller=CALLER)
        async with opened(folder, vendor) as il:
            await il._answers.look_once()
            again = await il.chat("support", "When?", caller=CALLER)
        assert again.settled.cache == "exact"
        assert again.response == first.response
        assert len(vendor.asked) == 1


@pytest.mark.requirement("GW-23")
async def test_identical_calls_at_the_same_time_make_one_upstream_call(folder):
    async with Upstream(Answer(text="On Friday.")) as vendor, opened(folder, vendor) as il:
        replies = await asyncio.gather(*(il.chat("support", "When?", caller=CALLER) for _ in range(50)))
        assert len(vendor.asked) == 1
    assert [each.settled.status for each in replies].count("ok") == 1
    assert sum(each.settled.cost_nano_usd > 0 for each in replies) == 1


@pytest.mark.requirement("GW-20")
async def test_the_semantic_cache_begins_in_the_shadow_and_keeps_what_it_learned_over_a_restart(folder):
    async with Upstream(Answer(text="On Friday.")) as vendor:
        async with opened(folder, vendor) as il:
            for text in ("Where is my parcel?", "Where is my parcel now?", "where is my parcel please"):
                reply = await il.chat("support", text, caller=CALLER)
                await asyncio.gather(*il.gateway._desk.flights.tasks)
            assert any(each.startswith("semantic cache: in the shadow") for each in reply.settled.reasons)
            (scope,) = health_of(il)["semantic_cache"]
            assert (scope["tenant"], scope["mode"], scope["compared"], scope["served"]) == ("default", "shadow", 2, 0)
        with open_caches(folder.root) as desk:
            (stored,) = desk.scopes("default")
            assert (stored.mode, stored.compared) == ("shadow", 2)
            assert stored.scope.startswith("support_reply support ")
            assert desk.scopes("another") == []
        async with opened(folder, vendor) as il:
            (again,) = il.semantic_scopes()
            assert again.compared == 2
            reply = await il.chat("support", "Where is my parcel, please?", caller=CALLER)
            await asyncio.gather(*il.gateway._desk.flights.tasks)
            assert any("cosine" in each for each in reply.settled.reasons), "the vectors are back"
        assert len(vendor.asked) == 4, "nothing is served from the shadow"
    with open_caches(folder.root) as desk:
        assert desk.restart("another") == 0
        assert desk.restart() == 1
        assert desk.scopes() == []
        assert desk.clear("another") == 0
        assert desk.clear("default") == 8, "four questions, each an exact answer and one with a vector"


async def test_a_live_scope_serves_and_says_so(folder):
    folder.write("interlock.yaml", FILES.replace("audit: 5%", "audit: 0.001%"))
    async with Upstream(Answer(text="On Friday.")) as vendor, opened(folder, vendor) as il:
        await il.chat("support", "Where is my parcel?", caller=CALLER)
        await asyncio.gather(*il.gateway._desk.flights.tasks)
        assert il._similar is not None
        for record in il._similar._cache.records().values():
            record.mode = "live"
        reply = await il.chat("support", "Where is my parcel", caller=CALLER)
        other = await il.chat("support", "Where is my parcel 17?", caller=CALLER)
    assert (reply.settled.cache, reply.settled.cost_nano_usd) == ("semantic", 0)
    assert reply.settled.saved_nano_usd > 0
    assert reply.response.text == "On Friday."
    assert other.settled.cache == ""
    assert any("numbers, amounts or codes differ" in each for each in other.settled.reasons)


async def test_a_stream_is_replayed_byte_for_byte(folder):
    async with Upstream(Answer(text="On Friday.")) as vendor, opened(folder, vendor) as il:
        pieces = [[each async for each in il.stream("support", "When?", caller=CALLER)] for _ in range(2)]
        assert len(vendor.asked) == 1
    last = pieces[1][-1]
    assert isinstance(last, ChatReply)
    assert last.settled.cache == "exact"
    assert [raw(each) for each in pieces[0][:-1]] == [raw(each) for each in pieces[1][:-1]]


def raw(piece):
    assert isinstance(piece, Chunk)
    return piece.raw


@pytest.mark.requirement("GW-19")
async def test_replicas_share_answers_in_redis(tmp_path):
    redis = Server(tmp_path)
    redis.start()
    shared = f"redis: {{url: '{redis.url.reveal()}'}}\n" + FILES.replace("backend: store", "backend: redis")
    replicas = [Folder(tmp_path / name) for name in ("one", "two")]
    async with Upstream(Answer(text="On Friday.")) as vendor:
        for each in replicas:
            each.write(
                "interlock.yaml", shared.replace("semantic_cache: {enabled: true", "semantic_cache: {enabled: false")
            )
        async with opened(replicas[0], vendor) as one, opened(replicas[1], vendor) as two:
            await one.chat("support", "When?", caller=CALLER)
            await one._answers.write_once()
            await two._answers.look_once()
            again = await two.chat("support", "When?", caller=CALLER)
        assert again.settled.cache == "exact"
        assert len(vendor.asked) == 1
    redis.kill()


async def test_a_backend_without_its_address_says_what_is_missing(folder):
    folder.write("interlock.yaml", FILES.replace("backend: store", "backend: redis"))
    with pytest.raises(ConfigError, match=r"redis\.url"):
        async with Interlock.from_file(folder.root):
            pass
