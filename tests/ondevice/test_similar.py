import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from interlock.ondevice.guards import differs
from interlock.ondevice.similar import VectorIndex

SLICES = Path(os.environ.get("INTERLOCK_BENCH_DATA", "../shared/data")) / "semcache/qqp_hard_slices.json.gz"


def unit(place: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    row = np.zeros(8, np.float32)
    row[place] = 1
    return row


def test_the_nearest_key_of_a_namespace_is_found_and_never_one_of_another() -> None:
    index = VectorIndex(dimensions=8)
    index.add("a", unit(0), namespace="acme")
    index.add("b", unit(1), namespace="acme")
    index.add("c", unit(2), namespace="other")
    assert index.nearest(unit(1), namespace="acme", most=2) == [("b", 1.0), ("a", 0.0)]
    assert index.nearest(unit(2), namespace="acme")[0][1] == 0.0
    assert index.nearest(unit(2), namespace="nobody") == []


def test_the_key_unused_for_longest_makes_room() -> None:
    index = VectorIndex(capacity=2, dimensions=8)
    index.add("a", unit(0))
    index.add("b", unit(1))
    index.nearest(unit(0))
    index.add("c", unit(2), namespace="other")
    assert len(index) == 2
    assert index.nearest(unit(1)) == [("a", 0.0)]


def test_a_removed_key_is_gone_and_the_others_stay(capsys: pytest.CaptureFixture[str]) -> None:
    index = VectorIndex(dimensions=8)
    for place in range(5):
        index.add(str(place), unit(place))
    assert index.remove("1")
    assert not index.remove("1")
    assert [index.nearest(unit(place))[0] for place in (0, 2, 3, 4)] == [(str(place), 1.0) for place in (0, 2, 3, 4)]
    index.add("0", unit(7))
    assert index.nearest(unit(7)) == [("0", 1.0)]
    assert len(index) == 4


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ("refund order 1234", "refund order 1235", "numbers, amounts or codes differ"),
        ("can I pay $1,200", "can I pay $12.00", "numbers, amounts or codes differ"),
        ("is AB-12 in stock", "is AC-12 in stock", "numbers, amounts or codes differ"),
        ("two tickets please", "three tickets please", "numbers, amounts or codes differ"),
        ("mail to ann@x.org", "mail to bob@x.org", "addresses differ"),
        ("can I return it", "can't I return it", "one is negated and the other is not"),
        ("ship from Oslo to Bergen", "ship from Bergen to Oslo", "the same words stand in another order"),
        ("what is the weather in Paris", "what is the weather in Rome", "names or quoted words differ"),
        ('what does "net" mean', 'what does "gross" mean', "names or quoted words differ"),
        ("how to increase the limit", "how to decrease the limit", "one says the opposite"),
    ],
)
def test_texts_that_must_not_share_an_answer_are_told_apart(a: str, b: str, reason: str) -> None:
    assert differs(a, b) == differs(b, a) == reason


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Where is my order?", "where's my order"),
        ("how do I reset my password", "How can I reset the password?"),
        ("Ship to Paris by 5 May", "can you ship to paris by 5 may"),
        ("WHERE IS MY REFUND", "where is my refund"),
    ],
)
def test_texts_that_ask_the_same_pass(a: str, b: str) -> None:
    assert differs(a, b) is None


@pytest.mark.skipif(not SLICES.exists(), reason=f"no {SLICES}; set INTERLOCK_BENCH_DATA")
def test_no_public_pair_whose_numbers_or_negation_differ_passes_wrongly() -> None:
    rows: list[tuple[str, str, str, int]] = json.loads(gzip.decompress(SLICES.read_bytes()))
    for slice_ in ("number differs", "negation differs"):
        wrong = [(a, b) for name, a, b, same in rows if name == slice_ and not same and differs(a, b) is None]
        assert not wrong
