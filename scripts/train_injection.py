"""Trains `src/interlock/governance/injection.json`, the small classifier beside the rules about injections.

    .venv/bin/python scripts/train_injection.py [--write]

Reads the public sets of INTERLOCK_BENCH_DATA (`bench/pii_data.py` names them with their licences) and prints how each source is judged by a
model that has not seen it. Logistic regression with L2 over words and pairs of words, full-batch gradient descent (Adam), numpy alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from bench.pii_data import SOURCES, attacks, ordinary  # noqa: E402
from interlock.governance.injection import SHIPPED, Model, features  # noqa: E402

KEPT = 3_000
"""Features that are shipped."""
MIN_TEXTS = 3
L2 = 2e-5
STEPS = 300
CLEAN_SHARE = 0.0005
"""Of the training sources' customer texts that may lie above the threshold."""
GROUPS = {
    "garak": ("garak_1", "garak_2"),
    "half of garak": ("garak_2",),
    "bipia": ("bipia_train", "bipia_test", "emails_train", "emails_test"),
    "bipia's test part": ("bipia_test", "emails_test"),
    "injecagent": ("injecagent", "tool_outputs"),
    "banking77": ("banking77",),
    "clinc150": ("clinc150",),
    "xstest": ("xstest_safe",),
    "mmlu": ("mmlu",),
    "tables": ("tables",),
}
"""What is held out together: attacks, and the harmless texts that they were put into."""
CUSTOMERS = ("banking77", "clinc150")


def trained(bad: dict[str, list[str]], good: dict[str, list[str]]) -> Model:
    """A model in which each source counts the same; its threshold is still open."""
    positive = [text for texts in bad.values() for text in texts]
    negative = [text for texts in good.values() for text in texts]
    texts = [features(text) for text in (*positive, *negative)]
    seen = Counter(each for text in texts for each in text)
    names = [name for name, count in seen.items() if count >= MIN_TEXTS]
    index = {name: place for place, name in enumerate(names)}
    rows, columns, values = _sparse(texts, index)
    target = np.array([1.0] * len(positive) + [0.0] * len(negative))
    share = np.array([0.5 / len(side) / len(texts) for side in (bad, good) for texts in side.values() for _ in texts])
    weights, bias = _descended(rows, columns, values, target, share, len(names))
    order = np.argsort(-np.abs(weights))[:KEPT]
    kept = {names[place]: round(float(weights[place]), 3) for place in order}
    return Model(kept, round(bias, 4), 0.5)


def _sparse(texts: list[set[str]], index: dict[str, int]) -> tuple[Any, Any, Any]:
    rows, columns, values = [], [], []
    for row, text in enumerate(texts):
        known = [index[each] for each in text if each in index]
        rows += [row] * len(known)
        columns += known
        values += [1.0 / max(1.0, len(text)) ** 0.5] * len(known)
    return np.array(rows), np.array(columns), np.array(values)


def _descended(rows: Any, columns: Any, values: Any, target: Any, share: Any, size: int) -> tuple[Any, float]:
    weights, bias = np.zeros(size), 0.0
    first, second = np.zeros(size + 1), np.zeros(size + 1)
    for step in range(1, STEPS + 1):
        sums = np.bincount(rows, weights=values * weights[columns], minlength=len(target)) + bias
        error = (1.0 / (1.0 + np.exp(-np.clip(sums, -60, 60))) - target) * share
        slope = np.bincount(columns, weights=values * error[rows], minlength=size) + L2 * weights
        slope = np.append(slope, error.sum())
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        move = 0.1 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        weights -= move[:-1]
        bias -= float(move[-1])
    return weights, bias


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="train on everything and write the file")
    options = parser.parse_args()
    bad, good = attacks(), ordinary()
    unseen = {held: trained(_without(bad, held), _without(good, held)) for held in GROUPS}
    limits = [_limit(unseen[group], [text for name in GROUPS[group] for text in good[name]]) for group in CUSTOMERS]
    threshold = round(max(0.0, *limits), 3)
    judged: list[dict[str, object]] = []
    for held, names in GROUPS.items():
        model = unseen[held]._replace(threshold=threshold)
        for name in names:
            texts = bad.get(name) or good[name]
            above = sum(model.score(text) >= threshold for text in texts) / len(texts)
            said = "attacks" if name in bad else "ordinary"
            judged.append({"held": held, "texts": name, "of": said, "n": len(texts), "share": round(above, 4)})
            print(f"{held:18} {name:13} {said:9} held out: {above:7.2%} of {len(texts)} above {threshold}", flush=True)
    if options.write:
        model = trained(bad, good)._replace(threshold=threshold)
        content = {
            "source": SOURCES,
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "judged": judged,
            **model._asdict(),
        }
        SHIPPED.write_text(json.dumps(content, separators=(",", ":")) + "\n")
        print(f"wrote {SHIPPED.stat().st_size} bytes")
    return 0


def _limit(model: Model, clean: list[str]) -> float:
    """The score that `CLEAN_SHARE` of texts from a source it has not seen lie above."""
    return sorted((model.score(text) for text in clean), reverse=True)[int(CLEAN_SHARE * len(clean))] + 0.01


def _without(texts: dict[str, list[str]], held: str) -> dict[str, list[str]]:
    return {name: each for name, each in texts.items() if name not in GROUPS[held]}


if __name__ == "__main__":
    raise SystemExit(main())
