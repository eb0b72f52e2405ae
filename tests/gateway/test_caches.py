"""Answers that were given before."""

import asyncio

import pytest
from msgspec import structs

from interlock.core.answers import Keeping, Near
from interlock.core.caller import Caller, Versions
from interlock.core.chat import Message
from interlock.gateway.settings import Caching, Settings
from interlock.plugins.caches.front import FrontedCache
from interlock.plugins.caches.memory import ENTRY_BYTES, MemoryCache
from interlock.testing.clock import FakeClock
from tests.gateway.kit import CALLER, Bench, Scripted, ask, reply

EXACT = Settings(caching=Caching(exact=True, exact_ttl_s=60.0))


def cached(provider=None, settings=EXACT, **parts):
    return Bench(provider or Scripted(), settings, answers=FrontedCache(FakeClock(), MemoryCache()), **parts)


@pytest.mark.requirement("GW-19")
async def test_a_hit_is_byte_identical():
    said = structs.replace(reply("small"), raw=b'{"id":"x",  "odd" : 1}', raw_dialect="fake")
    bench = cached(Scripted(small=said))
    first = await bench.chat(ask(raw=b"{}", raw_dialect="fake"))
    second = await bench.chat(ask(raw=b"{}", raw_dialect="fake"))
    assert second.response.raw == first.response.raw == said.raw
    assert len(bench.provider.sent) == 1


@pytest.mark.requirement("GW-19")
async def test_a_streamed_hit_replays_the_same_bytes():
    bench = cached()
    first = await bench.streamed()
    second = await bench.streamed()
    assert [piece.raw for piece in second[:-1]] == [piece.raw for piece in first[:-1]]
    assert b"".join(piece.raw for piece in second[:-1]).startswith(b"data: ")
    assert second[-1].settled.cache == "exact"
    assert len(bench.provider.sent) == 1


@pytest.mark.requirement("GW-19")
async def test_an_answer_is_fresh_for_its_time_only():
    bench = cached()
    await bench.chat()
    bench.clock.advance(59)
    await bench.chat()
    assert len(bench.provider.sent) == 1
    bench.clock.advance(2)
    await bench.chat()
    assert len(bench.provider.sent) == 2


@pytest.mark.requirement("GW-19")
@pytest.mark.parametrize(
    "other",
    [
        structs.replace(CALLER, tenant="someone else"),
        structs.replace(CALLER, workflow="another"),
        structs.replace(CALLER, versions=Versions(prompt="abc")),
        structs.replace(CALLER, versions=Versions(policy="abc")),
        structs.replace(CALLER, versions=Versions(route="abc")),
        structs.replace(CALLER, versions=Versions(contract="abc")),
    ],
    ids=["tenant", "workflow", "prompt", "policy", "route", "contract"],
)
async def test_another_tenant_or_version_never_sees_an_answer(other):
    bench = cached()
    await bench.chat()
    await bench.chat(caller=other)
    assert len(bench.provider.sent) == 2


async def test_everything_an_answer_depends_on_is_in_the_key():
    bench = cached(Scripted(small=reply("small", text="{}")))
    variants = [
        ask(),
        ask("Another question"),
        ask(max_output_tokens=5),
        ask(seed=1),
        ask(stop=("x",)),
        ask(json_mode=True),
        ask(extra={"logit_bias": {"1": 2}}),
        ask(facts={"vip": True}),
        ask(raw_dialect="fake"),
    ]
    for request in variants:
        await bench.chat(request)
    assert len(bench.provider.sent) == len(variants)
    await bench.chat(ask(user="somebody"))
    assert len(bench.provider.sent) == len(variants), "who asks does not change the answer"
    await bench.chat(ask(raw=b'{"a": 1}', raw_dialect="fake"))
    await bench.chat(ask(raw=b'{"a": 2}', raw_dialect="fake"))
    assert len(bench.provider.sent) == len(variants) + 2, "the caller's own bytes count, every one of them"


async def test_a_caller_who_asks_for_variety_gets_it():
    bench = cached()
    await bench.chat(ask(temperature=0.8))
    await bench.chat(ask(temperature=0.8))
    assert len(bench.provider.sent) == 2
    assert any("temperature" in each for each in bench.ledger.last.reasons)
    await bench.chat(ask(temperature=0.0))
    await bench.chat(ask(temperature=0.0))
    assert len(bench.provider.sent) == 3


@pytest.mark.parametrize(
    "said",
    [structs.replace(reply("small"), finish="length"), structs.replace(reply("small"), finish="content_filter")],
    ids=["cut", "filtered"],
)
async def test_only_whole_answers_are_kept(said):
    bench = cached(Scripted(small=said))
    await bench.chat()
    await bench.chat()
    assert len(bench.provider.sent) == 2


async def test_a_simulated_answer_stays_labelled_when_it_comes_from_the_cache():
    bench = cached(Scripted(small=structs.replace(reply("small"), simulated=True)))
    await bench.chat()
    again = await bench.chat()
    assert again.settled.cache == "exact"
    assert again.settled.simulated
    assert again.response.simulated


class Similar:
    """Says what it is told to; keeps what it is taught."""

    def __init__(self, near):
        self.near = near
        self.asked = []
        self.taught = []

    async def look(self, tenant, scope, space, text):
        self.asked.append((tenant, scope, space, text))
        if self.near == "what was taught":
            return Near("cosine 0.97", served=self.taught[-1][2]) if self.taught else Near("nothing", ticket="t")
        return self.near

    async def learn(self, ticket, answer, value):
        self.taught.append((ticket, answer, value))

    def states(self):
        return []


SEMANTIC = Settings(caching=Caching(semantic=True))


async def test_a_question_that_means_the_same_is_answered_from_the_cache():
    bench = cached(settings=SEMANTIC, semantic=Similar("what was taught"))
    await bench.chat(ask("What are your hours?"))
    await asyncio.sleep(0)
    got = await bench.chat(ask("When do you open?"))
    assert got.settled.cache == "semantic"
    assert got.settled.cost_nano_usd == 0
    assert got.settled.saved_nano_usd > 0
    assert any("cosine 0.97" in each for each in got.settled.reasons)
    assert len(bench.provider.sent) == 1


async def test_a_streamed_question_is_answered_in_pieces_too():
    bench = cached(settings=Settings(caching=Caching(exact=True, semantic=True)), semantic=Similar("what was taught"))
    first = await bench.streamed(ask("What are your hours?", stream=True))
    await asyncio.sleep(0)
    second = await bench.streamed(ask("When do you open?", stream=True))
    assert second[-1].settled.cache == "semantic"
    assert [piece.raw for piece in second[:-1]] == [piece.raw for piece in first[:-1]]
    assert len(bench.provider.sent) == 1


async def test_what_is_not_served_is_learned_from_with_its_ticket():
    similar = Similar(Near("in the shadow", ticket=("its", "ticket")))
    bench = cached(settings=SEMANTIC, semantic=similar)
    got = await bench.chat()
    await asyncio.sleep(0)
    assert [(ticket, answer) for ticket, answer, _ in similar.taught] == [(("its", "ticket"), "an answer")]
    assert "semantic cache: in the shadow" in got.settled.reasons


async def test_the_semantic_cache_is_asked_apart_for_each_tenant_version_and_system_prompt():
    similar = Similar(Near("nothing", ticket="t"))
    bench = cached(settings=SEMANTIC, semantic=similar)
    await bench.chat(ask("What are your hours?"))
    await bench.chat(ask("When do you open?"), caller=Caller(tenant="other", workflow="support_reply"))
    await bench.chat(ask("When do you open?"), caller=structs.replace(CALLER, versions=Versions(prompt="2")))
    other_prompt = ask().but(messages=(Message("system", "Speak French."), Message("user", "When do you open?")))
    await bench.chat(other_prompt)
    assert len({space for _, _, space, _ in similar.asked}) == 4
    assert len({scope for _, scope, _, _ in similar.asked}) == 3, (
        "another system prompt is judged with the rest of its scope"
    )
    await bench.chat(ask("Two numbers?", temperature=0.7))
    await bench.chat(ask("Two numbers?", n=2))
    assert len(similar.asked) == 4, "variety is not answered from what was said before"


@pytest.mark.requirement("GW-19")
def test_the_memory_cache_is_bounded_by_entries_and_bytes():
    cache = MemoryCache(max_entries=3, max_bytes=3 * (ENTRY_BYTES + 101))
    for name in "abcd":
        cache.add([keeping(name, b"x" * 100)])
    assert len(cache) == 3
    assert cache.look(key("a")) is None, "the one used longest ago went"
    cache.look(key("b"))
    cache.add([keeping("e", b"y" * 100)])
    assert cache.look(key("b")) is not None
    assert cache.look(key("c")) is None
    cache.add([keeping("big", b"z" * 2_000)])
    assert cache.look(key("big")) is None, "one entry never takes most of the room"
    assert cache.size_bytes <= 3 * (ENTRY_BYTES + 101)
    cache.add([keeping("e", b"")])
    found = cache.look(key("e"))
    assert found is not None
    assert (found.value, found.stored_ns, found.fresh_until_ns) == (b"", 0, 1)


def key(name):
    return name.encode().ljust(20, b"-")


def keeping(name, value):
    return Keeping("acme", key(name), value, 0, 1, 2)


@pytest.mark.parametrize("refusals", [True, False])
async def test_the_policy_says_whether_refusals_are_kept(refusals):
    said = structs.replace(reply("small"), refusal="I will not.")
    bench = cached(Scripted(small=said), Settings(caching=Caching(exact=True, refusals=refusals)))
    await bench.chat()
    await bench.chat()
    assert len(bench.provider.sent) == (1 if refusals else 2)


async def test_the_policy_may_declare_sampled_answers_good_to_keep():
    bench = cached(settings=Settings(caching=Caching(exact=True, sampled=True)))
    await bench.chat(ask(temperature=0.9))
    await bench.chat(ask(temperature=0.9))
    assert len(bench.provider.sent) == 1
