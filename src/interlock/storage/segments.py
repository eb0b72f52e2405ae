"""Segments: the lone calls of one commit as rows of many calls each, instead of a row per call.

Above: packed, and any other store with the same schema. Below: lone, rows. Pure: values in, values out.

The calls of one segment are of one tenant and workflow and began in the same minute (of the Unix epoch); those of a lot (`core.lots`) stand there as its form and their numbers. So a segment whose last call
began before some moment has none that began a minute later, and lists need to look at few.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from interlock.core.events import Outcome, Record, Settled
from interlock.core.lots import Brief, Lot, answered
from interlock.core.store import TaskFilter, TaskRow

from .bodies import NOTHING, Kept, taken_apart
from .lone import Call, task_of
from .rows import body_of, encode, lone_outcome, money
from .said import listed as joined

NS_PER_MINUTE = 60_000_000_000
MOST_CALLS = 256
"""One call is found by opening its segment."""
OUTCOMES: dict[Outcome, int] = {"resolved": 1, "simulated": 2, "cancelled": 4, "failed": 8}
"""What can become of a lone call, as bits of the column `outcomes`."""


class Segment(Struct, frozen=True):
    """One row of `segments`, without its id."""

    tenant: str
    workflow: str
    first_ns: int
    """When the first of its calls began, and below the last."""
    last_ns: int
    n: int
    """Places that it takes up."""
    outcomes: int
    cost_nano_usd: int
    simulated_nano_usd: int
    most_nano_usd: int
    """What its dearest call cost, real and simulated together."""
    calls: bytes
    """JSON, compressed: a list of [event, at_ns] or null, in the order of their places; or an `Alike`."""
    contents: bytes | str | None
    """What was said in them, in the same order, as `said` keeps it; `None` where nothing is kept."""


class Packed(Struct, frozen=True, array_like=True):
    """One call of a segment, without its content."""

    event: Settled
    at_ns: int

    def task(self) -> TaskRow:
        return task_of(self.event.caller.task, self.at_ns, self.event)

    def record(self, content: bytes = NOTHING) -> Record:
        caller = self.event.caller
        said = msgspec.json.decode(content)
        return Record(caller.task, caller.step, caller.tenant, self.at_ns, self.event, said)


class Alike(Struct, frozen=True):
    """The calls of a lot."""

    form: str
    """`core.lots.Form.answered`."""
    at_ns: int
    calls: Sequence[Brief]

    def pieces(self) -> list[bytes]:
        form = self.form.encode()
        return [b"[%b,%d]" % (answered(form, brief), self.at_ns) for brief in self.calls]


_calls = msgspec.json.Decoder(list[Packed | None])
_call = msgspec.json.Decoder(Packed)
_pieces = msgspec.json.Decoder(list[msgspec.Raw])
_alike = msgspec.json.Decoder(Alike)
_encoder = msgspec.json.Encoder()
_NUMBERS = 7
"""Of a `Brief`, those that stand in a lot of whole answers."""
Keep = Callable[[str, Sequence[bytes]], bytes | str | None]
"""`Said.many`: what is kept for the contents of a tenant's calls."""


def piece_of(record: Record) -> bytes:
    """[event, at_ns] of one call as JSON, by what whoever settled it has encoded already."""
    return b"[%b,%d]" % (record.encoded or encode(record.event).encode(), record.at_ns)


def packed(calls: Sequence[Call], keep: Keep) -> list[tuple[Segment, list[str]]]:
    """The segments that hold `calls`, each with the ids of its tasks."""
    groups: dict[tuple[str, str, int], list[Call]] = {}
    for each in calls:
        record, call = each
        key = (record.tenant, call.caller.workflow, call.started_ns // NS_PER_MINUTE)
        if (group := groups.get(key)) is None:
            groups[key] = [each]
        else:
            group.append(each)
    parts = [group[at : at + MOST_CALLS] for group in groups.values() for at in range(0, len(group), MOST_CALLS)]
    return [(_segment(part, keep), [record.task for record, _ in part]) for part in parts]


def of_lot(lot: Lot) -> list[tuple[Segment, list[str]]]:
    """The same of a lot whose calls began in one minute."""
    briefs = lot.briefs
    return [_of_alike(lot, briefs[at : at + MOST_CALLS]) for at in range(0, len(briefs), MOST_CALLS)]


def _of_alike(lot: Lot, briefs: Sequence[Brief]) -> tuple[Segment, list[str]]:
    tasks, starts, _, _, _, costs, *_ = zip(*briefs, strict=True)
    caller = lot.form.sample.caller
    alike = _alike_of(lot, briefs)
    return (
        Segment(
            *(caller.tenant, caller.workflow, min(starts), max(starts), len(briefs)),
            *(OUTCOMES[lone_outcome(lot.form.sample)], sum(costs), 0, max(costs)),
            zlib.compress(alike, level=1),
            None,
        ),
        list(tasks),
    )


def _alike_of(lot: Lot, briefs: Sequence[Brief]) -> bytes:
    """Streams stand there one by one, as versions before knew them already."""
    form = lot.form
    if form.sample.first_token_us:
        return joined([b"[%b,%d]" % (answered(form.answered, brief), lot.at_ns) for brief in briefs])
    numbers = [brief[:_NUMBERS] for brief in briefs]
    return _encoder.encode({"form": form.answered.decode(), "at_ns": lot.at_ns, "calls": numbers})


def of_pieces(pieces: Sequence[bytes], contents: bytes | str | None) -> Segment | None:
    """A segment of these calls, of one tenant, workflow and minute; `None` when all of them have gone."""
    found = [_call.decode(piece).event for piece in pieces if piece != NOTHING]
    return _summed(found, pieces, contents) if found else None


def _segment(calls: Sequence[Call], keep: Keep) -> Segment:
    pieces = [piece_of(record) for record, _ in calls]
    contents = keep(calls[0][0].tenant, [body_of(record) for record, _ in calls])
    return _summed([call for _, call in calls], pieces, contents)


def _summed(calls: Sequence[Settled], pieces: Sequence[bytes], contents: bytes | str | None) -> Segment:
    starts = [call.started_ns for call in calls]
    spent = [money(call) for call in calls]
    kinds = {(call.status, call.simulated): call for call in calls}
    return Segment(
        calls[0].caller.tenant,
        calls[0].caller.workflow,
        min(starts),
        max(starts),
        len(pieces),
        sum({OUTCOMES[lone_outcome(call)] for call in kinds.values()}),
        sum([real for real, _ in spent]),
        sum([simulated for _, simulated in spent]),
        max([real + simulated for real, simulated in spent]),
        zlib.compress(joined(pieces), level=1),
        contents,
    )


def opened(calls: bytes) -> list[Packed | None]:
    """The calls of a segment's column `calls`, by place; `None` where one has gone."""
    text = zlib.decompress(calls)
    if text.startswith(b"{"):
        return [_call.decode(piece) for piece in _alike.decode(text).pieces()]
    return _calls.decode(text)


def pieces_of(calls: bytes) -> list[bytes]:
    """The same, each as it stands."""
    text = zlib.decompress(calls)
    if text.startswith(b"{"):
        return _alike.decode(text).pieces()
    return [bytes(piece) for piece in _pieces.decode(text)]


def contents_of(contents: bytes | str | None, n: int) -> tuple[Kept, list[bytes]]:
    """What was said in the `n` calls of a segment, and each one's piece of it."""
    if contents is None:
        return Kept((), NOTHING), [NOTHING] * n
    kept = taken_apart(contents)
    return kept, kept.pieces()


def call_of(piece: bytes) -> Packed:
    """One of `pieces_of`."""
    return _call.decode(piece)


def mask_of(which: TaskFilter) -> int | None:
    """The bits of `outcomes` that a segment needs for any of its calls to be listed (0: any); `None` when no lone call is."""
    if which.kind not in ("", "call") or which.status not in ("", "finished"):
        return None
    if which.batch or which.contract or which.least_steps > 1:
        return None
    if not which.outcome:
        return 0
    return next((bit for outcome, bit in OUTCOMES.items() if outcome == which.outcome), None)


def listed_of(calls: bytes, which: TaskFilter, last_ns: int) -> list[TaskRow]:
    """The segment's calls that `which` asks for and that began at `last_ns` or before."""
    return [
        row
        for row in [
            each.task() for each in opened(calls) if each and which.since_ns <= each.event.started_ns <= last_ns
        ]
        if (not which.outcome or row.outcome == which.outcome)
        and (not which.user or row.user == which.user)
        and row.cost_nano_usd + row.simulated_nano_usd >= which.least_nano_usd
        and not (which.before_id and row.created_ns == last_ns and row.id >= which.before_id)
    ]
