"""A Parquet file of plain columns: what analysis tools open, written without a library of a hundred megabytes.

Above: archive. Below: `zlib`. Only what the ledger's rows need: required columns of whole numbers and texts, one page for each column
of a row group, plain encoding, gzip. Source: https://github.com/apache/parquet-format (parquet.thrift, Encodings.md) and, for the
footer's notation, https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import BinaryIO, Literal, NamedTuple

Kind = Literal["int64", "text"]
MAGIC = b"PAR1"
_TYPES: dict[Kind, int] = {"int64": 2, "text": 6}
_REQUIRED, _UTF8 = 0, 0
_PLAIN, _RLE, _GZIP, _DATA_PAGE = 0, 3, 2, 0
_WBITS_GZIP = 31
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
"""Types of the compact protocol."""


class _Chunk(NamedTuple):
    """One column of one row group, as the footer tells of it."""

    name: str
    kind: Kind
    at: int
    rows: int
    plain_bytes: int
    packed_bytes: int


class ParquetWriter:
    """Row groups, then `close`, which writes the footer; a file without one is no Parquet file."""

    def __init__(self, file: BinaryIO, columns: Mapping[str, Kind], made_by: str) -> None:
        self._file = file
        self._columns = columns
        self._made_by = made_by
        self._groups: list[list[_Chunk]] = []
        self._at = file.write(MAGIC)

    def write(self, rows: Sequence[Sequence[int | str]]) -> None:
        """One row group; the values stand in the order of the columns."""
        if rows:
            columns = zip(*rows, strict=True)
            pairs = zip(self._columns.items(), columns, strict=True)
            self._groups.append([self._chunk(name, kind, values) for (name, kind), values in pairs])

    def close(self) -> None:
        footer = _footer(self._columns, self._groups, self._made_by)
        self._file.write(footer + struct.pack("<I", len(footer)) + MAGIC)

    def _chunk(self, name: str, kind: Kind, values: Sequence[int | str]) -> _Chunk:
        plain = _plain(kind, values)
        packer = zlib.compressobj(level=6, wbits=_WBITS_GZIP)
        packed = packer.compress(plain) + packer.flush()
        page = _struct(
            (1, _I32, _zigzag(_DATA_PAGE)),
            (2, _I32, _zigzag(len(plain))),
            (3, _I32, _zigzag(len(packed))),
            (5, _STRUCT, _page(len(values))),
        )
        at, size = self._at, len(page) + len(packed)
        self._at += self._file.write(page + packed)
        return _Chunk(name, kind, at, len(values), len(page) + len(plain), size)


def _plain(kind: Kind, values: Sequence[int | str]) -> bytes:
    if kind == "int64":
        return array("q", [int(value) for value in values]).tobytes()
    texts = [str(value).encode("utf-8", "replace") for value in values]
    return b"".join(chain.from_iterable((struct.pack("<I", len(text)), text) for text in texts))


def _page(rows: int) -> bytes:
    levels = ((3, _I32, _zigzag(_RLE)), (4, _I32, _zigzag(_RLE)))
    return _struct((1, _I32, _zigzag(rows)), (2, _I32, _zigzag(_PLAIN)), *levels)


def _footer(columns: Mapping[str, Kind], groups: Sequence[Sequence[_Chunk]], made_by: str) -> bytes:
    root = _struct((4, _BINARY, _text("ledger")), (5, _I32, _zigzag(len(columns))))
    schema = [root, *(_column(name, kind) for name, kind in columns.items())]
    rows = sum(group[0].rows for group in groups)
    return _struct(
        (1, _I32, _zigzag(1)),
        (2, _LIST, _list(_STRUCT, schema)),
        (3, _I64, _zigzag(rows)),
        (4, _LIST, _list(_STRUCT, [_group(group) for group in groups])),
        (6, _BINARY, _text(made_by)),
    )


def _column(name: str, kind: Kind) -> bytes:
    fields = [(1, _I32, _zigzag(_TYPES[kind])), (3, _I32, _zigzag(_REQUIRED)), (4, _BINARY, _text(name))]
    return _struct(*fields, *([(6, _I32, _zigzag(_UTF8))] if kind == "text" else []))


def _group(chunks: Sequence[_Chunk]) -> bytes:
    size = sum(chunk.plain_bytes for chunk in chunks)
    return _struct(
        (
            1,
            _LIST,
            _list(_STRUCT, [_struct((2, _I64, _zigzag(each.at)), (3, _STRUCT, _meta(each))) for each in chunks]),
        ),
        (2, _I64, _zigzag(size)),
        (3, _I64, _zigzag(chunks[0].rows)),
    )


def _meta(chunk: _Chunk) -> bytes:
    return _struct(
        (1, _I32, _zigzag(_TYPES[chunk.kind])),
        (2, _LIST, _list(_I32, [_zigzag(_PLAIN)])),
        (3, _LIST, _list(_BINARY, [_text(chunk.name)])),
        (4, _I32, _zigzag(_GZIP)),
        (5, _I64, _zigzag(chunk.rows)),
        (6, _I64, _zigzag(chunk.plain_bytes)),
        (7, _I64, _zigzag(chunk.packed_bytes)),
        (9, _I64, _zigzag(chunk.at)),
    )


# --- Thrift's compact protocol ----------------------------------------------------------------------------------------


def _struct(*fields: tuple[int, int, bytes]) -> bytes:
    """Fields by number, type and encoded value; the numbers grow by less than sixteen."""
    made = bytearray()
    last = 0
    for number, kind, value in fields:
        made.append((number - last) << 4 | kind)
        made += value
        last = number
    return bytes(made) + b"\x00"


def _list(kind: int, values: Sequence[bytes]) -> bytes:
    head = bytes([len(values) << 4 | kind]) if len(values) < 15 else bytes([0xF0 | kind]) + _varint(len(values))
    return head + b"".join(values)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _varint(len(encoded)) + encoded


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def write_all(
    file: BinaryIO, columns: Mapping[str, Kind], rows: Iterable[Sequence[int | str]], made_by: str, group: int = 5000
) -> int:
    """A whole file of `rows`, so many in one row group; returns how many there were."""
    writer = ParquetWriter(file, columns, made_by)
    some: list[Sequence[int | str]] = []
    total = 0
    for row in rows:
        some.append(row)
        total += 1
        if len(some) == group:
            writer.write(some)
            some = []
    writer.write(some)
    writer.close()
    return total
