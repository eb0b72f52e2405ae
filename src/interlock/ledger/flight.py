"""The flight journal: calls that are open or not yet committed, kept where a killed process leaves them behind.

Above: record. Below: sheets, core. One file per process, `STORE.flight2.PID-START`, mapped into memory and locked while the process
lives. Each slot has two halves: the event that is true if the process dies now, and the event as the call really ended. Calls of a form (`core.lots`) stand on the sheets behind
the slots, and hold their slot's number alone. The kernel keeps the pages of a killed process, so whatever was put in is found at the next start; a loss of power is another matter.
The whole file is allocated at once: a hole that cannot be filled on a full disk would kill the process.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from interlock.core.errors import StoreUnavailable
from interlock.core.events import Attempt, Settled
from interlock.core.lots import Brief, Form, Opened, answered, crashed
from interlock.core.money import Usage

from .sheets import PAGE_BYTES, Sheets, events_of

OPEN_BYTES = 1024
SLOT_BYTES = PAGE_BYTES
SLOTS_PER_SHEET = 8
KINDS = ("flight", "flight2")
"""Journals without sheets, of earlier versions, are settled too; one that still runs beside us does not take ours for its own, of which it could read a part."""
FEWEST_SHEETS = 8
_HEAD = struct.Struct("<II")
"""Length and mark of what follows; a length of zero is an empty half."""
_END = 64
"""Bytes at either end that are marked: a checksum over all of it would cost as much as encoding it."""
_TEXT_CAP = 64

_encoder = msgspec.json.Encoder(enc_hook=str)


class Landed(Struct, frozen=True, array_like=True):
    """One call as a slot holds it: a JSON list of the event and, where there is any, its content."""

    settled: Settled
    content: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(Landed)
_event = msgspec.json.Decoder(Settled)
_CLEAR = bytes(SLOT_BYTES)


class Flight:
    """The journal of one process. `put_open`, `put_settled` and `clear` each touch one slot; no two threads share a slot."""

    def __init__(self, path: Path, slots: int) -> None:
        """Takes `path`, or `path-1`, `path-2`, … where another journal of this process stands there.

        Raises:
            StoreUnavailable: the file cannot be allocated, locked or mapped.
        """
        self.slots = slots
        self._with_content: set[int] = set()
        self._on_sheets: dict[int, tuple[Form, int]] = {}
        """Form and place of the slots whose calls stand on a sheet."""
        sheets = max(FEWEST_SHEETS, slots // SLOTS_PER_SHEET)
        size = (slots + sheets) * SLOT_BYTES
        self.path, self._file = _own_file(path)
        try:
            _allocate(self._file, size)
            self._map = mmap.mmap(self._file, size)
        except OSError as error:
            self.path.unlink(missing_ok=True)
            os.close(self._file)
            raise _unusable(self.path, error) from error
        self._sheets = Sheets(self._map, slots * SLOT_BYTES, sheets)

    def put_open(self, slot: int, if_crashed: Settled) -> None:
        """Takes a slot into use."""
        data = _fitting(if_crashed, encode(if_crashed), b"", OPEN_BYTES - _HEAD.size)
        self._put(slot * SLOT_BYTES, data)

    def put_settled(self, slot: int, settled: Settled, encoded: bytes, body: bytes) -> None:
        """The call as it ended, which `encoded` holds too; content that does not fit is left out here (the store gets it all the same)."""
        data = _fitting(settled, encoded, body, SLOT_BYTES - OPEN_BYTES - _HEAD.size)
        if body:
            self._with_content.add(slot)
        self._put(slot * SLOT_BYTES + OPEN_BYTES, data)
        if (on_sheet := self._on_sheets.get(slot)) is not None:
            self._sheets.clear(on_sheet[1])

    def note_open(self, slot: int, form: Form, opened: Opened) -> None:
        """As `put_open`, of a call of a form, whose events fit."""
        at = self._sheets.put_open(form, opened)
        if at:
            self._on_sheets[slot] = form, at
        else:
            self._put(slot * SLOT_BYTES, b"[%b]" % crashed(form.crashed, opened))

    def note_settled(self, slot: int, form: Form, brief: Brief) -> None:
        """As `put_settled`, of a call of a form."""
        on_sheet = self._on_sheets.get(slot)
        if on_sheet is None:
            self._put(slot * SLOT_BYTES + OPEN_BYTES, b"[%b]" % answered(form.answered, brief))
        else:
            self._sheets.put_settled(on_sheet[1], brief)

    def clear(self, slot: int) -> None:
        """The slot's call is committed. Content goes with it: what is deleted later must not stay behind here."""
        on_sheet = self._on_sheets.pop(slot, None)
        if on_sheet is not None:
            self._sheets.clear(on_sheet[1])
            self._sheets.give(*on_sheet)
        at = slot * SLOT_BYTES
        if slot in self._with_content:
            self._with_content.discard(slot)
            self._map[at : at + SLOT_BYTES] = _CLEAR
        elif on_sheet is None:
            _HEAD.pack_into(self._map, at, 0, 0)
            _HEAD.pack_into(self._map, at + OPEN_BYTES, 0, 0)

    def close(self, *, remove: bool) -> None:
        """Lets go of the file; `remove` when every slot is clear."""
        self._map.close()
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def _put(self, at: int, data: bytes) -> None:
        # Content first, then the head that makes it count: a kill in between leaves the half as it was, empty.
        self._map[at + _HEAD.size : at + _HEAD.size + len(data)] = data
        _HEAD.pack_into(self._map, at, len(data), _mark(data))


def flight_path(store: Path, owner: str) -> Path:
    """Where the process `owner` keeps its journal beside the store's file."""
    return store.with_name(f"{store.name}.{KINDS[-1]}.{'-'.join(owner.split(':')[-2:])}")


def left_behind(store: Path) -> list[Path]:
    """Journals beside `store`, of whatever process."""
    return sorted(path for kind in KINDS for path in store.parent.glob(f"{store.name}.{kind}.*"))


class Wreck:
    """A journal whose process is gone, held under lock so that only one process settles it."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file

    @classmethod
    def find(cls, path: Path) -> Wreck | None:
        """The journal at `path` when its process is gone, else `None`."""
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if not _locked(path, file):
            os.close(file)
            return None
        return cls(path, file)

    def calls(self) -> Iterator[Landed]:
        """Every call that was open or not known to be committed, by slot."""
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        pages = [data[at : at + SLOT_BYTES] for at in range(0, len(data) - SLOT_BYTES + 1, SLOT_BYTES)]
        seen: set[str] = set()
        for page in pages:
            found = _read(page, OPEN_BYTES, SLOT_BYTES - OPEN_BYTES) or _read(page, 0, OPEN_BYTES)
            if found is not None:
                seen.add(found.settled.call)
                yield found
        # A call that began on a sheet and ended otherwise may stand at both places, and the slot has its end.
        landed = [_event.decode(event) for page in pages for event in events_of(page)]
        yield from (Landed(event) for event in landed if event.call not in seen)

    def close(self, *, remove: bool) -> None:
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._file)


class FreeSlots:
    """Which slots are free; the one given back last is taken first, so that few pages are ever touched."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = list(range(count - 1, -1, -1))

    def take(self) -> int | None:
        try:
            return self._free.pop()  # one step of the interpreter, as `extend` is: threads need no lock
        except IndexError:
            return None

    def give(self, slots: list[int]) -> None:
        self._free.extend(slots)

    @property
    def used(self) -> int:
        return self.count - len(self._free)


def _own_file(path: Path) -> tuple[Path, int]:
    """A new file under lock. Another process may be clearing up beside us, so what we hold must still be what stands there."""
    for number in range(100):
        mine = path if number == 0 else path.with_name(f"{path.name}-{number}")
        try:
            file = os.open(mine, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise _unusable(mine, error) from error
        if _locked(mine, file):
            return mine, file
        os.close(file)
    raise _unusable(path, OSError("a hundred journals of this process stand there already"))


def _allocate(file: int, size: int) -> None:
    """Gives the file its disk blocks now, by writing them where the system has no call for it."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    for at in range(0, size, SLOT_BYTES):
        os.pwrite(file, bytes(SLOT_BYTES), at)


def _locked(path: Path, file: int) -> bool:
    """Whether the open `file` is now ours alone and still the one at `path`."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(file).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _unusable(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path}: the journal of open calls could not be made: {error}.",
        hint="Free space on that disk, or see that this user may write there.",
    )


def _read(data: bytes, at: int, size: int) -> Landed | None:
    length, checksum = _HEAD.unpack_from(data, at)
    if not 0 < length <= size - _HEAD.size:
        return None
    body = data[at + _HEAD.size : at + _HEAD.size + length]
    # The whole checksum is what earlier versions wrote, and their journals may still be found.
    return _decoder.decode(body) if checksum in (_mark(body), zlib.crc32(body)) else None


def _mark(data: bytes) -> int:
    """Tells a half that was cut off, or that a loss of power left in parts of two calls: the ids stand in front, what was said at the end."""
    return zlib.crc32(data[-_END:], zlib.crc32(data[:_END]))


def encode(settled: Settled) -> bytes:
    """The event as JSON, once for the journal and the store."""
    return _encoder.encode(settled)


def encode_content(content: dict[str, Any] | None) -> bytes:
    """Content as JSON; empty where there is none, and where JSON cannot hold it: the store writes that in its own way."""
    try:
        return b"" if content is None else _encoder.encode(content)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return b""


def _fitting(settled: Settled, encoded: bytes, body: bytes, room: int) -> bytes:
    """The call in at most `room` bytes: content goes first, then prose; never place or money."""
    data = b"[%b,%b]" % (encoded, body) if body else b"[%b]" % encoded
    if len(data) <= room:
        return data
    for shorter in _shorter(settled):
        data = _encoder.encode(Landed(shorter))
        if len(data) <= room:
            return data
    raise ValueError(f"call {settled.call} of task {settled.caller.task}: its ids alone exceed {room} bytes")


def _shorter(settled: Settled) -> Iterator[Settled]:
    yield settled
    bare = structs.replace(settled, reasons=(), message=settled.message[:_TEXT_CAP])
    yield bare
    yield structs.replace(bare, attempts=tuple(structs.replace(a, message="") for a in bare.attempts), escalations=())
    summed = structs.replace(bare, attempts=_summed(bare), escalations=())
    yield summed
    # What callers write themselves may be of any length; whom the money belongs to is left whole.
    yield _capped(summed, _TEXT_CAP)
    yield structs.replace(_capped(summed, _TEXT_CAP // 8), private={}, signals=())


def _capped(settled: Settled, most: int) -> Settled:
    """At most so many characters of each text; a character may take six bytes as JSON. Labels bind texts, of which none is left here."""
    return structs.replace(
        settled,
        caller=structs.replace(settled.caller, user=settled.caller.user[:most], labels=()),
        name=settled.name[:most],
        deployment=settled.deployment[:most],
        error=settled.error[:most],
    )


def _summed(settled: Settled) -> tuple[Attempt, ...]:
    """At most two attempts instead of all: what was simulated and what was not must stay apart; the rest is sums."""
    if all(attempt.simulated == settled.simulated for attempt in settled.attempts):
        return ()
    other = [attempt for attempt in settled.attempts if attempt.simulated != settled.simulated]
    usage, cost = Usage(), 0
    for attempt in other:
        usage, cost = usage + attempt.usage, cost + attempt.cost_nano_usd
    return (structs.replace(other[-1], usage=usage, cost_nano_usd=cost, message=""),)
