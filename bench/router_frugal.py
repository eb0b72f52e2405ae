"""FrugalGPT's published summaries: choosing one model per task by a shrunk table, as the route's table does, against their cascade.

The files hold accuracy and cost per query of each method on train and test, no answers, so only the table can be judged on them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Figure = dict[str, Any]
CASCADE = "FrugalGPT"
WITHIN = 0.01  # of the best train accuracy: the cheapest such model is taken


def frugal(folder: Path, command: str) -> list[Figure]:
    """Test accuracy and cost of the cheapest model within a point of the best on train, of the best, and of their cascade at its best."""
    figures: list[Figure] = []
    for path in sorted(folder.glob("frugalgpt_summary_*.csv")):
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        single = [row for row in rows if row["Method"] != CASCADE]
        cascade = [row for row in rows if row["Method"] == CASCADE]
        if not single or not cascade:
            continue
        best = max(single, key=_train)
        near = [row for row in single if _train(row) >= _train(best) - WITHIN]
        chosen = min(near, key=lambda row: float(row["Train_cost"]))
        theirs = max(cascade, key=_train)
        task = path.stem.removeprefix("frugalgpt_summary_")
        for who, row in (("table's choice", chosen), ("best single", best), ("their cascade", theirs)):
            name = f"FrugalGPT {task}, {who} ({row['Method']})"
            figures.append(_figure(f"{name}: right", float(row["Test_acc"]), "share", command))
            figures.append(_figure(f"{name}: USD per query", float(row["Test_cost"]), "USD", command))
    return figures


def _train(row: Mapping[str, str]) -> float:
    return float(row["Train_acc"])


def _figure(name: str, value: float, unit: str, command: str) -> Figure:
    return {"figure": name, "value": value, "unit": unit, "goal": None, "ok": None, "command": command}
