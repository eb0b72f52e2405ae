"""Reads the Parquet files that the store writes, by the format's own words: the footer by Thrift's compact protocol, then the pages."""

import struct
import zlib
from pathlib import Path
from typing import Any


class _Compact:
    """Thrift's compact protocol, as far as a footer needs it: structs become dicts by field number."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def varint(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def value(self, kind):
        if kind in (5, 6):
            number = self.varint()
            return number >> 1 ^ -(number & 1)
        if kind == 8:
            size = self.varint()
            self.at += size
            return self.data[self.at - size : self.at]
        if kind == 9:
            head = self.data[self.at]
            self.at += 1
            size = head >> 4 if head >> 4 != 15 else self.varint()
            return [self.value(head & 15) for _ in range(size)]
        assert kind == 12
        return self.struct()

    def struct(self):
        found, number = {}, 0
        while head := self.data[self.at]:
            self.at += 1
            number += head >> 4
            found[number] = self.value(head & 15)
        self.at += 1
        return found


def rows_of(path: Path) -> list[dict[str, int | str]]:
    """Every row of the file, by column."""
    data = path.read_bytes()
    assert data[:4] == data[-4:] == b"PAR1"
    size = struct.unpack("<I", data[-8:-4])[0]
    footer = _Compact(data, len(data) - 8 - size).struct()
    names = [column[4].decode() for column in footer[2][1:]]
    rows = []
    for group in footer[4]:
        columns = [_values(data, chunk[3]) for chunk in group[1]]
        rows += [dict(zip(names, each, strict=True)) for each in zip(*columns, strict=True)]
    assert footer[3] == len(rows)
    return rows


def _values(data: bytes, meta: dict[int, Any]) -> list[int | str]:
    reader = _Compact(data, meta[9])
    page = reader.struct()
    plain = zlib.decompress(data[reader.at : reader.at + page[3]], wbits=31)
    assert len(plain) == page[2]
    if meta[1] == 2:
        return list(struct.unpack(f"<{page[5][1]}q", plain))
    texts, at = [], 0
    for _ in range(page[5][1]):
        (size,) = struct.unpack_from("<I", plain, at)
        texts.append(plain[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return texts
