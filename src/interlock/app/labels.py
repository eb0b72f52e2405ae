"""Labelled files for training and judging routes: CSV, JSON lines or JSON, plain or gzipped → examples. docs/routing.md tells the columns.

Above: `app/routes`, the bench. Below: `core.routes`.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from msgspec import Struct

from interlock.core.errors import ConfigError, Fault
from interlock.core.money import NANO_PER_USD
from interlock.core.routes import Example

PROMPTS = ("prompt", "question", "input", "query", "instruction", "text")
TASKS = ("task", "task_type", "domain", "step", "dataset", "category")
RIGHTS = ("_correct", "_right", "_score", "_label")
ANSWERS = ("_answer", "_response", "_output")
COSTS = ("_cost_usd", "_cost")
NESTED: Mapping[str, tuple[str, ...]] = {
    "right": ("scores", "correct", "labels"),
    "answers": ("answers", "responses"),
    "costs": ("costs_usd", "costs"),
}
MAX_BYTES = 2_000_000_000
TRUE = frozenset(("1", "1.0", "true", "yes", "right", "correct"))
FALSE = frozenset(("0", "0.0", "false", "no", "wrong", "incorrect"))

Row = Mapping[str, Any]


class Labelled(Struct, frozen=True):
    """What a file holds."""

    examples: tuple[Example, ...]
    models: tuple[str, ...]
    """In the order in which the file names them, or as they were asked for."""
    skipped: int
    """Rows without any label."""


class Columns(Struct, frozen=True):
    """Which columns mean what, where the names do not say it."""

    models: Mapping[str, str] = {}
    """Name in the route → name in the file; empty for all that the file names."""
    prompt: str = ""
    task: str = ""


def read_labels(path: Path, columns: Columns | None = None) -> Labelled:
    """The examples of a file.

    Raises:
        ConfigError: it is not there, cannot be read, or names no model's label.
    """
    asked = columns or Columns()
    rows = _rows(path)
    if not rows:
        raise _fault(path, "there is no row in it")
    found = _names(rows)
    wanted = asked.models or {name: name for name in found}
    for name in wanted.values():
        if name not in found:
            raise _fault(
                path, f"no label of {name!r}", f"It has labels of: {', '.join(found) or 'no model'}. {_WANTED}"
            )
    if not wanted:
        raise _fault(path, f"no model's label among the columns {', '.join(map(str, rows[0]))}", _WANTED)
    examples = [_example(row, wanted, asked, path, place) for place, row in enumerate(rows, 1)]
    kept = tuple(each for each in examples if each.right)
    return Labelled(kept, tuple(wanted), len(examples) - len(kept))


_WANTED = "A labelled file has `prompt`, `task`, and for each model M `M_correct` (and `M_answer`, `M_cost_usd`); see docs/routing.md."


def _rows(path: Path) -> list[Row]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise _fault(path, f"cannot be read: {error}") from error
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith((".csv", ".tsv")):
            return _table(text, "\t" if name.endswith(".tsv") else ",")
        if name.endswith(".json"):
            whole: Any = json.loads(text)
            return _objects(cast("list[Any]", whole) if isinstance(whole, list) else [whole])
        return _objects(json.loads(line) for line in text.splitlines() if line.strip())
    except (ValueError, csv.Error) as error:
        raise _fault(path, f"cannot be read as {name.rpartition('.')[2]}: {error}") from error


def _table(text: str, delimiter: str) -> list[Row]:
    longest = csv.field_size_limit(10_000_000)
    try:
        return list(csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter))
    finally:
        csv.field_size_limit(longest)


def _objects(values: Iterable[Any]) -> list[Row]:
    rows: list[Row] = []
    for place, value in enumerate(values, 1):
        if not isinstance(value, Mapping):
            raise ValueError(f"row {place} is no object")
        rows.append(cast(Row, value))
    return rows


def _names(rows: Sequence[Row]) -> list[str]:
    """Models that have a label: by suffix, by a nested object, or a pair of columns `M` and `M_response`."""
    found: dict[str, None] = {}
    keys = list(dict.fromkeys(key for row in rows[:1000] for key in row))
    for key in keys:
        for suffix in RIGHTS:
            if key.endswith(suffix) and len(key) > len(suffix):
                found[key.removesuffix(suffix)] = None
        if key in NESTED["right"]:
            for row in rows:
                inner = row.get(key)
                if isinstance(inner, Mapping):
                    found.update(dict.fromkeys(cast(Mapping[str, Any], inner)))
        if any(f"{key}{suffix}" in keys for suffix in ANSWERS) and key not in found:
            found[key] = None
    return list(found) or [key for key in keys if key not in (*PROMPTS, *TASKS) and _all_labels(rows, key)]


def _all_labels(rows: Sequence[Row], key: str) -> bool:
    """A column of nothing but yes and no is a model's label, whatever it is called."""
    values = {str(row.get(key)).strip().lower() for row in rows[:1000]}
    return values <= TRUE | FALSE


def _example(row: Row, wanted: Mapping[str, str], asked: Columns, path: Path, place: int) -> Example:
    right: dict[str, float] = {}
    answers: dict[str, str] = {}
    costs: dict[str, int] = {}
    for name, column in wanted.items():
        label = _label(_value(row, column, ("", *RIGHTS), "right"), path, place, column)
        if label is None:
            continue
        right[name] = label
        answer = _value(row, column, ANSWERS, "answers")
        if isinstance(answer, str) and answer:
            answers[name] = answer
        cost = _number(_value(row, column, COSTS, "costs"))
        if cost is not None:
            costs[name] = round(cost * NANO_PER_USD)
    prompt = str(_first(row, (asked.prompt,) if asked.prompt else PROMPTS) or "")
    task = str(_first(row, (asked.task,) if asked.task else TASKS) or "")
    return Example(prompt, task, right, answers, costs)


def _value(row: Row, model: str, suffixes: Sequence[str], nested: str) -> Any:
    for suffix in suffixes:
        if row.get(f"{model}{suffix}") not in (None, ""):
            return row[f"{model}{suffix}"]
    for key in NESTED[nested]:
        inner = row.get(key)
        if isinstance(inner, Mapping) and model in inner:
            return cast(Mapping[str, Any], inner)[model]
    return None


def _first(row: Row, names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _label(value: Any, path: Path, place: int, column: str) -> float | None:
    """0 to 1; a label is a truth value, a word for one, or a share."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return float(value)
    word = str(value).strip().lower()
    if word in TRUE:
        return 1.0
    if word in FALSE:
        return 0.0
    number = _number(value)
    if number is None or not 0.0 <= number <= 1.0:
        raise _fault(
            path, f"row {place}: the label of {column!r} is {str(value)[:40]!r}", "Write true, false or 0 to 1."
        )
    return number


def _number(value: Any) -> float | None:
    try:
        number = float(str(value).strip().removeprefix("$"))
    except ValueError:
        return None
    return number if number == number and abs(number) < 1e12 else None  # noqa: PLR0124  # neither NaN nor absurd


def _fault(path: Path, message: str, hint: str = "") -> ConfigError:
    return ConfigError([Fault(str(path), 0, 0, "labels", message, hint)])
