"""Answers that were given before."""

import pytest
from msgspec import structs

from interlock.core.caller import Caller, Versions
from interlock.core.chat import Message
from interlock.gateway.settings import Caching, Settings
from interlock.plugins.caches.memory import ENTRY_BYTES, MemoryCache
from tests.gateway.kit import CALLER, Bench, Scripted, ask, reply

EXACT = Settings(caching=Caching(exact=True, exact_ttl_s=60.0))


def cached(provider=None, settings=EXACT, **parts):
    return Bench(provider or Scripted(), settings, answers=MemoryCache(), **parts)


@pytest.mark.requirement("GW-19")
async def test_a_hit_is_byte_identical():
    said = structs.replace(reply("small"), raw=b'{"id":"x",  "odd" : 1}', raw_dialect="fake")
    bench = cached(Scripted(small=said))
    first = await bench.chat(ask(raw=b"{}", raw_dialect="fake"))
    second = await bench.chat(ask(raw=b"{ }", raw_dialect="fake"))
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


class Index:
    """Knows the cosine of each pair of texts it is told about."""

    def __init__(self, cosines, why_not=""):
        self.cosines = cosines
        self.why_not = why_not
        self.kept = {}

    async def nearest(self, namespace, text):
        found = [(self.cosines.get((text, other), 0.0), key) for other, key in self.kept.get(namespace, [])]
        return (max(found)[1], max(found)[0], self.why_not) if found else None

    async def add(self, namespace, key, text):
        self.kept.setdefault(namespace, []).append((text, key))


SEMANTIC = Settings(caching=Caching(semantic=True, similarity_threshold=0.92, semantic_ttl_s=60.0))
PAIRS = {("When do you open?", "What are your hours?"): 0.95, ("Where are you?", "What are your hours?"): 0.90}


async def test_a_question_that_means_the_same_is_answered_from_the_cache():
    bench = cached(settings=SEMANTIC, index=Index(PAIRS))
    await bench.chat(ask("What are your hours?"))
    got = await bench.chat(ask("When do you open?"))
    assert got.settled.cache == "semantic"
    assert any("cosine 0.950" in each for each in got.settled.reasons)
    await bench.chat(ask("Where are you?"))
    assert len(bench.provider.sent) == 2, "0.90 is below the threshold of the file"


async def test_the_semantic_cache_shares_nothing_over_tenants_versions_or_system_prompts():
    bench = cached(settings=SEMANTIC, index=Index(PAIRS))
    await bench.chat(ask("What are your hours?"))
    await bench.chat(ask("When do you open?"), caller=Caller(tenant="other", workflow="support_reply"))
    await bench.chat(ask("When do you open?"), caller=structs.replace(CALLER, versions=Versions(prompt="2")))
    other_prompt = ask().but(messages=(Message("system", "Speak French."), Message("user", "When do you open?")))
    await bench.chat(other_prompt)
    assert len(bench.provider.sent) == 4


async def test_the_index_may_veto_and_time_runs_out():
    bench = cached(settings=SEMANTIC, index=Index(PAIRS, why_not="the numbers differ"))
    await bench.chat(ask("What are your hours?"))
    got = await bench.chat(ask("When do you open?"))
    assert got.settled.cache == ""
    assert any("the numbers differ" in each for each in got.settled.reasons)
    bench = cached(settings=SEMANTIC, index=Index(PAIRS))
    await bench.chat(ask("What are your hours?"))
    bench.clock.advance(61)
    await bench.chat(ask("When do you open?"))
    assert len(bench.provider.sent) == 2


@pytest.mark.requirement("GW-19")
async def test_the_memory_cache_is_bounded_by_entries_and_bytes():
    cache = MemoryCache(max_entries=3, max_bytes=3 * (ENTRY_BYTES + 101))
    for name in "abcd":
        await cache.put(name, b"x" * 100, 0, 1, 2)
    assert len(cache) == 3
    assert await cache.get("a") is None, "the one used longest ago went"
    await cache.get("b")
    await cache.put("e", b"y" * 100, 0, 1, 2)
    assert await cache.get("b") is not None
    assert await cache.get("c") is None
    await cache.put("big", b"z" * 1_000, 0, 1, 2)
    assert await cache.get("big") is None, "one entry never takes most of the room"
    assert cache.size_bytes <= 3 * (ENTRY_BYTES + 101)
    await cache.put("e", b"", 5, 6, 7)
    found = await cache.get("e")
    assert found is not None
    assert (found.value, found.stored_ns, found.fresh_until_ns) == (b"", 5, 6)
