"""How much to answer with: learned from questions whose answers are known."""

import random

from interlock.ondevice.choice import ENOUGH, Choice, Rehearsed, learn


def questions(count: int, seed: int = 1) -> list[Rehearsed]:
    """Questions whose right block is the further down the list the smaller the lead of the first is."""
    rng = random.Random(seed)
    made: list[Rehearsed] = []
    for _ in range(count):
        lead = rng.random() * 0.3
        right = 0 if rng.random() < 0.5 + 2 * lead else rng.choice([1, 1, 1, 2])
        made.append(Rehearsed([0.6, 0.6 - lead, 0.6 - lead - rng.random() * 0.1], right))
    return made


def learned(promise: float = 0.9) -> Choice:
    choice = learn(questions(400), promise)
    assert choice is not None
    return choice


def test_a_clear_lead_is_answered_with_one_block_and_a_close_call_with_two() -> None:
    choice = learned()
    far, close = choice.of([0.9, 0.2, 0.1]), choice.of([0.60, 0.59, 0.3])
    assert far[0] == 1
    assert close[0] == 2
    assert far[1] > close[1]


def test_the_answers_above_the_floor_keep_the_promise_on_other_questions() -> None:
    choice = learned(0.95)
    judged = [(choice.of(each.raw), each.right) for each in questions(4_000, seed=2)]
    taken = [right < count for (count, _, good), right in judged if good]
    assert len(taken) > 500
    assert sum(taken) / len(taken) >= 0.94


def test_a_promise_that_no_chance_reaches_accepts_nothing() -> None:
    choice = learned(0.99999)
    assert not choice.of([0.61, 0.6, 0.59])[2]


def test_too_few_questions_teach_nothing() -> None:
    assert learn(questions(ENOUGH - 1), 0.9) is None


def test_it_survives_its_numbers() -> None:
    choice = learned()
    again = Choice.from_numbers(choice.numbers())
    assert again == choice
    assert Choice.from_numbers(choice.numbers()[:0]) is None
