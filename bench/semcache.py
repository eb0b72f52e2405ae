"""The semantic cache on public questions: what it serves, and how often that is wrong.

Two judges. *Pairs* (Quora question pairs with a person's verdict): one text is kept, the other asked, nothing compared yet; the guards and the
configured similarity decide alone. *Streams* (BANKING77 and CLINC150, same intent = same answer): the cache learns from what it compares,
beside a static cosine threshold of 0.92 on the same stream in the same run. The guards were written while looking at these pairs and the
prior's weights were fitted on BANKING77, so both are figures on data that was seen; CLINC150 was not tuned on. Streams are shuffled by seed.
"""

from __future__ import annotations

import interlock.ondevice  # noqa: F401  # pyright: ignore[reportUnusedImport]  # isort: skip  # before numpy: its BLAS keeps to one thread

import csv
import gzip
import json
import os
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interlock.core.time import SystemClock
from interlock.ondevice.embed import MiniLM
from interlock.ondevice.judge import same_text
from interlock.ondevice.promise_kept import Terms
from interlock.ondevice.semantic import SemanticCache, would_share

DATA = Path(os.environ.get("INTERLOCK_BENCH_DATA", Path(__file__).parent.parent.parent / "shared/data"))
COMMAND = "python -m bench semcache"
STATIC = 0.92
SEEDS = range(5)
Figure = dict[str, Any]
Stream = list[tuple[str, str]]


@dataclass(frozen=True)
class Served:
    """One stream: shares of all questions and of hits."""

    hits: float
    wrong: float
    audited: float = 0.0
    live_after: float = 1.0
    mode: str = ""


def run(quick: bool) -> list[Figure]:
    pairs, slices = DATA / "semcache/qqp_pairs.json.gz", DATA / "semcache/qqp_hard_slices.json.gz"
    clinc, banking = DATA / "intent/clinc150_train_val.json.gz", DATA / "intent/banking77_train.csv.gz"
    absent = [str(path) for path in (pairs, slices, clinc, banking) if not path.exists()]
    if absent:
        print(
            f"skipped: no {' and no '.join(absent)}; set INTERLOCK_BENCH_DATA to the folder that holds semcache/ and intent/"
        )
        return []
    model = MiniLM.load(threads=1, cached_texts=50_000)
    rows: list[dict[str, Any]] = json.loads(gzip.decompress(pairs.read_bytes()))
    figures = of_pairs(
        model, [(row["text_a"], row["text_b"], bool(int(row["label"]))) for row in rows[: 500 if quick else None]]
    )
    figures += of_slices(model, json.loads(gzip.decompress(slices.read_bytes())))
    seeds = SEEDS[:1] if quick else SEEDS
    figures += of_stream(model, "BANKING77", _some(_banking(banking), quick=quick), seeds, goal=not quick)
    figures += of_stream(model, "CLINC150", _some(_clinc(clinc), quick=quick), seeds, goal=False)
    return figures + of_cost(model, 1_000 if quick else 10_000)


def of_pairs(model: MiniLM, pairs: Sequence[tuple[str, str, bool]]) -> list[Figure]:
    """Precision and recall on pairs that people judged; nothing has been compared yet."""
    verdicts = [(would_share(a, b, model.embed), same) for a, b, same in pairs]
    static = [same for verdict, same in verdicts if verdict.cosine >= STATIC]
    served = [same for verdict, same in verdicts if verdict.served]
    duplicates = sum(same for _, same in verdicts)
    note = f"{len(pairs)} pairs, {duplicates} of them duplicates; seen while the guards were written"
    return [
        _figure("pairs: precision of what is served", _share(served), "share", ">= 0.95", _share(served) >= 0.95, note),
        _figure(
            "pairs: served", len(served) / len(pairs), "share", None, None, f"{sum(served)} of {duplicates} duplicates"
        ),
        _figure("pairs: precision of cosine 0.92 alone", _share(static), "share", None, None, f"{len(static)} served"),
    ]


def of_slices(model: MiniLM, rows: Sequence[tuple[str, str, str, int]]) -> list[Figure]:
    """The hard slices: hits that are wrong, per slice."""
    figures: list[Figure] = []
    for name in sorted({row[0] for row in rows}):
        these = [(bool(same), would_share(a, b, model.embed)) for slice_, a, b, same in rows if slice_ == name]
        hits = [same for same, verdict in these if verdict.served]
        static = [same for same, verdict in these if verdict.cosine >= STATIC]
        wrong = len(hits) - sum(hits)
        hard = name in ("number differs", "negation differs")
        note = f"{len(hits)} served of {len(these)}; cosine 0.92 alone serves {len(static)}, {len(static) - sum(static)} wrong"
        goal = ("0", wrong == 0) if hard else (None, None)
        figures.append(_figure(f"slice '{name}': wrong hits", wrong, "hits", *goal, note))
    return figures


def of_stream(model: MiniLM, name: str, stream: Stream, seeds: Sequence[int], *, goal: bool) -> list[Figure]:
    """Hits and errors beside the static threshold, mean over shuffled orders."""
    model.embed([text for text, _ in stream])
    ours: list[Served] = []
    static: list[Served] = []
    for seed in seeds:
        shuffled = random.Random(seed).sample(stream, len(stream))
        ours.append(learned(model, shuffled, seed))
        static.append(fixed(model, shuffled))
    hits, hits_static = _mean(each.hits for each in ours), _mean(each.hits for each in static)
    wrong, wrong_static = _mean(each.wrong for each in ours), _mean(each.wrong for each in static)
    kept = sum(each.wrong <= Terms().error_budget for each in ours)
    by_seed = ", ".join(f"{each.hits:.3f} / {each.wrong:.4f} / live after {each.live_after:.2f}" for each in ours)
    better = hits > hits_static if goal else None
    fewer = wrong <= wrong_static if goal else None
    return [
        _figure(f"{name}: hits", hits, "share", f"> {hits_static:.3f}" if goal else None, better, by_seed),
        _figure(
            f"{name}: wrong per hit", wrong, "share", f"<= {wrong_static:.4f}" if goal else None, fewer, "budget 0.02"
        ),
        _figure(f"{name}: hits of static {STATIC}", hits_static, "share", None, None, f"{len(stream)} questions"),
        _figure(f"{name}: wrong per hit of static {STATIC}", wrong_static, "share", None, None, ""),
        _figure(f"{name}: runs within the error budget", kept, f"of {len(ours)}", None, None, ""),
    ]


def learned(model: MiniLM, stream: Stream, seed: int) -> Served:
    """Our cache on one stream: shadow, then live with audits."""
    cache = SemanticCache(
        Terms(), model.embed, random.Random(seed), SystemClock(), judge=same_text, max_entries=len(stream)
    )
    hits = wrong = audits = 0
    live_after = len(stream)
    for place, (text, answer) in enumerate(stream):
        found = cache.look("bench", text)
        audits += found.kind == "audit"
        if found.served is None:
            cache.learn(found, answer)
        else:
            hits += 1
            wrong += found.served.answer != answer
            live_after = min(live_after, place)
    size = len(stream)
    return Served(hits / size, wrong / max(hits, 1), audits / size, live_after / size, cache.record("bench").mode)


def fixed(model: MiniLM, stream: Stream) -> Served:
    """Cosine of the nearest question at least `STATIC`; a miss is kept."""
    vectors = np.zeros((len(stream), 384), np.float32)
    answers: list[str] = []
    hits = wrong = 0
    for text, answer in stream:
        vector = model.embed([text])[0]
        if answers:
            cosines = vectors[: len(answers)] @ vector
            nearest = int(cosines.argmax())
            if cosines[nearest] >= STATIC:
                hits += 1
                wrong += answers[nearest] != answer
                continue
        vectors[len(answers)] = vector
        answers.append(answer)
    return Served(hits / len(stream), wrong / max(hits, 1))


def of_cost(model: MiniLM, entries: int) -> list[Figure]:
    """CPU of a look-up beside the embedding, with a full index."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((entries, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    told = iter(rows)
    cache = SemanticCache(
        Terms(), lambda _: next(told)[None, :], random.Random(1), SystemClock(), judge=same_text, max_entries=entries
    )
    for place in range(entries - 200):
        cache.learn(cache.look("bench", f"question {place}"), f"answer {place}")
    told = iter(rows[-200:])
    begun = time.process_time()
    for place in range(200):
        cache.look("bench", f"asked {place}")
    look_us = (time.process_time() - begun) / 200 * 1e6
    begun = time.process_time()
    for place in range(50):
        model.embed([f"How do I find out whether my parcel number {place} has left the warehouse?"])
    embed_us = (time.process_time() - begun) / 50 * 1e6
    return [
        _figure(f"look-up among {entries:,} vectors", look_us, "CPU µs", None, None, "guards and vote included"),
        _figure("embedding of one question", embed_us, "CPU µs", None, None, "off the event loop"),
    ]


def _banking(path: Path) -> Stream:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def _clinc(path: Path) -> Stream:
    """Validation part, a third of the training part, and the out-of-scope texts, each of which is an answer of its own."""
    parts: dict[str, list[tuple[str, str]]] = json.loads(gzip.decompress(path.read_bytes()))
    rows = [*parts["val"], *parts["train"][::3], *parts["oos_val"], *parts["oos_train"]]
    return [(text, intent if intent != "oos" else f"oos: {text}") for text, intent in rows]


def _some(stream: Stream, *, quick: bool) -> Stream:
    return random.Random(0).sample(stream, 1_000) if quick else stream


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0


def _mean(values: Any) -> float:
    return statistics.fmean(values)


def _figure(figure: str, value: float, unit: str, goal: str | None, ok: bool | None, note: str) -> Figure:
    rounded = round(value, 4) if isinstance(value, float) else value
    return {"figure": figure, "value": rounded, "unit": unit, "goal": goal, "ok": ok, "note": note, "command": COMMAND}
