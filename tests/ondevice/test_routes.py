"""Training routes on labels whose truth is known, and the figures they are judged by."""

import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.routes import Example, LearnedRoute, measures, onward, start
from interlock.ondevice.route_cross import cross, folds, held_out
from interlock.ondevice.route_fit import Block, fit, shrink
from interlock.ondevice.route_judge import auroc, curve, look, spent
from interlock.ondevice.route_train import Aim, distinct, groups, train

MODELS = ("weak", "strong")
USUAL = "easy question number 300 about c and 0.512345"
COSTS = {"weak": 1_000, "strong": 100_000}


def labelled(number, seed=0, signal=True):
    """Tasks differ in how often the weak model is right; its checks tell more."""
    rng = random.Random(seed)
    rows = []
    for place in range(number):
        task = rng.choice(("easy", "hard"))
        weak = float(rng.random() < (0.9 if task == "easy" else 0.4))
        strong = float(rng.random() < 0.92)
        told = weak if rng.random() < 0.85 else 1 - weak
        rows.append(
            Example(
                prompt=f"{task} question number {place} about {rng.choice('abcdefgh')} and {rng.random():.6f}",
                task=task,
                right={"weak": weak, "strong": strong},
                signals={"weak": {"check.score": told}} if signal else {},
            )
        )
    return rows


def trained(rows, vectors=None, **aim):
    return train(rows, MODELS, COSTS, vectors, Aim(**aim), verifiers=("check",))


@pytest.mark.requirement("GW-15")
def test_a_route_learns_which_task_needs_the_strong_model():
    route = trained(labelled(600, signal=False))
    easy, hard = (route.before.chances(task, measures(USUAL), {}, None) for task in ("easy", "hard"))
    assert easy["weak"] == pytest.approx(0.9, abs=0.08)
    assert hard["weak"] == pytest.approx(0.4, abs=0.08)
    assert start(route, easy, MODELS).model == "weak"
    assert start(route, hard, MODELS).model == "strong"


@pytest.mark.requirement("GW-14", "GW-15")
def test_checks_of_the_answer_tell_more_than_the_prompt():
    rows = labelled(600)
    route, figures = held_out(rows, None, range(400), range(400, 600), lambda each, _: trained(each))
    assert figures["after: apgr"] > figures["before: apgr"] + 0.05
    assert figures["after weak: calibration_error"] < 0.1
    wrong = route.after["weak"].chances("hard", measures(USUAL), {"check.score": 0.0}, None)
    right = route.after["weak"].chances("easy", measures(USUAL), {"check.score": 1.0}, None)
    choice = onward(route, "weak", wrong, MODELS)
    assert choice is not None
    assert choice.model == "strong"
    assert onward(route, "weak", right, MODELS) is None


@pytest.mark.requirement("GW-15")
def test_decisions_close_the_share_of_the_gap_that_was_asked_for_and_cost_less_than_the_strong_model():
    rows = labelled(800)
    for recover in (0.5, 0.8):
        figures = trained(rows, recover=recover).figures
        gap = figures["always strong: right"] - figures["always weak: right"]
        closed = (figures["route: right"] - figures["always weak: right"]) / gap
        assert closed >= recover - 0.02
        assert figures["route: usd_per_success"] < figures["always strong: usd_per_success"]


def test_a_failure_that_costs_more_sends_more_to_the_strong_model():
    rows = labelled(800)
    cheap, dear = (trained(rows, failure_nano_usd=cost).figures["route: dearest_share"] for cost in (1_000, 10_000_000))
    assert cheap < dear


@pytest.mark.requirement("GW-15")
def test_labels_of_one_model_each_are_enough_for_rates_by_task():
    rng = random.Random(3)
    rows = []
    for each in labelled(800):
        name = rng.choice(MODELS)
        rows.append(msgspec.structs.replace(each, right={name: each.right[name]}, signals={}, prompt=""))
    route = trained(rows)
    assert route.rates("easy")["weak"] == pytest.approx(0.9, abs=0.1)
    assert route.rates("hard")["weak"] == pytest.approx(0.4, abs=0.12)
    assert set(route.rates("never seen").values()) == set(route.overall.values())


def test_a_route_survives_its_file_unchanged():
    route = trained(labelled(100))
    again = msgspec.json.decode(msgspec.json.encode(route), type=LearnedRoute)
    assert again == route
    assert trained(labelled(100)) == route


def test_a_prompt_unlike_all_of_training_counts_as_the_most_extreme_one_of_it():
    route = trained(labelled(300))
    far, further = (route.before.chances("easy", measures("long words, " * size), {}, None) for size in (500, 600))
    assert far == further
    assert 0.3 < far["weak"] < 1.0


def test_the_vector_of_the_prompt_is_used_where_it_tells_something():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 8)).astype(np.float32)
    rows = [
        Example(prompt=f"question {place}", right={"weak": float(vectors[place, 0] > 0), "strong": 1.0})
        for place in range(600)
    ]
    _, figures = held_out(rows, vectors, range(400), range(400, 600), trained)
    assert figures["before weak: auroc"] > 0.9


def test_nothing_to_learn_from_is_said():
    with pytest.raises(ValueError, match="No labelled prompt"):
        trained([])


# --- Fitting --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_left_out_predictions_are_those_of_fits_without_the_row(seed):
    """Both forms, dual and primal, against refitting with the same penalty."""
    rng = np.random.default_rng(seed)
    for rows, columns in ((30, 4), (12, 40)):
        x, y = rng.normal(size=(rows, columns)), rng.normal(size=(rows, 1))
        fitted = fit([Block("a", x, 1.0)], y)
        assert np.isfinite(fitted.left_out).all()
        predicted = fitted.predict([Block("a", x, 1.0)])
        inside, outside = ((each - y) ** 2 for each in (predicted, fitted.left_out))
        assert float(outside.mean()) >= float(inside.mean()) - 1e-9


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=60))
def test_shrunk_rates_lie_between_the_task_s_own_and_the_overall_one(labels):
    tasks = [task for task, _ in labels]
    shrunk = shrink(tasks, np.array([float(right) for _, right in labels]))
    for task, (number, right) in shrunk.counts.items():
        low, high = sorted((right / number, shrunk.overall))
        assert low - 1e-9 <= shrunk.rates[task] <= high + 1e-9


# --- Figures --------------------------------------------------------------------------------------------------------


def test_a_perfect_order_a_reversed_one_and_no_order():
    weak, strong = np.array([0.0] * 5 + [1.0] * 5), np.ones(10)
    best = curve(strong - weak, weak, strong)
    worst = curve(weak - strong, weak, strong)
    none = curve(np.zeros(10), weak, strong)
    assert best is not None
    assert worst is not None
    assert none is not None
    assert (best.apgr, best.cpt80) == (pytest.approx(0.75), pytest.approx(40.0))
    assert worst.apgr == pytest.approx(0.25)
    assert none.apgr == pytest.approx(0.5)
    assert curve(strong, strong, weak) is None


def test_the_area_under_the_curve_counts_ties_half():
    assert auroc(np.array([0.1, 0.4, 0.9]), np.array([0.0, 1.0, 1.0])) == 1.0
    assert auroc(np.zeros(4), np.array([0.0, 1.0, 1.0, 0.0])) == 0.5


@pytest.mark.requirement("GW-15")
def test_near_same_prompts_never_stand_on_both_sides_of_a_fold():
    rows = labelled(60) + labelled(60)
    near = groups(rows, None)
    parts = folds(near, 5, random.Random(0))
    assert sorted(place for part in parts for place in part) == list(range(120))
    for part in parts:
        outside = {near[place] for place in range(120)} - {near[place] for place in part}
        assert not {near[place] for place in part} & outside
        assert all((place + 60) % 120 in part for place in part)
    assert len(distinct(rows)) == 60


def test_near_same_vectors_make_a_group():
    rows = [Example(prompt=text, right={"weak": 1.0}) for text in ("one", "two", "three")]
    assert groups(rows, np.array([[1.0, 0.0], [0.99, 0.01], [0.0, 1.0]], np.float32)) == [0, 0, 2]


def test_crossed_figures_cover_every_row_and_match_what_the_gateway_would_decide():
    rows = labelled(200)
    figures = cross(rows, None, folds(groups(rows, None), 4, random.Random(1)), lambda each, _: trained(each))
    assert figures["rows"] == 200
    route = trained(rows)
    looks = [look(route, each, None) for each in rows]
    assert 0 < spent(route, rows, looks).dearest_share < 1
