"""The lines of an input file: JSON Lines or CSV, one task each, read as they are needed. A bad line is a value, not an end.

Above: `batch`, the command line. Below: core. A line may have an `id` and an `expected` beside the contract's inputs.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
from msgspec import Struct

from interlock.core.errors import InvalidRequest
from interlock.core.events import Outcome

MAX_LINE_BYTES = 1_000_000
LABELS = ("outcome", "intent", "article", "contains")
"""What `expected` may hold."""


class Line(Struct, frozen=True):
    """One line of an input file."""

    number: int
    """From 1, as editors count; of a CSV row that spans lines, its last one."""
    given: dict[str, Any] = {}
    id: str = ""
    expected: dict[str, Any] = {}
    fault: str = ""
    """Why the line cannot be used; empty for a good one."""


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a `.jsonl`, `.ndjson` or `.csv` file, good and bad; empty ones are passed over.

    Raises:
        InvalidRequest: there is no such file, it is of another kind, or in an encoding that has no lines.
    """
    readers = {".jsonl": _json_lines, ".ndjson": _json_lines, ".csv": _csv_lines}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InvalidRequest(
            f"{path}: unknown kind of file", param="input", hint="Use .jsonl (one object a line) or .csv."
        )
    if not path.is_file():
        raise InvalidRequest(f"{path}: there is no such file", param="input", hint="Check the path.")
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise InvalidRequest(f"{path}: is UTF-16, not UTF-8", param="input", hint="Save it as UTF-8.")
    return reader(path)


def batch_name(path: Path, salt: str = "") -> str:
    """A name for a run over a file that stays the same while its content and `salt` do, so that a rerun resumes it."""
    digest = hashlib.sha256(salt.encode())
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"{path.name}:{digest.hexdigest()[:12]}"


def _json_lines(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        for number, raw in enumerate(_bounded(file), start=1):
            text = raw.removeprefix(b"\xef\xbb\xbf").strip()
            if text:
                yield _json_line(number, text)


def _bounded(file: Any) -> Iterator[bytes]:
    """Lines of a file; one that is too long comes as its beginning, and the rest of it is passed over."""
    while raw := file.readline(MAX_LINE_BYTES + 1):
        yield raw
        while len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raw = file.readline(MAX_LINE_BYTES + 1)
            if not raw:
                break


def _json_line(number: int, text: bytes) -> Line:
    if len(text) > MAX_LINE_BYTES:
        return Line(number, fault=f"longer than {MAX_LINE_BYTES:,} bytes")
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as invalid:
        return Line(number, fault=f"not JSON: {invalid}")
    if not isinstance(value, dict):
        return Line(number, fault="expected a JSON object with the contract's inputs")
    return _line(number, cast("dict[str, Any]", value))


def _line(number: int, given: dict[str, Any]) -> Line:
    expected: Any = given.pop("expected", None) or {}
    if not isinstance(expected, dict):
        return Line(number, given, fault="expected: must be an object with outcome, intent, article or contains")
    wrong = _wrong_label(cast("dict[str, Any]", expected))
    if wrong:
        return Line(number, given, fault=f"expected: {wrong}")
    return Line(number, given, str(given.pop("id", "") or ""), cast("dict[str, Any]", expected))


def _wrong_label(expected: dict[str, Any]) -> str:
    """A label that nothing would ever be held against, e.g. by a slip of the pen; empty when there is none."""
    for name in expected:
        if name not in LABELS:
            return f"no label {name!r}; there are {', '.join(LABELS)}"
    outcome = expected.get("outcome")
    if outcome and outcome not in get_args(Outcome):
        return f"no outcome {outcome!r}; there are {', '.join(get_args(Outcome))}"
    return ""


def _csv_lines(path: Path) -> Iterator[Line]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        separator = _separator(file.readline(MAX_LINE_BYTES))
        file.seek(0)
        rows = csv.DictReader(_without_nul(file), restkey="", strict=True, delimiter=separator)
        while True:
            try:
                row = next(rows, None)
            except csv.Error as broken:
                yield Line(rows.reader.line_num, fault=f"not CSV: {broken}")
                continue
            if row is None:
                return
            yield _csv_line(rows.line_num, cast("dict[str, Any]", row))


def _separator(header: str) -> str:
    """What parts the columns: a comma, or what spreadsheets of some countries write instead."""
    return "," if "," in header else ";" if ";" in header else "\t" if "\t" in header else ","


def _without_nul(file: Iterable[str]) -> Iterator[str]:
    return (line.replace("\0", "\ufffd") for line in file)


def _csv_line(number: int, row: dict[str, Any]) -> Line:
    if "" in row:
        return Line(number, fault="more values than the header has columns")
    if any(value is None for value in row.values()):
        return Line(number, fault="fewer values than the header has columns")
    if any("\udc80" <= letter <= "\udcff" for value in row.values() for letter in value):
        return Line(number, fault="not UTF-8")
    try:
        return _line(number, _expectations(row))
    except msgspec.DecodeError as invalid:
        return Line(number, fault=f"expected: not JSON: {invalid}")


def _expectations(row: dict[str, Any]) -> dict[str, Any]:
    """CSV has no objects: `expected` holds JSON, or columns `expected.outcome`, … hold one label each, `contains` parted by |."""
    given = {name: value for name, value in row.items() if name != "expected" and not name.startswith("expected.")}
    labels = {n.removeprefix("expected."): v for n, v in row.items() if n.startswith("expected.") and v}
    if "contains" in labels:
        labels["contains"] = [piece.strip() for piece in str(labels["contains"]).split("|") if piece.strip()]
    if row.get("expected"):
        return {**given, "expected": msgspec.json.decode(str(row["expected"]))}
    return {**given, "expected": labels}
