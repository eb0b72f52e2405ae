import numpy as np

from interlock.ondevice.head import OUT_OF_SCOPE, LeftOut, Look
from interlock.ondevice.trust import calibration_error, evidence, fit_trust, judged, shares


def left_out(given: int, *, inside: int = 1500, seed: int = 5) -> LeftOut:
    """Two intents, texts of removed ones, and `given` texts out of scope, whose scores overlap with those inside."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([random.integers(0, 2, inside), np.full(inside + given, OUT_OF_SCOPE)])
    pseudo = np.repeat([False, True, False], [inside, inside, given])
    level = np.where(labels >= 0, 0.75, 0.35) + random.normal(size=len(labels)) * 0.15
    scores = np.stack([level, level - random.random(len(labels)) * 0.5], axis=1).astype(np.float32)
    scores[labels == 1] = scores[labels == 1, ::-1]
    near = random.random((len(labels), 2)).astype(np.float32)
    outside = ((1 - level) / 2).astype(np.float32)
    look = Look(scores, outside, near)
    return LeftOut(look, labels, pseudo, np.where(pseudo, random.integers(0, 2, len(labels)), labels))


def test_a_chance_is_right_as_often_as_it_says_on_texts_that_the_curve_was_not_fitted_on() -> None:
    seen, fresh = left_out(300, seed=1), left_out(300, seed=2)
    curve = fit_trust(seen, shares(seen, 0.2), nearest=True)
    error = calibration_error(curve.chances(evidence(fresh.look)), judged(fresh), shares(fresh, 0.2))
    assert error < 0.03


def test_the_nearest_examples_count_only_where_they_are_evidence() -> None:
    texts = left_out(100)
    for nearest in (False, True):
        curve = fit_trust(texts, shares(texts, 0.2), nearest=nearest)
        assert len(curve.slopes) == evidence(texts.look).shape[1]
        assert any(curve.slopes[-2:]) == nearest
        assert all(curve.slopes[:3])


def test_a_larger_share_out_of_scope_makes_every_chance_smaller_on_average() -> None:
    texts = left_out(200)
    few, many = (fit_trust(texts, shares(texts, share), nearest=True) for share in (0.1, 0.4))
    columns = evidence(texts.look)
    assert many.chances(columns).mean() < few.chances(columns).mean()
