"""Sheets of the flight journal: pages on which calls of one form stand as their numbers, some thirty to a page, with the form at its head.

Above: flight. Below: core.lots. A call takes some hundred bytes here instead of an event of kilobytes, and what is written for one call lies beside what was written for the one before.
Each half of a place carries a checksum, so that one that was cut off counts as it was before.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from zlib import crc32

import msgspec

from interlock.core.lots import TASK_BYTES, Brief, Form, Opened, answered, crashed

PAGE_BYTES = 4096
FORM_BYTES = 1024
PLACE_BYTES = 112
PLACES = (PAGE_BYTES - FORM_BYTES) // PLACE_BYTES
_OPEN = struct.Struct(f"<{TASK_BYTES}s4q")
_SETTLED = struct.Struct("<4q")
_TIME_BITS = 32
"""Of a stream, two times stand in one number: how long it took, and above that, how long its first piece; the number is negative then."""
_MARK = struct.Struct("<I")
_HALF = 72
"""Where in its place the second half begins."""
_FORM = struct.Struct("<II")
_OPEN_BYTES, _SETTLED_BYTES = _OPEN.size + _MARK.size, _SETTLED.size + _MARK.size
_EMPTY = bytes(_MARK.size)
_SEED = 0x5EE7


class Sheets:
    """The pages of one journal, from `begin` on. `put_open` is for one thread, `put_settled` and `clear` for whoever holds the place."""

    def __init__(self, memory: mmap.mmap, begin: int, pages: int) -> None:
        self._memory = memory
        self._unused = [begin + page * PAGE_BYTES for page in range(pages - 1, -1, -1)]
        self._free: dict[Form, list[int]] = {}
        """Places of each form; the one given back last is taken first."""
        self._pages: dict[Form, list[int]] = {}

    def put_open(self, form: Form, opened: Opened) -> int:
        """A place that says the call is open; 0 where there is none for it."""
        free = self._free.get(form)
        if not free:
            free = self._page(form)
        if not free or len(opened.task) != TASK_BYTES or not opened.task.isascii():
            return 0
        at = free.pop()
        task, *upper = opened
        data = _OPEN.pack(task.encode(), *upper)
        self._memory[at : at + _OPEN_BYTES] = data + _MARK.pack(crc32(data, _SEED) or 1)
        return at

    def put_settled(self, at: int, brief: Brief) -> None:
        """The call as it ended."""
        took = -(brief.first_us << _TIME_BITS | brief.duration_us) if brief.first_us else brief.duration_us
        data = _SETTLED.pack(took, brief.input, brief.output, brief.cost_nano_usd)
        at += _HALF
        self._memory[at : at + _SETTLED_BYTES] = data + _MARK.pack(crc32(data, _SEED) or 1)

    def clear(self, at: int) -> None:
        """The call is committed, or stands elsewhere in the journal; its place is kept from others until `give`."""
        memory = self._memory
        memory[at + _OPEN.size : at + _OPEN.size + _MARK.size] = _EMPTY
        memory[at + _HALF + _SETTLED.size : at + _HALF + _SETTLED.size + _MARK.size] = _EMPTY

    def give(self, form: Form, at: int) -> None:
        """The place, cleared, may be taken again."""
        self._free[form].append(at)

    def _page(self, form: Form) -> list[int]:
        """Free places of a form that has none left; none where no page is, or where the form does not fit on one."""
        if not self._unused:
            self._collect()
        written = _written(form)
        if not self._unused or len(written) > FORM_BYTES:
            return []
        begin = self._unused.pop()
        self._memory[begin : begin + len(written)] = written
        self._pages.setdefault(form, []).append(begin)
        places = self._free.setdefault(form, [])
        first = begin + FORM_BYTES
        places.extend(range(first + (PLACES - 1) * PLACE_BYTES, first - 1, -PLACE_BYTES))
        return places

    def _collect(self) -> None:
        """Takes back the pages of forms of which no call is open or waits."""
        idle = [form for form, pages in self._pages.items() if len(self._free[form]) == len(pages) * PLACES]
        for form in idle:
            del self._free[form]
            self._unused += self._pages.pop(form)


def events_of(page: bytes) -> Iterator[bytes]:
    """The events as JSON of the calls that stand on a page."""
    forms = _read(page)
    if forms is None:
        return
    for at in range(FORM_BYTES, FORM_BYTES + PLACES * PLACE_BYTES, PLACE_BYTES):
        begun = _half(page, at, _OPEN)
        if begun is None:
            continue
        task, started_ns, *upper = _OPEN.unpack(begun)
        opened = Opened(task.decode(), started_ns, *upper)
        ended = _half(page, at + _HALF, _SETTLED)
        if ended is None:
            yield crashed(forms[0], opened)
        else:
            took, into, out, cost = _SETTLED.unpack(ended)
            first_us, took_us = divmod(-took, 1 << _TIME_BITS) if took < 0 else (0, took)
            brief = Brief(opened.task, started_ns, took_us, into, out, cost, opened.cost_nano_usd, first_us)
            yield answered(forms[1], brief)


def _written(form: Form) -> bytes:
    """A form as a page begins."""
    data = zlib.compress(msgspec.json.encode((form.crashed.decode(), form.answered.decode())))
    return _FORM.pack(len(data), _mark(data)) + data


def _read(page: bytes) -> tuple[bytes, bytes] | None:
    size, mark = _FORM.unpack_from(page)
    data = page[_FORM.size : _FORM.size + size]
    if not 0 < size <= FORM_BYTES - _FORM.size or _mark(data) != mark:
        return None
    first, second = msgspec.json.decode(zlib.decompress(data), type=tuple[str, str])
    return first.encode(), second.encode()


def _half(page: bytes, at: int, of: struct.Struct) -> bytes | None:
    data = page[at : at + of.size]
    return data if _MARK.unpack_from(page, at + of.size)[0] == _mark(data) else None


def _mark(data: bytes) -> int:
    """A checksum that is never that of an empty half, nor that of a slot's."""
    return crc32(data, _SEED) or 1
