import numpy as np
import pytest

from interlock.ondevice.head import OFF_TOPIC, OUT_OF_SCOPE, fit, fit_vectors
from interlock.ondevice.minilm import Vectors

INTENTS = ("cancel", "refund", "track")


def clouds(per_intent: int, seed: int = 3) -> tuple[Vectors, "np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    """Unit rows around one centre per intent, with some rows around none."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.array([0, 1, 2, OUT_OF_SCOPE, OFF_TOPIC]), per_intent)
    rows = random.normal(size=(5, 24))[labels] + random.normal(size=(len(labels), 24)) * 0.8
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def test_a_left_out_score_is_what_a_head_gives_that_never_saw_the_example() -> None:
    vectors, labels = clouds(12)
    _, left_out = fit_vectors(INTENTS, vectors, labels, seed=0)
    for row in (0, 13, 30, 40):
        rest = np.arange(len(labels)) != row
        head, _ = fit_vectors(INTENTS, vectors[rest], labels[rest], seed=0)
        look = head.look(vectors[row : row + 1])
        assert left_out.look.scores[row] == pytest.approx(look.scores[0], abs=2e-3)
        assert left_out.look.outside[row] == pytest.approx(look.outside[0], abs=2e-3)
        assert left_out.look.nearest[row] == pytest.approx(look.nearest[0], abs=1e-5)


def test_a_removed_intents_scores_are_those_of_a_head_without_that_intent() -> None:
    vectors, labels = clouds(12)
    _, left_out = fit_vectors(INTENTS, vectors, labels, seed=0)
    for removed in range(3):
        rest = labels != removed
        others = [place for place in range(3) if place != removed]
        head, _ = fit_vectors(INTENTS, vectors[rest], labels[rest], seed=0)
        expected = head.look(vectors[~rest])
        rows = left_out.pseudo & (left_out.intents == removed)
        assert left_out.look.scores[rows][:, others] == pytest.approx(expected.scores[:, others], abs=2e-3)
        assert not left_out.look.scores[rows, removed].any()
        assert left_out.look.outside[rows] == pytest.approx(expected.outside, abs=2e-3)
        assert left_out.look.nearest[rows] == pytest.approx(expected.nearest, abs=1e-5)


def test_general_remarks_are_learned_from_but_not_judged_by() -> None:
    vectors, labels = clouds(12)
    _, left_out = fit_vectors(INTENTS, vectors, labels, seed=0)
    assert OFF_TOPIC not in left_out.labels
    assert len(left_out.labels) == 4 * 12 + 3 * 12


def test_a_text_unlike_all_examples_scores_near_nothing() -> None:
    vectors, labels = clouds(12)
    head, _ = fit_vectors(INTENTS, vectors, labels, seed=0)
    random = np.random.default_rng(9).normal(size=(200, 24)).astype(np.float32)
    nowhere = head.look(random / np.linalg.norm(random, axis=1, keepdims=True)).scores.max(axis=1)
    assert np.median(nowhere) < 0.3
    assert np.median(head.look(vectors[:36]).scores.max(axis=1)) > 0.7
    assert head.look(vectors[:12]).scores.argmax(axis=1).tolist() == [0] * 12


def test_what_lies_outside_has_a_score_of_its_own_once_there_are_examples_of_it() -> None:
    vectors, labels = clouds(12)
    head, _ = fit_vectors(INTENTS, vectors, labels, seed=0)
    look = head.look(vectors)
    assert look.outside[labels < 0].min() > look.outside[labels >= 0].max()
    inside = labels >= 0
    without, left_out = fit_vectors(INTENTS, vectors[inside], labels[inside], seed=0)
    look = without.look(vectors)
    assert not look.outside.any()
    assert not look.nearest[:, 1].any()
    assert len(left_out.labels) == 2 * 36


def test_many_examples_are_represented_by_some_and_judged_by_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.ondevice.head.LANDMARKS", 60)
    vectors, labels = clouds(40)
    head, left_out = fit_vectors(INTENTS, vectors, labels, seed=1)
    assert len(head.landmarks) == 60
    assert np.bincount(head.labels + 2).tolist() == [12] * 5
    alone = ~left_out.pseudo & (left_out.labels >= 0)
    assert alone.sum() == 3 * 28
    right = left_out.look.scores[alone].argmax(axis=1) == left_out.labels[alone]
    assert right.mean() > 0.9
    again, _ = fit_vectors(INTENTS, vectors, labels, seed=1)
    assert (again.landmarks == head.landmarks).all()


class NoEmbedder:
    def embed(self, texts: object) -> Vectors:
        raise AssertionError(texts)

    features = embed


def test_one_intent_or_one_without_examples_is_refused_before_any_work() -> None:
    with pytest.raises(ValueError, match=r"at least two intents .* only 1 intent"):
        fit({"a": ["x"]}, [], NoEmbedder(), seed=0)
    with pytest.raises(ValueError, match="there is b without any"):
        fit({"a": ["x"], "b": []}, [], NoEmbedder(), seed=0)
