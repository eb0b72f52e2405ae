"""A learned route decides by plain arithmetic that holds for any content."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.routes import MEASURES, Head, LearnedRoute, Stage, loss, measures, onward, plain, print_of, start

MODELS = ("a", "b", "c")
chances = st.fixed_dictionaries({name: st.floats(0.001, 0.999) for name in MODELS})
costs = st.lists(st.integers(0, 10**9), min_size=3, max_size=3).map(sorted)


def route(costs=(1, 10, 100), worth=1_000, after=()):
    return LearnedRoute(
        workflow="w",
        models=MODELS,
        costs_nano_usd=dict(zip(MODELS, costs, strict=True)),
        worth_nano_usd=worth,
        overall=dict.fromkeys(MODELS, 0.5),
        table={},
        strengths=dict.fromkeys(MODELS, 10.0),
        before=Stage({name: Head(0.5) for name in MODELS}),
        after={name: Stage({each: Head(0.5) for each in MODELS}) for name in after},
    )


@pytest.mark.requirement("GW-15")
@given(chances, costs, st.integers(0, 10**12), st.integers(0, 10**9))
def test_the_start_is_the_model_with_the_least_expected_loss(chances, costs, worth, dearer):
    made = route(costs, worth)
    chosen = start(made, chances, MODELS, dearer).model
    losses = {name: loss(made, name, chances[name], dearer) for name in MODELS}
    assert losses[chosen] == min(losses.values())


@pytest.mark.requirement("GW-15")
@given(chances, costs, st.integers(0, 10**12))
def test_an_answer_is_left_exactly_where_another_model_gains_more_than_it_costs(chances, costs, worth):
    made = route(costs, worth)
    choice = onward(made, "a", chances, MODELS)
    gains = {name: worth * (1 - chances["a"]) - loss(made, name, chances[name]) for name in ("b", "c")}
    assert (choice is not None) == any(gain > 0 for gain in gains.values())
    if choice is not None:
        assert gains[choice.model] == pytest.approx(max(gains.values()))


@given(chances, st.integers(1, 10**9), st.integers(1, 1_000))
def test_what_is_worth_more_is_never_given_to_a_model_that_is_less_often_right(chances, worth, factor):
    cheap, dear = route(worth=worth), route(worth=worth * factor)
    assert chances[start(dear, chances, MODELS).model] >= chances[start(cheap, chances, MODELS).model]


@given(
    st.text(max_size=200), st.text(max_size=20), st.dictionaries(st.text(max_size=5), st.floats(-1e9, 1e9), max_size=4)
)
def test_no_prompt_and_no_check_takes_a_chance_out_of_its_range(prompt, task, signals):
    head = Head(0.5, {"t": 0.1}, (0.3,) * len(MEASURES), dict.fromkeys(signals, 2.0), (0.5, -0.5))
    ranges = tuple((0.0, 10.0) for _ in MEASURES)
    stage = Stage({"a": head}, {"a": head}, ranges, dict.fromkeys(signals, (0.0, 1.0)))
    for vector in (None, (1.0, 2.0), (1.0, 2.0, 3.0)):
        chance = stage.chances(task, measures(prompt), signals, vector)["a"]
        assert 0.001 <= chance <= 0.999


@given(st.text(max_size=300))
def test_measures_are_finite_and_as_many_as_they_are_named(prompt):
    found = measures(prompt)
    assert len(found) == len(MEASURES)
    assert all(math.isfinite(value) for value in found)


def test_a_vector_of_another_model_is_not_used():
    stage = Stage({"a": Head(0.2)}, {"a": Head(0.9, vector=(0.0, 0.0))})
    assert stage.chances("", (), {}, (1.0, 1.0))["a"] == 0.9
    assert stage.chances("", (), {}, (1.0,))["a"] == 0.2


def test_prompts_that_differ_by_case_and_punctuation_are_the_same():
    assert plain("Where is MY parcel?!") == "where is my parcel"
    assert print_of("Where is MY parcel?!") == print_of("where  is my parcel")
    assert print_of("Where is my parcel?") != print_of("Where is my money?")
