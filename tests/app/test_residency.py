"""Residency and labels through the whole of a running Interlock: files, routes, caches, wire."""

from __future__ import annotations

import asyncio

import pytest

from interlock.app import Interlock
from interlock.core.caller import Caller
from interlock.core.ports import ChatReply
from interlock.core.residency import OutsideBounds
from interlock.testing.upstream import Answer, Upstream
from tests.storage.redis_kit import Server

from .conftest import Folder

FILES = """\
tenant: acme
providers:
  frankfurt: {{dialect: openai, base_url: "{one}", region: eu-central}}
  paris: {{dialect: openai, base_url: "{two}", region: eu-west}}
  virginia: {{dialect: openai, base_url: "{three}", region: us-east}}
models:
  support: {{small: [frankfurt/m, virginia/m], premium: [virginia/big, paris/m]}}
residency:
  here: eu-central
  regions: {{eu: [eu-west, eu-central]}}
  tenants: {{acme: eu}}
  labels: {{secret: {{never: paris}}}}
{more}"""
EXACT = "caching: {exact_cache: {enabled: true, backend: memory}}\n"
ANSWERS = Answer(text="On Friday.")


def opened(folder: Folder, *vendors: Upstream, more: str = "") -> Interlock:
    one, two, three = (each.base_url for each in vendors)
    folder.write("interlock.yaml", FILES.format(one=one, two=two, three=three, more=more))
    return Interlock.from_file(folder.root)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.mark.requirement("SG-06")
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_outage_at_home_fails_over_to_the_next_region_that_is_allowed(folder, streamed):
    down = Answer(status=503, text="overloaded")
    async with Upstream(down) as one, Upstream(ANSWERS) as two, Upstream(ANSWERS) as three:
        async with opened(folder, one, two, three) as il:
            if streamed:
                *_, reply = [piece async for piece in il.stream("support", "When?")]
            else:
                reply = await il.chat("support", "When?")
            assert isinstance(reply, ChatReply)
            assert [each.region for each in reply.settled.attempts][-1] == "eu-west"
            assert reply.settled.deployment == "paris/m"
            with pytest.raises(OutsideBounds, match="virginia/big left out: region 'us-east'"):
                await il.chat("virginia/big", "When?")
        assert (two.served.requests, three.served.requests) == (1, 0)


@pytest.mark.requirement("SG-02", "SG-06")
async def test_what_bears_a_label_goes_to_no_provider_that_may_not_see_it(folder):
    down = Answer(status=503, text="overloaded")
    async with Upstream(down) as one, Upstream(ANSWERS) as two, Upstream(ANSWERS) as three:
        async with opened(folder, one, two, three) as il:
            with pytest.raises(Exception, match="503"):
                await il.chat("support", "When?", caller=Caller("acme", labels=("secret",)))
        assert (two.served.requests, three.served.requests) == (0, 0)


@pytest.mark.requirement("SG-02")
async def test_a_kept_answer_serves_at_its_label_or_above_and_nobody_below(folder):
    async with (
        Upstream(ANSWERS) as one,
        Upstream() as two,
        Upstream() as three,
        opened(folder, one, two, three, more=EXACT) as il,
    ):

        async def asked(text, *labels):
            return (await il.chat("support", text, caller=Caller("acme", labels=labels))).settled.cache

        assert await asked("Of whom?", "secret") == ""
        assert await asked("Of whom?", "secret") == "exact"
        assert await asked("Of whom?") == "", "an answer made of what is secret serves nobody below"
        assert await asked("Of whom?", "secret", "untrusted") == "exact", "one that bears nothing serves everybody"
        assert await asked("When?") == ""
        assert await asked("When?", "secret") == "exact"


@pytest.fixture
def redis(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.mark.requirement("SG-02")
async def test_labels_stand_in_the_keys_that_replicas_share_too(folder, redis):
    more = f"  places: {{redis: eu-central}}\n{EXACT}redis: {{url: '{redis.url.reveal()}'}}\n"
    more = more.replace("backend: memory", "backend: redis")
    async with Upstream(ANSWERS) as one, Upstream() as two, Upstream() as three:

        async def asked(*labels):
            async with opened(folder, one, two, three, more=more) as il:
                await il._answers.look_once()
                return (await il.chat("support", "Of whom?", caller=Caller("acme", labels=labels))).settled.cache

        assert [await asked("secret"), await asked("secret"), await asked()] == ["", "exact", ""]


@pytest.mark.requirement("SG-02")
async def test_the_semantic_cache_shares_answers_inside_one_label_only(folder):
    more = "caching: {semantic_cache: {enabled: true, similarity_threshold: 0.9}}\n"
    async with (
        Upstream(ANSWERS) as one,
        Upstream() as two,
        Upstream() as three,
        opened(folder, one, two, three, more=more) as il,
    ):

        async def asked(text, *labels):
            reply = await il.chat("support", text, caller=Caller("acme", labels=labels))
            await asyncio.gather(*il.gateway._desk.flights.tasks)
            return reply.settled.cache

        assert await asked("Where is my parcel?", "secret") == ""
        assert await asked("Where is my parcel?") == ""
        assert await asked("Where is my parcel?", "secret") == "semantic"
