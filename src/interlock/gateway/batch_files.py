"""Input files of batches read line by line, output files written from answers. Nothing is in memory whole.

Above: batch. Below: `ledger.BatchLog`. Source: the guide to the Batch API and its reference (platform.openai.com/docs/guides/batch), 2026-11.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct, structs

from interlock.core.batches import BatchRow, Fault, FileRow, Line, tail
from interlock.core.errors import InterlockError
from interlock.core.unreadable import UNREADABLE
from interlock.ledger import BatchLog

MOST_LINES = 50_000
MOST_FAULTS = 50
"""Faults of one file that are told."""
AT_ONCE = 500
LONGEST_ID = 512


class _Asked(Struct, frozen=True):
    custom_id: str
    method: str
    url: str
    body: Raw


_asked = msgspec.json.Decoder(_Asked)


def body_of(line: bytes) -> bytes:
    """The request of a line that was found to be in order."""
    return bytes(_asked.decode(line).body)


async def read_lines(row: BatchRow, log: BatchLog) -> list[Fault]:
    """Notes every line with its place; what is wrong with the file, in which case nothing is asked."""
    try:
        file = await log.file(row.tenant, row.input_file)
    except InterlockError as error:
        return [Fault("invalid_file", str(error), param="input_file_id")]
    faults: list[Fault] = []
    seen: set[str] = set()
    reading = _checked(row, file, log, faults, seen)
    while lines := await asyncio.to_thread(_some, reading):
        await log.add_lines(row.id, lines)
    if not seen and not faults:
        faults.append(Fault("empty_file", "The file holds no request.", param="input_file_id"))
    return faults


def _some(reading: Iterator[Line]) -> list[Line]:
    return [line for _, line in zip(range(AT_ONCE), reading, strict=False)]


def _checked(row: BatchRow, file: FileRow, log: BatchLog, faults: list[Fault], seen: set[str]) -> Iterator[Line]:
    number = 0
    try:
        for at, raw in log.blobs.lines(file):
            number += 1
            if number > MOST_LINES:
                faults.append(Fault("too_many_requests", f"The file has more than {MOST_LINES} lines.", number))
                return
            fault = _fault(raw, number, row.endpoint, seen)
            if fault is None:
                yield Line(number, _asked.decode(raw).custom_id, at, len(raw))
            elif len(faults) < MOST_FAULTS:
                faults.append(fault)
    except (InterlockError, OSError) as error:
        faults.append(Fault("invalid_file", str(error), number))


def _fault(raw: bytes, number: int, endpoint: str, seen: set[str]) -> Fault | None:
    try:
        asked = _asked.decode(raw)
    except UNREADABLE as error:
        return Fault("invalid_json_line", f"This line is no request: {error}", number)
    if asked.method != "POST":
        return Fault("invalid_method", "The method has to be POST.", number, "method")
    if asked.url != endpoint:
        return Fault("mismatched_url", f"The batch is for {endpoint}, this line for {asked.url}.", number, "url")
    if not asked.custom_id or len(asked.custom_id) > LONGEST_ID:
        return Fault("invalid_custom_id", f"custom_id has 1 to {LONGEST_ID} characters.", number, "custom_id")
    if asked.custom_id in seen:
        return Fault("duplicate_custom_id", f"custom_id {asked.custom_id!r} stands here twice.", number, "custom_id")
    seen.add(asked.custom_id)
    return None


# --- Outputs ---


async def write_outputs(row: BatchRow, log: BatchLog, now_ns: int, ttl_ns: int, *, why: str) -> BatchRow:
    """The file of answers and that of errors, each only where there is something in it. `why`: what became of lines without an answer."""
    if why:
        await _give_up(row, log, why)
        row = await log.counted(row)
    good = FileRow(
        f"file_{tail(row.id)}o",
        row.tenant,
        "batch_output",
        f"{row.id}_output.jsonl",
        0,
        now_ns,
        now_ns + ttl_ns,
        row.caller.user,
    )
    bad = structs.replace(good, id=f"file_{tail(row.id)}e", name=f"{row.id}_error.jsonl")
    if row.completed:
        await log.make_file(good, _written(row, log, ok=True))
        row = structs.replace(row, output_file=good.id)
    if row.failed:
        await log.make_file(bad, _written(row, log, ok=False))
        row = structs.replace(row, error_file=bad.id)
    return row


async def _give_up(row: BatchRow, log: BatchLog, why: str) -> None:
    code = "batch_cancelled" if why == "cancelled" else "batch_expired"
    reply = msgspec.json.encode({"code": code, "message": f"The batch was {why} before this line was asked."})
    after = 0
    while lines := await log.pending(row.id, after, AT_ONCE):
        await log.answered(row.id, [structs.replace(line, status=NOT_ASKED, reply=reply) for line in lines])
        after = lines[-1].line


NOT_ASKED = 999
"""Stands in the place of a status for lines that were never asked; their reply is the error."""


def _written(row: BatchRow, log: BatchLog, *, ok: bool) -> Iterator[bytes]:
    """The lines of one of both files, by line."""
    after = 0
    while lines := log.answers_now(row.id, after, AT_ONCE):
        yield b"".join([_output(row, line) for line in lines if (200 <= line.status <= 299) == ok])
        after = lines[-1].line


def _output(row: BatchRow, line: Line) -> bytes:
    request = f"batch_req_{tail(row.id)}_{line.line}"
    answer = {"status_code": line.status, "request_id": request, "body": Raw(line.reply)}
    asked = line.status != NOT_ASKED
    said = {
        "id": request,
        "custom_id": line.custom_id,
        "response": answer if asked else None,
        "error": None if asked else Raw(line.reply),
    }
    return msgspec.json.encode(said) + b"\n"
