from dataclasses import replace

import numpy as np
import pytest

from interlock.ondevice.arrays import pack
from interlock.ondevice.embed import MiniLM
from interlock.ondevice.understand import Tier0, off_topic_texts

THINGS = ("jacket", "tent", "pair of boots", "lamp", "backpack", "parcel", "order", "stove")
FORMS = {
    "order_status": ("where is my {}", "has the {} shipped yet", "when will my {} arrive", "track the {} please"),
    "refund": ("i want my money back for the {}", "refund the {}", "the {} broke, refund me", "return the {} for a refund"),
    "opening_hours": ("when does the {} shop open", "is the {} store open on sunday", "opening hours of the {} desk"),
    "cancel": ("cancel my {}", "please cancel the {} i bought", "i changed my mind, cancel the {}", "stop the {} order"),
}  # fmt: skip


@pytest.fixture(scope="module")
def tier(model: MiniLM) -> Tier0:
    examples = {intent: [form.format(thing) for form in forms for thing in THINGS] for intent, forms in FORMS.items()}
    return Tier0.fit(examples, [], model, promise=0.9)


@pytest.mark.requirement("GW-11")
def test_a_contracts_intents_are_recognised_in_words_it_never_saw(tier: Tier0) -> None:
    made = tier.understand(
        ["could you tell me where my jacket is?", "i'd like the tent refunded", "cancel the lamp order"]
    )
    assert [(each.intent, each.accepted) for each in made] == [
        ("order_status", True),
        ("refund", True),
        ("cancel", True),
    ]
    assert all(each.confidence >= each.threshold and "that keeps 90.0%" in each.reason for each in made)


def test_what_the_contract_does_not_cover_is_left_to_others_without_any_example_of_it(tier: Tier0) -> None:
    outside = ["who won the world cup in 1998", "write a python loop", "my tooth hurts", "do you sell gift cards", ""]
    assert not any(each.accepted for each in tier.understand(outside))
    assert tier.report.off_topic_examples == len(off_topic_texts()) > 200


def test_a_tier_survives_its_bytes_unchanged_and_refuses_other_formats(tier: Tier0, model: MiniLM) -> None:
    texts = ["where's the parcel", "good evening", "open on monday?"]
    data = tier.to_bytes()
    again = Tier0.from_bytes(data, model)
    assert again.understand(texts) == tier.understand(texts)
    assert again.report == tier.report
    older = pack(meta=np.frombuffer(b'{"format": 1}', np.uint8))
    with pytest.raises(ValueError, match="in format 1, not 5: fit it again"):
        Tier0.from_bytes(older, model)
    for damaged in (b"", b"something else", data[:-40], data.replace(b"order_status", b"order_statux")):
        with pytest.raises(ValueError, match=r"damaged|pickle"):
            Tier0.from_bytes(damaged, model)


def test_too_high_a_promise_answers_nothing_and_says_what_is_missing(model: MiniLM) -> None:
    examples = {"a": ["where is my order", "track my parcel"], "b": ["refund please", "money back now"]}
    tier = Tier0.fit(examples, [], model, promise=0.99)
    made = tier.understand(["where is my order"])[0]
    assert (made.accepted, made.intent) == (False, "a")
    assert "no threshold keeps 99.0% with the examples at hand" in made.reason
    assert "Tier 0 answers nothing: 4 examples" in tier.report.summary()


def test_the_report_holds_what_was_measured_on_unseen_texts(tier: Tier0) -> None:
    report = tier.report
    assert report.examples["refund"] == 32
    assert report.accuracy > 0.9
    assert report.wrong_share <= report.wrong_bound <= 0.1 * report.coverage
    assert 0 <= report.calibration_error < 0.1
    assert "promise of 90.0%" in report.summary()


def test_a_larger_share_out_of_scope_never_answers_more(model: MiniLM, tier: Tier0) -> None:
    examples = {intent: [form.format(thing) for form in forms for thing in THINGS] for intent, forms in FORMS.items()}
    more = Tier0.fit(examples, [], model, promise=0.9, oos_share=0.5)
    assert more.report.coverage < tier.report.coverage
    with pytest.raises(ValueError, match=r"oos_share 1\.2"):
        Tier0.fit(examples, [], model, oos_share=1.2)


def test_the_same_examples_and_seed_give_the_same_tier(model: MiniLM, tier: Tier0) -> None:
    examples = {intent: [form.format(thing) for form in forms for thing in THINGS] for intent, forms in FORMS.items()}
    again = Tier0.fit(examples, [], model, promise=0.9)
    assert np.array_equal(again.head.coefficients, tier.head.coefficients)
    assert replace(again.threshold) == tier.threshold
