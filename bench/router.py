"""Learned routes on public sets: how much of the strong model's advantage is kept for how many of its calls.

GSM8K and MMLU are RouteLLM's files (answers of mixtral-8x7b and gpt-4-1106), the nine models LLMRouter's. Prompts that the authors found in
training data are left out, near-same prompts (cosine of 0.95 or the same words) never stand on both sides of a split, and five seeds are
averaged. What was looked at while the columns were chosen: GSM8K by five-fold splits and MMLU by 1,500-row splits of these same files, so
the figures for them are those of a development set; block shares and columns were fixed there, the penalty is chosen inside each fit.
"""

from __future__ import annotations

import interlock.ondevice  # noqa: F401  # pyright: ignore[reportUnusedImport]  # isort: skip  # before numpy: its BLAS keeps to one thread

import gzip
import hashlib
import json
import os
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from bench.router_frugal import frugal
from interlock.app.labels import Columns, read_labels
from interlock.app.routes import DEFAULT_VERIFIERS, checked, priced, read_prices
from interlock.core.routes import Example, LearnedRoute, plain
from interlock.ondevice.embed import MiniLM, features_of
from interlock.ondevice.route_cross import Vectors, cross, folds, held_out, random_order
from interlock.ondevice.route_train import Aim, groups, train

DATA = Path(os.environ.get("INTERLOCK_BENCH_DATA", Path(__file__).parent.parent.parent / "shared/data")) / "routing"
KEPT = Path(tempfile.gettempdir()) / "interlock-bench-router"
COMMAND = "python -m bench router"
COSTS = {
    "weak": 240_000,
    "strong": 24_700_000,
}  # nano-USD of 1,000 tokens at the prices that the paper names: $0.24 and $24.7 per million
SEEDS = 5
FOLDS = 10
PUBLISHED = {  # Ong et al. 2024, tables 2 to 4: the best of each column; another protocol (their labels are not in these files)
    "GSM8K": {"apgr": 0.622, "cpt50": 33.6, "cpt80": 63.3},
    "MMLU": {"apgr": 0.603, "cpt50": 35.4, "cpt80": 70.3},
}

Figure = dict[str, Any]


def run(quick: bool) -> list[Figure]:
    needed = [
        DATA / name
        for name in ("routellm_gsm8k_responses.csv.gz", "routellm_mmlu.csv.gz", "llmrouter_9models_train.json.gz")
    ]
    absent = [str(path) for path in needed if not path.exists()]
    if absent:
        print(f"skipped: no {' and no '.join(absent)}; set INTERLOCK_BENCH_DATA to the folder that holds routing/")
        return []
    model = MiniLM.load(threads=1, cached_texts=0)
    seeds = 1 if quick else SEEDS
    figures = gsm8k(model, seeds, quick=quick)
    figures += mmlu(model, seeds, quick=quick)
    if not quick:
        figures += nine_models(model, seeds)
    return figures + frugal(DATA, COMMAND)


def gsm8k(model: MiniLM, seeds: int, *, quick: bool) -> list[Figure]:
    """Each row judged by a route of the other nine tenths, before any answer and after the weak one's was checked."""
    columns = Columns({"weak": "mistralai/Mixtral-8x7B-Instruct-v0.1", "strong": "gpt-4-1106-preview"})
    examples = checked(
        clean(read_labels(DATA / "routellm_gsm8k_responses.csv.gz", columns).examples), DEFAULT_VERIFIERS
    )
    examples = examples[:200] if quick else examples
    vectors = embedded(model, examples)
    near = groups(examples, vectors)
    turns: list[Mapping[str, float]] = []
    for seed in range(seeds):
        parts = folds(near, FOLDS, random.Random(seed))
        measured = cross(examples, vectors, parts, fitted(["weak", "strong"], COSTS))
        turns.append(measured | named("random", random_order(examples, "weak", "strong", random.Random(seed))))
    goals = {} if quick else {"before: apgr": (0.64, 1), "after: apgr": (0.79, 1), "after: cpt80": (35.0, -1)}
    return two_models("GSM8K", turns, goals) + published("GSM8K")


def mmlu(model: MiniLM, seeds: int, *, quick: bool) -> list[Figure]:
    """Trained on so many labels, judged on all the rest."""
    columns = Columns({"weak": "mixtral_8x7b", "strong": "gpt4_1106"})
    examples = clean(read_labels(DATA / "routellm_mmlu.csv.gz", columns).examples)
    examples = random.Random(0).sample(examples, 800) if quick else examples
    vectors = embedded(model, examples)
    near = groups(examples, vectors)
    figures: list[Figure] = []
    for labels, tasks in ((300, True),) if quick else ((500, True), (1500, True), (1500, False), (3000, True)):
        rows = examples if tasks else [structs.replace(each, task="") for each in examples]
        turns: list[Mapping[str, float]] = []
        for seed in range(seeds):
            taught, judged = split(near, labels, random.Random(seed))
            _, measured = held_out(rows, vectors, taught, judged, fitted(["weak", "strong"], COSTS))
            turns.append(
                measured
                | named("random", random_order([rows[at] for at in judged], "weak", "strong", random.Random(seed)))
            )
        goals = {"before: apgr": (0.65, 1)} if labels == 1500 and tasks else {}  # the goal's own number
        figures += two_models(f"MMLU, {labels} labels{'' if tasks else ', no subject'}", turns, goals)
    return figures + published("MMLU")


def nine_models(model: MiniLM, seeds: int) -> list[Figure]:
    """Four fifths against one fifth. Costs are list prices for the prompt's likely tokens and 300 of answer: the file has no token counts."""
    prices = read_prices(DATA / "llmrouter_prices.json")
    labelled = read_labels(DATA / "llmrouter_9models_train.json.gz")
    examples = [priced(each, prices) for each in clean(labelled.examples)]
    costs = {name: round(mean([each.costs_nano_usd[name] for each in examples])) for name in labelled.models}
    models = sorted(labelled.models, key=lambda name: costs[name])
    vectors = embedded(model, examples)
    near = groups(examples, vectors)
    figures: list[Figure] = []
    for recover in (0.8, 1.0):
        turns: list[Mapping[str, float]] = []
        for seed in range(seeds):
            taught, judged = split(near, len(examples) * 4 // 5, random.Random(seed))
            route, measured = held_out(examples, vectors, taught, judged, fitted(models, costs, Aim(recover)))
            best = max(route.models, key=lambda name: route.overall[name])
            alone = {
                "right": measured[f"always {best}: right"],
                "usd_per_success": measured[f"always {best}: usd_per_success"],
            }
            most = mean([max(examples[at].right.values()) for at in judged])
            turns.append(
                {
                    **{k: v for k, v in measured.items() if k.startswith("route:")},
                    **named("best single", alone),
                    "oracle: right": most,
                }
            )
        figures += summary(f"nine models, recover {recover:.0%}", turns, {})
    return figures


# --- Reading and splitting ------------------------------------------------------------------------------------------


def clean(examples: Sequence[Example]) -> list[Example]:
    """Without the prompts that the authors found in training data, and without repeats of the same words."""
    lines = gzip.decompress((DATA / "routellm_contaminated_prompts.jsonl.gz").read_bytes()).splitlines()
    seen = {plain(json.loads(line)["eval_prompt"]) for line in lines}
    kept: list[Example] = []
    for each in examples:
        words = plain(each.prompt)
        if words not in seen:
            seen.add(words)
            kept.append(each)
    return kept


def split(near: Sequence[int], number: int, rng: random.Random) -> tuple[list[int], list[int]]:
    """(places to teach, at most `number`; the rest), whole groups on either side."""
    order = list(dict.fromkeys(near))
    rng.shuffle(order)
    members: dict[int, list[int]] = {}
    for place, group in enumerate(near):
        members.setdefault(group, []).append(place)
    taught: list[int] = []
    rest: list[int] = []
    for group in order:
        (taught if len(taught) + len(members[group]) <= number else rest).extend(members[group])
    return taught, rest


def embedded(model: MiniLM, examples: Sequence[Example]) -> Vectors:
    """One row per example; kept in the temporary folder, since they cost up to 25 ms each."""
    key = hashlib.blake2b("\0".join(each.prompt for each in examples).encode(), digest_size=8).hexdigest()
    path = KEPT / f"{key}.npy"
    if path.exists():
        return np.load(path)
    made = features_of(model, [each.prompt for each in examples])
    KEPT.mkdir(parents=True, exist_ok=True)
    np.save(path, made)
    return made


def fitted(
    models: Sequence[str], costs: Mapping[str, int], aim: Aim | None = None
) -> Callable[[Sequence[Example], Vectors | None], LearnedRoute]:
    def fit(rows: Sequence[Example], vectors: Vectors | None) -> LearnedRoute:
        return train(rows, models, costs, vectors, aim or Aim(), verifiers=DEFAULT_VERIFIERS)

    return fit


# --- Figures --------------------------------------------------------------------------------------------------------

WAYS = ("random", "table", "before", "after")


def two_models(name: str, turns: Sequence[Mapping[str, float]], goals: Mapping[str, tuple[float, int]]) -> list[Figure]:
    """Curves by way of deciding, then what the route's own decisions bring beside one model alone."""
    wanted = [f"{way}: {what}" for way in WAYS for what in ("apgr", "cpt50", "cpt80")]
    wanted += ["table weak: auroc", "before weak: auroc", "after weak: auroc", "after weak: calibration_error"]
    wanted += [
        f"{who}: {what}" for who in ("always weak", "always strong", "route") for what in ("right", "usd_per_success")
    ]
    wanted += ["route: dearest_share"]
    return summary(name, [{key: turn[key] for key in wanted if key in turn} for turn in turns], goals)


def summary(name: str, turns: Sequence[Mapping[str, float]], goals: Mapping[str, tuple[float, int]]) -> list[Figure]:
    """Means over the seeds, with their spread in the name of the unit."""
    figures: list[Figure] = []
    for key in turns[0]:
        values = [turn[key] for turn in turns if key in turn]
        goal, way = goals.get(key, (None, 1))
        value = mean(values)
        unit = "% of calls" if "cpt" in key else "USD" if "usd" in key else "share"
        spread = f" ± {float(np.std(values)):.2g} over {len(values)} seeds" if len(values) > 1 else ""
        ok = None if goal is None else value >= goal if way > 0 else value <= goal
        figures.append(
            {
                "figure": f"{name}, {key}",
                "value": value,
                "unit": unit + spread,
                "goal": goal,
                "ok": ok,
                "command": COMMAND,
            }
        )
    return figures


def published(name: str) -> list[Figure]:
    return [
        {
            "figure": f"{name}, published best row (other protocol): {key}",
            "value": value,
            "unit": "% of calls" if "cpt" in key else "share",
            "goal": None,
            "ok": None,
            "command": "arXiv:2406.18665",
        }
        for key, value in PUBLISHED[name].items()
    ]


def named(prefix: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}: {key}": value for key, value in figures.items()}


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
