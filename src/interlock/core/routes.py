"""A learned route as a value: what it was trained on, and what it says of a prompt or of an answer. Plain arithmetic, no library.

Above: `ondevice` fits routes, `app` reads and writes them, the gateway looks them up. Below: msgspec.

A head is linear: an offset, one number per known task, and weights over measures of the prompt, over the checks of an answer and over
the prompt's sentence vector. It is fitted by least squares on right (1) and wrong (0), and a logistic curve over the left-out sums makes it a chance.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from operator import mul

from msgspec import Struct

FORMAT = 1
LEAST, MOST = 0.001, 0.999
LOOKED_AT = 8_000
"""Characters of a prompt that its measures are taken from."""
MEASURES = (
    "log_chars",
    "words_per_sentence",
    "chars_per_word",
    "commas",
    "capitals",
    "distinct_numbers",
    "decimals",
    "fraction_words",
    "comparing_words",
    "number_words",
    "signs",
)
"""What `measures` takes of a prompt, in this order."""

_CAPITAL = re.compile(r"\b[A-Z]")
_NUMBER = re.compile(r"\d+")
_DECIMAL = re.compile(r"\d\.\d")
_FRACTION = re.compile(r"\d/\d|half|third|quarter|twice|times|double|triple")
_COMPARING = re.compile(r"\b(?:than|more|less|each|per|every|if|remaining|left|total)\b")
_NUMBER_WORD = re.compile(r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten)\b")
_SIGN = re.compile(r"[^\w\s.,;:!?'\"()-]")
_NO_WORD = re.compile(r"[\W_]+")


class Head(Struct, frozen=True, omit_defaults=True):
    """The chance that one model's answer is right."""

    offset: float
    tasks: dict[str, float] = {}
    """Added for a known task; an unknown one adds nothing."""
    measures: tuple[float, ...] = ()
    signals: dict[str, float] = {}
    vector: tuple[float, ...] = ()
    slope: float = 0.0
    """Of the logistic curve from the sum to the chance, fitted on left-out rows; 0 where the sum is the chance."""
    shift: float = 0.0

    def chance(
        self, task: str, measured: Sequence[float], signals: Mapping[str, float], vector: Sequence[float]
    ) -> float:
        """From 0.001 to 0.999."""
        score = self.offset + self.tasks.get(task, 0.0)
        if self.measures:
            score += sum(map(mul, self.measures, measured))
        if self.signals:
            score += sum(weight * signals.get(name, 0.0) for name, weight in self.signals.items())
        if self.vector:
            score += sum(map(mul, self.vector, vector))
        return min(MOST, max(LEAST, curved(score, self.slope, self.shift)))


def curved(score: float, slope: float, shift: float) -> float:
    """The chance that a head's sum stands for."""
    return 1.0 / (1.0 + math.exp(-min(40.0, max(-40.0, slope * score + shift)))) if slope else score


class Stage(Struct, frozen=True, omit_defaults=True):
    """Heads for one moment: before any answer, or once a model's answer was checked."""

    light: dict[str, Head]
    """By model: task, measures of the prompt and checks of the answer."""
    full: dict[str, Head] = {}
    """The same with the prompt's sentence vector; empty where it was no help or not at hand."""
    measured_within: tuple[tuple[float, float], ...] = ()
    """The range of each measure at training: a prompt unlike all of them counts as the most extreme one, no further."""
    signals_within: dict[str, tuple[float, float]] = {}
    """The same for checks; one that is not there counts as 0 within it."""
    looking_nano_usd: int = 0
    """After an answer: what it is worth on average to have looked at it before deciding, as measured out of fold."""

    @property
    def width(self) -> int:
        """Numbers of a vector that `full` takes; one of another length is from another model and tells nothing. Zero without `full`."""
        return max((len(head.vector) for head in self.full.values()), default=0)

    def chances(
        self, task: str, measured: Sequence[float], signals: Mapping[str, float], vector: Sequence[float] | None
    ) -> dict[str, float]:
        """By model; with the vector where there is one."""
        heads = self.light if vector is None or len(vector) != self.width else self.full
        measured = [
            min(high, max(low, value)) for value, (low, high) in zip(measured, self.measured_within, strict=False)
        ]
        signals = {
            name: min(high, max(low, signals.get(name, 0.0))) for name, (low, high) in self.signals_within.items()
        }
        return {name: head.chance(task, measured, signals, vector or ()) for name, head in heads.items()}


class TaskRow(Struct, frozen=True):
    """One model at one task."""

    labels: int
    right: float
    """Sum of the labels."""
    chance: float
    """Share of right answers, drawn towards the model's share over all tasks (empirical Bayes)."""


class LearnedRoute(Struct, frozen=True, omit_defaults=True):
    """What training found. Its version is the hash of its content."""

    workflow: str
    models: tuple[str, ...]
    """Tiers, or models as `provider/model`; the cheapest first."""
    costs_nano_usd: dict[str, int]
    """Mean cost of a call, by model."""
    worth_nano_usd: int
    """What a right answer is worth, as the decisions count it: another model is asked where the gain in chance times this is more than it costs."""
    overall: dict[str, float]
    """Share of right answers, by model."""
    table: dict[str, dict[str, TaskRow]]
    """Task → model → what is known."""
    strengths: dict[str, float]
    """By model: how many labels of a task its share over all tasks is worth."""
    before: Stage
    after: dict[str, Stage] = {}
    """By the model whose answer was checked."""
    verifiers: tuple[str, ...] = ()
    """Whose checks `after` uses."""
    shadow_price_nano_usd: int = 0
    """Added to the cost of the dearest model to begin with, where a cap on its share was given at training."""
    figures: dict[str, float] = {}
    """Measured out of fold at training."""
    labels: int = 0
    seen: tuple[str, ...] = ()
    """Hashes of the prompts it was trained on, so that nothing is judged on them by mistake."""
    format: int = FORMAT

    @property
    def wants_vector(self) -> bool:
        """Whether any decision uses the prompt's sentence vector."""
        return bool(self.before.full) or any(stage.full for stage in self.after.values())

    def rates(self, task: str) -> dict[str, float]:
        """Chances by the task alone; those over all tasks where it is not known."""
        row = self.table.get(task, {})
        return {name: row[name].chance if name in row else self.overall[name] for name in self.models}


def rate_without(route: LearnedRoute, model: str, task: str, label: float) -> float:
    """The chance by the task alone, as it would be without one of its labels; for judging the table on its own rows."""
    row, strength = route.table[task][model], route.strengths[model]
    weight = row.labels - 1 + strength
    return (row.right - label + strength * route.overall[model]) / weight if weight > 0 else route.overall[model]


def measures(prompt: str) -> tuple[float, ...]:
    """`MEASURES` of the prompt's beginning; some 0.2 ms for a paragraph."""
    text = prompt[:LOOKED_AT]
    words = text.split()
    lower = text.lower()
    sentences = text.count(".") + text.count("!") + text.count("?")
    return (
        math.log1p(len(text)),
        len(words) / max(1, sentences),
        sum(map(len, words)) / max(1, len(words)),
        float(text.count(",")),
        float(len(_CAPITAL.findall(text))),
        float(len(set(_NUMBER.findall(text)))),
        float(len(_DECIMAL.findall(text))),
        float(len(_FRACTION.findall(lower))),
        float(len(_COMPARING.findall(lower))),
        float(len(_NUMBER_WORD.findall(lower))),
        float(len(_SIGN.findall(text))),
    )


def plain(prompt: str) -> str:
    """The prompt's words alone, so that two that differ by case, spaces or punctuation are the same."""
    return _NO_WORD.sub(" ", prompt.casefold()).strip()


def print_of(prompt: str) -> str:
    """A short hash of `plain`, for `LearnedRoute.seen`."""
    return hashlib.blake2b(plain(prompt).encode(), digest_size=6).hexdigest()


class Example(Struct, frozen=True, omit_defaults=True):
    """One labelled prompt: what became of it at one model or at several."""

    prompt: str = ""
    task: str = ""
    right: dict[str, float] = {}
    """0 (wrong) to 1 (right) by model; a model that was not asked is absent."""
    answers: dict[str, str] = {}
    costs_nano_usd: dict[str, int] = {}
    signals: dict[str, dict[str, float]] = {}
    """By model: the checks of its answer."""


# --- Deciding -------------------------------------------------------------------------------------------------------


class Choice(Struct, frozen=True):
    """Which model, and why."""

    model: str
    reason: str


def loss(route: LearnedRoute, model: str, chance: float, dearer_nano_usd: int = 0) -> float:
    """What asking `model` costs on average, a wrong answer counted at the worth of a right one; nano-dollars.

    The least of it is the least expected cost per success: the worth is what makes the two the same (Dinkelbach 1967).
    """
    extra = dearer_nano_usd if model == route.models[-1] else 0
    return route.costs_nano_usd[model] + extra + route.worth_nano_usd * (1.0 - chance)


def start(route: LearnedRoute, chances: Mapping[str, float], usable: Sequence[str], dearer_nano_usd: int = 0) -> Choice:
    """The model to begin with among `usable`, by the chances before any answer.

    Where a model's answers can be checked, beginning with it also counts what the check is worth: it can be left again.
    """
    losses = {name: loss(route, name, chances[name], dearer_nano_usd) for name in usable}
    for name in usable:
        stage = route.after.get(name)
        if stage is not None:
            onward = [losses[other] + route.costs_nano_usd[name] for other in usable if other != name]
            losses[name] = min(losses[name], *onward) - stage.looking_nano_usd if onward else losses[name]
    best = min(usable, key=lambda name: losses[name])
    seen = ", ".join(f"{name} {chances[name]:.2f}" for name in usable)
    return Choice(best, f"learned route: {best} has the least expected cost per success (chances: {seen})")


def onward(
    route: LearnedRoute, model: str, chances: Mapping[str, float], usable: Sequence[str], dearer_nano_usd: int = 0
) -> Choice | None:
    """Another model to ask now that `model` has answered and `chances` know the checks; `None` to keep the answer."""
    stay = route.worth_nano_usd * (1.0 - chances[model])
    losses = {name: loss(route, name, chances[name], dearer_nano_usd) for name in usable if name != model}
    if not losses:
        return None
    best = min(losses, key=lambda name: losses[name])
    if losses[best] >= stay:
        return None
    why = f"learned route: the answer is right with {chances[model]:.2f} by its checks, {best} would be with {chances[best]:.2f}"
    return Choice(best, why)
