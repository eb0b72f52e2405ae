"""Tier 0 on public intent sets: how much of the traffic it answers within a promise, and whether the promise holds.

Fitted on one part and judged on another that it never saw; out-of-scope texts are weighted to a stated share of the traffic. The
reference is a plain logistic head on the same embeddings, measured once on CLINC150's test part with the true share known:
62 % of all traffic at a measured 98.5 %, calibration error 0.006, 4 % of the out-of-scope texts answered.
"""

from __future__ import annotations

import interlock.ondevice  # noqa: F401  # pyright: ignore[reportUnusedImport]  # isort: skip  # before numpy: its BLAS keeps to one thread

import csv
import gzip
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interlock.ondevice.embed import MiniLM
from interlock.ondevice.head import Head, LeftOut, fit
from interlock.ondevice.logistic import Logistic
from interlock.ondevice.promise import threshold_for
from interlock.ondevice.trust import calibration_error, evidence, fit_trust, rehearsal, shares
from interlock.ondevice.understand import ENOUGH_GIVEN, OUT_OF_SCOPE_SHARE, Tier0, off_topic_texts

DATA = Path(os.environ.get("INTERLOCK_BENCH_DATA", Path(__file__).parent.parent.parent / "shared/data"))
COMMAND = "python -m bench tier0"
RESOLUTION = 0.005  # of 100 out-of-scope texts one moves the accuracy by 0.3 points
PROMISES = (0.95, 0.97, 0.98, 0.99)
TRUE_SHARE = 0.18  # out-of-scope share of CLINC150's test part
ANCHOR_COVERAGE = 0.621

Examples = dict[str, list[str]]
Pairs = list[tuple[str, str]]
Figure = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """One promise on one split; shares of all traffic."""

    coverage: float
    accuracy: float
    outside_answered: float


@dataclass(frozen=True)
class Judged:
    """One split. `told` is the calibration error of a fit that is given the true share out of scope."""

    outcomes: dict[float, Outcome]
    chances: Any
    right: Any
    traffic: Any
    told: float
    fit_s: float


def run(quick: bool) -> list[Figure]:
    clinc, banking = DATA / "intent/clinc150_train_val.json.gz", DATA / "intent/banking77_train.csv.gz"
    absent = [str(path) for path in (clinc, banking) if not path.exists()]
    if absent:
        print(f"skipped: no {' and no '.join(absent)}; set INTERLOCK_BENCH_DATA to the folder that holds intent/")
        return []
    model = MiniLM.load(threads=1, cached_texts=50_000)
    sets: dict[str, list[list[str]]] = json.loads(gzip.decompress(clinc.read_bytes()))
    parts = {name: [(text, intent) for text, intent in rows] for name, rows in sets.items()}
    with gzip.open(banking, "rt", encoding="utf-8") as file:
        bank = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    figures = costs(model, parts)
    figures += whole_clinc(model, parts, quick=quick)
    figures += few_shot(model, parts, 4 if quick else 20)
    if not quick:
        figures += whole_banking(model, bank)
    return figures


def whole_clinc(model: MiniLM, parts: Mapping[str, Pairs], *, quick: bool) -> list[Figure]:
    """All 150 intents, 100 examples each; the two halves of the out-of-scope texts take turns."""
    oos = [[text for text, _ in parts[name]] for name in ("oos_train", "oos_val")]
    train = parts["train"][::3] if quick else parts["train"]
    turns = [judge(model, train, given, parts["val"], judged, TRUE_SHARE) for given, judged in (oos, oos[::-1])]
    return summary("CLINC150, 150 intents", turns, goal=not quick)


def whole_banking(model: MiniLM, bank: Pairs) -> list[Figure]:
    """60 intents fitted, the other 17 as near out-of-scope texts of which 100 are given; three splits."""
    turns: list[Judged] = []
    for seed in range(3):
        intents = sorted({intent for _, intent in bank})
        shuffled = random.Random(seed).sample(bank, len(bank))
        inside = set(random.Random(seed).sample(intents, 60))
        pairs = [pair for pair in shuffled if pair[1] in inside]
        outside = [text for text, intent in shuffled if intent not in inside]
        turns.append(judge(model, pairs[:6000], outside[:100], pairs[6000:], outside[100:], TRUE_SHARE))
    return summary("BANKING77, 60 of 77 intents", turns)


def few_shot(model: MiniLM, parts: Mapping[str, Pairs], seeds: int) -> list[Figure]:
    """15 random intents; all other intents, and CLINC150's own, are out of scope."""
    figures: list[Figure] = []
    for examples, given in ((20, 0), (40, 0), (20, 50)):
        turns: list[Judged] = []
        for seed in range(seeds):
            dice = random.Random(seed)
            inside = set(dice.sample(sorted({intent for _, intent in parts["val"]}), 15))
            train = [
                pair
                for intent in sorted(inside)
                for pair in dice.sample([pair for pair in parts["train"] if pair[1] == intent], examples)
            ]
            others = [text for text, intent in parts["val"] if intent not in inside]
            outside = dice.sample(others + [text for name in ("oos_train", "oos_val") for text, _ in parts[name]], 1000)
            test = [pair for pair in parts["val"] if pair[1] in inside]
            turns.append(judge(model, train, outside[:given], test, outside[given:], OUT_OF_SCOPE_SHARE))
        figures += summary(f"15 intents x {examples} examples, {given} out of scope given", turns)
    return figures


def judge(
    model: MiniLM, train: Pairs, given: Sequence[str], test: Pairs, outside: Sequence[str], share: float
) -> Judged:
    """Fits once, then sets and judges the threshold of every promise."""
    examples: Examples = {}
    for text, intent in train:
        examples.setdefault(intent, []).append(text)
    general = [] if len(given) >= ENOUGH_GIVEN else off_topic_texts()
    model.features([*(text for text, _ in train), *given, *general])
    begin = time.process_time()
    head, left_out = fit(examples, given, model, seed=0, off_topic=general)
    weights = shares(left_out, OUT_OF_SCOPE_SHARE)
    trust = fit_trust(left_out, weights, nearest=not general)
    fit_s = time.process_time() - begin
    chances, right, traffic = unseen(model, head, trust, test, outside, share)
    outcomes = {
        promise: outcome(chances >= limit(promise, left_out, trust, weights), right, traffic, len(test))
        for promise in PROMISES
    }
    told = fit_trust(left_out, shares(left_out, share), nearest=not general)
    knowing = unseen(model, head, told, test, outside, share)
    return Judged(outcomes, chances, right, traffic, calibration_error(*knowing), fit_s)


def limit(promise: float, left_out: LeftOut, trust: Logistic, weights: Any) -> float:
    return threshold_for(promise, rehearsal(left_out, trust, weights)).value


def unseen(
    model: MiniLM, head: Head, trust: Logistic, test: Pairs, outside: Sequence[str], share: float
) -> tuple[Any, Any, Any]:
    """Chance, rightness and share of the traffic of every text of the judging part."""
    look = head.look(model.features([*(text for text, _ in test), *outside]))
    best: list[int] = look.scores.argmax(axis=1).tolist()
    right = np.zeros(len(best), bool)
    right[: len(test)] = [head.intents[place] == intent for place, (_, intent) in zip(best, test, strict=False)]
    traffic = np.concatenate([np.full(len(test), (1 - share) / len(test)), np.full(len(outside), share / len(outside))])
    return trust.chances(evidence(look)), right, traffic


def outcome(answered: Any, right: Any, traffic: Any, inside: int) -> Outcome:
    coverage = float(traffic[answered].sum())
    accuracy = float(traffic[answered & right].sum()) / coverage if coverage else 1.0
    return Outcome(coverage, accuracy, float(answered[inside:].mean()))


def summary(name: str, turns: Sequence[Judged], *, goal: bool = False) -> list[Figure]:
    """Means over the splits; accuracy is pooled over all that was answered in any."""
    figures: list[Figure] = []
    for promise in PROMISES:
        rows = [turn.outcomes[promise] for turn in turns]
        coverage = mean([row.coverage for row in rows])
        wrong = mean([row.coverage * (1 - row.accuracy) for row in rows])
        kept = [row for row in rows if row.coverage]
        label = f"{name}: promise {promise:.0%}"
        beat = ANCHOR_COVERAGE if goal and promise == 0.98 else None
        figures.append(figure(f"{label}, answered of all traffic", coverage, "share", beat))
        if not kept:
            continue
        accuracy = 1 - wrong / coverage
        figures.append(figure(f"{label}, right of answered", accuracy, "share", promise - RESOLUTION))
        missed = sum(row.accuracy < promise - RESOLUTION for row in kept)
        figures.append(figure(f"{label}, splits more than 0.5 points below it", missed, f"of {len(kept)}"))
        outside = mean([row.outside_answered for row in kept])
        figures.append(figure(f"{label}, out of scope answered", outside, "share"))
    figures += calibration(name, turns)
    figures.append(figure(f"{name}: fit after embedding", mean([turn.fit_s for turn in turns]), "CPU s"))
    return figures


def calibration(name: str, turns: Sequence[Judged]) -> list[Figure]:
    """The error as measured, and the part of it that so few judged texts would show at a perfect confidence."""
    splits = [(turn.chances, turn.right, turn.traffic) for turn in turns]
    chances, right, traffic = (np.concatenate(column) for column in zip(*splits, strict=True))
    pooled, by_chance = calibration_error(chances, right, traffic), mean([noise(*split) for split in splits])
    return [
        figure(f"{name}: calibration error", mean([calibration_error(*split) for split in splits]), "share"),
        figure(f"{name}: calibration error, true share given", mean([turn.told for turn in turns]), "share"),
        figure(f"{name}: calibration error, splits pooled", pooled, "share"),
        figure(f"{name}: calibration error that sampling alone shows", by_chance, "share"),
    ]


def noise(chances: Any, right: Any, traffic: Any, bins: int = 15) -> float:
    """The calibration error to expect of a perfect confidence: each bin's gap is then a sum of chance deviations."""
    place = np.minimum((chances * bins).astype(int), bins - 1)
    variance = np.bincount(place, (traffic * (chances - right)) ** 2, minlength=bins)
    return float(np.sqrt(2 / np.pi * variance).sum() / traffic.sum())


def costs(model: MiniLM, parts: Mapping[str, Pairs]) -> list[Figure]:
    """CPU of one query, embedding and head apart, and of the numpy fallback."""
    texts = [text for text, _ in parts["val"][:300]]
    examples: Examples = {}
    for text, intent in parts["train"]:
        if len(examples) < 15 or intent in examples:
            examples.setdefault(intent, []).append(text)
    tier = Tier0.fit({name: rows[:40] for name, rows in examples.items()}, [], model)
    plain = MiniLM.load(threads=1, cached_texts=0)
    slow = MiniLM.load(threads=1, cached_texts=0, backend="numpy")
    features = plain.features(texts)
    rows = [features[place : place + 1] for place in range(len(texts))]
    return [
        figure("embed one query, onnxruntime", each(lambda text: plain.features([text]), texts), "CPU µs"),
        figure("embed one query, numpy alone", each(lambda text: slow.features([text]), texts[:60]), "CPU µs"),
        figure("embed in batches, per text", cpu_us(lambda: plain.features(texts)) / len(texts), "CPU µs"),
        figure("head on one query, 15 intents x 40 examples", each(tier.understand_vectors, rows), "CPU µs"),
    ]


def each(call: Callable[[Any], object], items: Sequence[Any]) -> float:
    return cpu_us(lambda: [call(item) for item in items]) / len(items)


def cpu_us(call: Callable[[], object]) -> float:
    begin = time.process_time()
    call()
    return (time.process_time() - begin) * 1e6


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def figure(name: str, value: float, unit: str, goal: float | None = None) -> Figure:
    ok = None if goal is None else value >= goal
    return {"figure": name, "value": value, "unit": unit, "goal": goal, "ok": ok, "command": COMMAND}
