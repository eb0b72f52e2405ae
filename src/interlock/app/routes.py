"""Learned routes as files: training from labels or the ledger, judging, reading and writing. numpy and the model load when they are needed.

Above: cli, compose. Below: ondevice, plugins, `labels`, `core.routes`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
from msgspec import Struct, structs

from interlock.config.steering import RouteInvalid, route_of, version_of
from interlock.core.chat import ChatRequest, ChatResponse, Message
from interlock.core.errors import ConfigError, Fault
from interlock.core.routes import Example, LearnedRoute, print_of
from interlock.core.verify import Answered, Finding, Verifier, signals_of
from interlock.gateway.checks import Check

from .labels import Labelled
from .tier0 import Model
from .verifiers import built

if TYPE_CHECKING:
    from interlock.ondevice.minilm import Vectors
    from interlock.ondevice.route_train import Aim

DEFAULT_VERIFIERS = ("arithmetic", "citation", "hedging", "length", "self_reported")
"""What looks at the answers of a labelled file unless others are named: everything that needs the answer alone."""
NO_OPTIONS: Mapping[str, object] = {}
UNKNOWN_COST_NANO = 100_000
"""What a call of the first model is taken to cost where nobody says it; the last one's is taken as a hundred times as much."""
UNKNOWN_RANGE = 100.0
CHARS_PER_TOKEN = 4
OUTPUT_TOKENS = 300
"""Of an answer that the file does not hold."""


class ListPrice(Struct, frozen=True):
    """Dollars per million tokens."""

    input_price: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    output_price: Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class Plan(Struct, frozen=True):
    """How to train."""

    workflow: str = ""
    verifiers: tuple[str, ...] = DEFAULT_VERIFIERS
    costs_nano_usd: Mapping[str, int] = {}
    """Mean cost of a call by model, where the file does not say it."""
    prices: Mapping[str, ListPrice] = {}
    """By model, where neither the file nor `costs_nano_usd` says it."""
    recover: float = 0.8
    failure_nano_usd: int | None = None
    embedding: bool = True


class Made(Struct, frozen=True):
    """A route with what a person should know about how it was made."""

    route: LearnedRoute
    notes: tuple[str, ...]


# --- Files ----------------------------------------------------------------------------------------------------------


def read_route(path: Path) -> LearnedRoute:
    """Raises ConfigError: the file is not there, or is no route of this format."""
    hint = "Make it with `interlock route train`."
    try:
        return route_of(path.read_bytes()).route
    except OSError as error:
        raise _fault(path, f"cannot be read: {error.strerror}", hint) from error
    except RouteInvalid as error:
        raise _fault(path, str(error), hint) from error


def write_route(route: LearnedRoute, path: Path) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(route), indent=1))
    part.replace(path)


# --- Training and judging -------------------------------------------------------------------------------------------


def train(labelled: Labelled, plan: Plan, model: Model) -> Made:
    """A route from labelled examples.

    Raises:
        ConfigError: there is nothing to learn from, a verifier is unknown, or the embedding model is not installed.
    """
    from interlock.ondevice.route_train import train as fitted

    examples, models, notes = prepared(labelled, plan)
    vectors = vectors_of(examples, model) if plan.embedding else None
    costs = mean_costs(examples, models, plan)
    try:
        route = fitted(examples, models, costs, vectors, aim_of(plan), workflow=plan.workflow, verifiers=plan.verifiers)
    except ValueError as error:
        raise _fault(Path("labels"), str(error)) from error
    return Made(route, notes)


def prepared(labelled: Labelled, plan: Plan) -> tuple[list[Example], list[str], tuple[str, ...]]:
    """(examples with their answers checked, models with the cheapest first, remarks)."""
    examples = checked(labelled.examples, plan.verifiers)
    notes: list[str] = []
    if labelled.skipped:
        notes.append(f"{labelled.skipped} rows without a label were left out")
    examples = [priced(each, plan.prices) for each in examples] if plan.prices else examples
    known = {name for each in examples for name in each.costs_nano_usd} | plan.costs_nano_usd.keys()
    models = sorted(
        labelled.models, key=lambda name: _mean(each.right[name] for each in examples if name in each.right)
    )
    if all(name in known for name in models):
        costs = mean_costs(examples, models, plan)
        models.sort(key=lambda name: costs[name])
    else:
        notes.append(
            f"costs are not known for every model: {', '.join(models)} are taken as ever dearer, in the order of how often they are right "
            "(give costs in the file, --cost or --prices)"
        )
    return examples, models, tuple(notes)


def priced(example: Example, prices: Mapping[str, ListPrice]) -> Example:
    """The example with a cost for each model that has a price and no cost yet, by the likely tokens of its prompt and answer."""
    costs = dict(example.costs_nano_usd)
    for name in example.right.keys() & prices.keys() - costs.keys():
        answer = example.answers.get(name)
        output = OUTPUT_TOKENS if answer is None else len(answer) / CHARS_PER_TOKEN
        price = prices[name]
        costs[name] = round(
            (len(example.prompt) / CHARS_PER_TOKEN * price.input_price + output * price.output_price) * 1000
        )
    return structs.replace(example, costs_nano_usd=costs)


def read_prices(path: Path) -> dict[str, ListPrice]:
    """Dollars per million tokens by model: `{"M": {"input_price": 0.2, "output_price": 0.6}}`; other keys are passed over.

    Raises:
        ConfigError: the file is not there or says something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, ListPrice])
    except OSError as error:
        raise _fault(path, f"cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise _fault(
            path, f"no list of prices: {error}", 'Write {"model": {"input_price": 0.2, "output_price": 0.6}}.'
        ) from error


def aim_of(plan: Plan) -> Aim:
    """The plan's goal as training takes it."""
    from interlock.ondevice.route_train import Aim

    return Aim(plan.recover, plan.failure_nano_usd)


def mean_costs(examples: Sequence[Example], models: Sequence[str], plan: Plan) -> dict[str, int]:
    """Nano-dollars of a call by model: as the plan says, else the mean of the rows, else a stand-in."""
    found: dict[str, int] = {}
    for place, name in enumerate(models):
        rows = [each.costs_nano_usd[name] for each in examples if name in each.costs_nano_usd]
        own = plan.costs_nano_usd.get(name)
        found[name] = (
            own if own is not None else round(sum(rows) / len(rows)) if rows else UNKNOWN_COST_NANO * 10**place
        )
    return found


def checked(examples: Iterable[Example], names: Sequence[str]) -> list[Example]:
    """The examples with what the verifiers say of every answer.

    Raises:
        ConfigError: a verifier is not there, or needs more than the answer.
    """
    checks = built(dict.fromkeys(names, NO_OPTIONS))
    costly = [name for name, check in checks.items() if check.needs != "answer"]
    if costly:
        raise _fault(
            Path("verifiers"), f"{', '.join(costly)}: needs more than the answer, so it cannot look at a file's answers"
        )
    return [structs.replace(each, signals=_signals(each, checks)) if each.answers else each for each in examples]


def _signals(example: Example, checks: Mapping[str, Check]) -> dict[str, dict[str, float]]:
    request = ChatRequest("", (Message("user", example.prompt),))
    found: dict[str, dict[str, float]] = {}
    for model, text in example.answers.items():
        answered = Answered(request, ChatResponse(model, text))
        findings: dict[str, Finding] = {
            name: cast(Verifier, check.verifier).check(answered) for name, check in checks.items()
        }
        found[model] = signals_of(findings)
    return found


def vectors_of(examples: Sequence[Example], model: Model) -> Vectors | None:
    """One row per example; `None` where no example has a prompt. 7 to 25 ms of CPU each."""
    if not any(each.prompt for each in examples):
        return None
    from interlock.ondevice.embed import features_of

    return features_of(model(), [each.prompt for each in examples])


class Judged(Struct, frozen=True):
    """A route on labels that it was not trained on."""

    figures: dict[str, float]
    rows: int
    left_out: int
    """Rows whose prompt it was trained on."""


def judge(route: LearnedRoute, labelled: Labelled, model: Model) -> Judged:
    """The figures of `route` on the examples that it has not seen.

    Raises:
        ConfigError: none is left, or they label none of its models.
    """
    from interlock.ondevice.route_judge import figures, look

    seen = set(route.seen)
    fresh = [each for each in labelled.examples if print_of(each.prompt) not in seen or not each.prompt]
    usable = [each for each in fresh if any(name in each.right for name in route.models)]
    if not usable:
        raise _fault(
            Path("labels"),
            f"none of the {len(labelled.examples)} rows can judge this route: {len(labelled.examples) - len(fresh)} were trained on",
            f"It decides between {', '.join(route.models)}; name them with --models NAME=COLUMN.",
        )
    examples = checked(usable, route.verifiers)
    vectors = vectors_of(examples, model) if route.wants_vector else None
    rows: list[Sequence[float] | None] = [None] * len(examples) if vectors is None else list(vectors.tolist())
    looks = [look(route, each, row) for each, row in zip(examples, rows, strict=True)]
    return Judged(figures(route, examples, looks), len(examples), len(labelled.examples) - len(fresh))


def crossed(labelled: Labelled, plan: Plan, model: Model, parts: int, seed: int) -> Judged:
    """What training by `plan` comes to on this file: every row is judged by a route trained without it and its near-same prompts."""
    from interlock.ondevice.route_cross import cross, folds
    from interlock.ondevice.route_train import groups
    from interlock.ondevice.route_train import train as fitted

    examples, models, _ = prepared(labelled, plan)
    vectors = vectors_of(examples, model) if plan.embedding else None
    costs, aim = mean_costs(examples, models, plan), aim_of(plan)
    split = folds(groups(examples, vectors), parts, random.Random(seed))
    train_once: Callable[[Sequence[Example], Vectors | None], LearnedRoute] = lambda rows, own: fitted(  # noqa: E731
        rows, models, costs, own, aim, verifiers=plan.verifiers
    )
    return Judged(cross(examples, vectors, split, train_once), len(examples), 0)


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else 0.0


def _fault(path: Path, message: str, hint: str = "") -> ConfigError:
    return ConfigError([Fault(str(path), 0, 0, "route", message, hint)])


__all__ = ["Judged", "Made", "Plan", "crossed", "judge", "read_route", "train", "version_of", "write_route"]
