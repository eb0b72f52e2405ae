"""Reads the Parquet files that `parquet` writes, and no others: to write them anew without what was erased.

Above: archive_erase. Below: `zlib`. Sources as there.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, cast

from interlock.core.errors import StoreUnavailable

from .parquet import MAGIC

Value = int | str
Fields = dict[int, Any]
_GZIP = 31


class _Compact:
    """Thrift's compact protocol, as far as a footer needs it: structs become dicts by field number."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self.at = data, at

    def fields(self) -> Fields:
        found: Fields = {}
        number = 0
        while head := self._data[self.at]:
            self.at += 1
            number += head >> 4
            found[number] = self._value(head & 15)
        self.at += 1
        return found

    def _value(self, kind: int) -> Any:
        if kind in (5, 6):
            number = self._varint()
            return number >> 1 ^ -(number & 1)
        if kind == 8:
            size = self._varint()
            self.at += size
            return self._data[self.at - size : self.at]
        if kind == 9:
            head = self._data[self.at]
            self.at += 1
            size = head >> 4 if head >> 4 != 15 else self._varint()
            return [self._value(head & 15) for _ in range(size)]
        if kind == 12:
            return self.fields()
        raise ValueError(f"a field of kind {kind}, which we never write")

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value


def read_all(path: Path) -> tuple[list[str], list[list[Value]]]:
    """The names of the columns, and every row.

    Raises:
        StoreUnavailable: it cannot be read, or is none of ours.
    """
    try:
        return _read(path.read_bytes())
    except (OSError, ValueError, KeyError, IndexError, struct.error, zlib.error) as error:
        raise StoreUnavailable(
            f"{path}: is no Parquet file of ours, or cannot be read: {error}",
            hint="Look at it by hand; nothing was changed.",
        ) from error


def _read(data: bytes) -> tuple[list[str], list[list[Value]]]:
    if not (data[:4] == data[-4:] == MAGIC):
        raise ValueError("it does not begin and end as one")
    (size,) = struct.unpack("<I", data[-8:-4])
    footer = _Compact(data, len(data) - 8 - size).fields()
    names = [cast("bytes", column[4]).decode() for column in footer[2][1:]]
    rows: list[list[Value]] = []
    for group in footer[4]:
        columns = [_column(data, chunk[3]) for chunk in group[1]]
        rows += [list(row) for row in zip(*columns, strict=True)]
    if footer[3] != len(rows):
        raise ValueError(f"it says {footer[3]} rows and has {len(rows)}")
    return names, rows


def _column(data: bytes, meta: Fields) -> list[Value]:
    page_reader = _Compact(data, meta[9])
    page = page_reader.fields()
    plain = zlib.decompress(data[page_reader.at : page_reader.at + page[3]], wbits=_GZIP)
    count: int = page[5][1]
    if meta[1] == 2:
        return list(struct.unpack(f"<{count}q", plain))
    texts: list[Value] = []
    at = 0
    for _ in range(count):
        (size,) = struct.unpack_from("<I", plain, at)
        texts.append(plain[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return texts
