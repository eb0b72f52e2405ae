import numpy as np
import pytest

from interlock.ondevice.promise import Evidence, _chi_square, threshold_for


def traffic(texts: int, seed: int) -> Evidence:
    """Texts whose chance of being right is exactly their confidence, each on its own."""
    random = np.random.default_rng(seed)
    chances = random.beta(4, 0.4, size=texts)
    return Evidence(chances, random.random(texts) < chances, np.ones(texts), np.arange(texts))


@pytest.mark.parametrize("promise", [0.95, 0.98])
def test_a_promise_is_broken_no_oftener_than_the_confidence_allows(promise: float) -> None:
    fresh = traffic(100_000, seed=0)
    broken = 0
    for seed in range(1, 201):
        threshold = threshold_for(promise, traffic(400, seed), confidence=0.9)
        answered = fresh.chances >= threshold.value
        broken += bool(threshold.kept and fresh.right[answered].mean() < promise)
    assert broken <= 30  # 10 % of 200, and what choosing the best of many thresholds adds


def test_more_evidence_answers_more_of_the_traffic_under_the_same_promise() -> None:
    few, many = (threshold_for(0.97, traffic(texts, 7)) for texts in (300, 30_000))
    assert few.coverage < many.coverage
    assert many.wrong_share <= many.wrong_bound <= 0.03 * many.coverage


def test_too_few_texts_answer_nothing_and_say_how_many_are_missing() -> None:
    flawless = Evidence(np.full(40, 0.99), np.ones(40, bool), np.ones(40), np.arange(40))
    threshold = threshold_for(0.99, flawless)
    assert not threshold.kept
    assert threshold.value > 1
    assert 300 / 40 <= threshold.examples_factor <= 16
    assert threshold_for(0.9, flawless).kept


def test_where_too_many_are_wrong_more_of_the_same_is_not_asked_for() -> None:
    chances = np.linspace(0.5, 1, 400)
    hopeless = Evidence(chances, np.arange(400)[::-1] % 5 > 0, np.ones(400), np.arange(400))
    assert threshold_for(0.95, hopeless).examples_factor == 0


def test_errors_that_come_together_are_trusted_less_than_single_ones() -> None:
    chances = np.linspace(1, 0.5, 1000)
    right = np.ones(1000, bool)
    right[400:420] = False
    alone = threshold_for(0.97, Evidence(chances, right, np.ones(1000), np.arange(1000)))
    together = threshold_for(0.97, Evidence(chances, right, np.ones(1000), np.where(right, np.arange(1000), 5000)))
    assert together.coverage < alone.coverage


def test_texts_of_equal_confidence_are_answered_together_or_not_at_all() -> None:
    right = np.array([True] * 500 + [False] * 100)
    threshold = threshold_for(0.95, Evidence(np.full(600, 0.9), right, np.ones(600), np.arange(600)))
    assert not threshold.kept


def test_the_blur_keeps_the_weight_and_reaches_beyond_the_texts() -> None:
    evidence = traffic(200, 3)
    rows = np.arange(200) < 50
    blurred = evidence.blurred(rows, 50)
    assert blurred.weights.sum() == pytest.approx(200)
    assert blurred.chances[150:].max() > evidence.chances[rows].max()
    assert evidence.blurred(np.zeros(200, bool), 0) is evidence


@pytest.mark.parametrize(("freedom", "quantile"), [(2, 5.991), (4, 9.488), (20, 31.410), (200, 233.994)])
def test_the_chi_square_quantile_is_within_one_per_cent_of_the_tables(freedom: int, quantile: float) -> None:
    assert _chi_square(np.array([float(freedom)]), 0.95)[0] == pytest.approx(quantile, rel=0.01)


def test_a_promise_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.98, and not 98"):
        threshold_for(98, traffic(10, 1))
