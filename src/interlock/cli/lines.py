"""The input file of a batch: its name in the store, how many lines it has, and what becomes of the bad ones.

Above: `run`. Below: agents' reading of lines. A bad line is kept beside the file as JSON: its fields where it had any, so that it can be
mended there and run as a file of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import Struct, json

from interlock.agents.batch import Done, Line, batch_name, read_lines
from interlock.app.reading import Reading
from interlock.config.names import nearest
from interlock.core.errors import InvalidRequest
from interlock.core.store import TaskFilter

from .options import say
from .text import one_line, plural

REPORTED = 5
"""Bad lines that are reported one by one; the rest are counted and stand in the file."""


FIELDS = 100
"""Names of fields that are kept, for a remark on those that the contract does not take."""


class Input(Struct, frozen=True):
    """A file of inputs, looked through once."""

    path: Path
    limit: int | None
    count: int
    """Lines that are to run, bad ones included."""
    expected: dict[int, dict[str, Any]]
    """Labels by line, of the lines that have some."""
    fields: tuple[str, ...] = ()
    """Names of the fields of its lines, the first hundred."""

    def lines(self) -> Iterator[Line]:
        """The lines again, one at a time."""
        return islice(read_lines(self.path), self.limit)


def look_through(path: Path, limit: int | None) -> Input:
    """Reads the file once, keeping only what the summary needs.

    Raises:
        InvalidRequest: there is no such file, it is of another kind, cannot be read, or holds nothing.
    """
    if not path.exists():
        there = [each.name for each in path.parent.glob("*") if each.suffix in (".jsonl", ".ndjson", ".csv")]
        hint = nearest(path.name, there) if there else "Check the path."
        raise InvalidRequest(f"{path}: there is no such file", param="input", hint=hint)
    count, expected, fields = 0, dict[int, dict[str, Any]](), dict[str, None]()
    try:
        for line in islice(read_lines(path), limit):
            count += 1
            if len(fields) < FIELDS:
                fields.update(dict.fromkeys(line.given))
            if line.expected:
                expected[line.number] = line.expected
    except OSError as error:
        raise InvalidRequest(f"{path}: cannot be read: {error.strerror}", param="input") from error
    if not count:
        raise InvalidRequest(f"{path}: there is nothing in it", param="input", hint="Each line is one task.")
    return Input(path, limit, count, expected, tuple(fields)[:FIELDS])


def left_out(inputs: Input, taken: Collection[str]) -> str:
    """A remark on fields of the file that the contract does not take, e.g. by a slip; empty when there are none."""
    names = [name for name in inputs.fields if name not in taken and not name.startswith("_")]
    if not names:
        return ""
    near = {name: get_close_matches(name, taken, n=1, cutoff=0.7) for name in names}
    told = [f"{name!r} (did you mean {near[name][0]!r}?)" if near[name] else repr(name) for name in names]
    return f"the contract takes no {', '.join(told[:REPORTED])}{', …' if len(told) > REPORTED else ''}: left out of the tasks"


def name_of(reading: Reading, path: Path, workflow: str, model: str, *, fresh: bool) -> str:
    """Under which name the batch stands in the store: of its latest run, so that it is resumed, or a new one when it is to be fresh.

    The name depends on what the file holds, the tenant, the workflow and the model: another content is another batch.
    """
    tenant = reading.workspace.settings.tenant

    def of(generation: int) -> str:
        return batch_name(path, "\n".join((tenant, workflow, model, str(generation))))

    generation = 0
    while known(reading, of(generation + 1)):
        generation += 1
    return of(generation + 1) if fresh and known(reading, of(generation)) else of(generation)


def known(reading: Reading, batch: str) -> bool:
    """Whether an earlier run began this batch."""
    return bool(reading.tasks(TaskFilter(batch=batch, limit=1)))


def keep_aside(path: Path, bad: Sequence[Done]) -> Path | None:
    """Writes the bad lines to `FILE.rejected.jsonl`; `None` when that cannot be written."""
    target = path.with_name(f"{path.name}.rejected.jsonl")
    raw = raw_lines(path, {done.line.number for done in bad if not done.line.given})
    try:
        with target.open("wb") as file:
            for done in sorted(bad, key=lambda each: each.line.number):
                file.write(json.encode(kept(done, raw.get(done.line.number, ""))) + b"\n")
    except OSError as error:
        say(f"remark: {target} cannot be written ({error.strerror}); the bad lines are named above only")
        return None
    return target


def kept(done: Done, raw: str) -> dict[str, Any]:
    """A bad line as an object: what was wrong, then its own fields, or its text where it has none."""
    line = done.line
    about: dict[str, Any] = {"_line": line.number, "_fault": done.fault}
    if not line.given:
        return {**about, "_raw": raw}
    named = {"id": line.id} if line.id else {}
    return {**about, **named, **line.given, **({"expected": line.expected} if line.expected else {})}


def raw_lines(path: Path, numbers: set[int]) -> dict[int, str]:
    """The text of some lines, each cut at 10,000 characters."""
    found: dict[int, str] = {}
    if numbers:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for number, text in enumerate(file, start=1):
                if number in numbers:
                    found[number] = text.rstrip("\r\n")[:10_000]
    return found


def report(bad: Sequence[Done]) -> None:
    """Says which lines are bad and why."""
    for done in bad[:REPORTED]:
        say(f"line {done.line.number}: {one_line(done.fault, 200)}")
    if len(bad) > REPORTED:
        say(f"and {plural(len(bad) - REPORTED, 'more bad line')}")
