"""The semantic cache's entries and records as bytes: vectors in half precision, 768 bytes each.

Above: `app`, which stores them. Below: semantic, promise_kept, numpy.
"""

from __future__ import annotations

import msgspec
import numpy as np
from msgspec import Struct

from .minilm import Vectors
from .promise_kept import Record, Terms
from .semantic import Entry


class _Row(Struct, frozen=True, array_like=True):
    entry: Entry
    vector: bytes


_encoder = msgspec.msgpack.Encoder()
_rows = msgspec.msgpack.Decoder(_Row)
_records = msgspec.msgpack.Decoder(Record)


def packed_entry(entry: Entry, vector: Vectors) -> bytes:
    """An entry with its question's vector."""
    return _encoder.encode(_Row(entry, vector.astype(np.float16).tobytes()))


def entry_of(row: bytes) -> tuple[Entry, Vectors]:
    """The entry again, its vector of unit length. Raises msgspec.MsgspecError when the bytes are of another version."""
    found = _rows.decode(row)
    vector = np.frombuffer(found.vector, np.float16).astype(np.float32)
    return found.entry, vector / np.float32(np.linalg.norm(vector))


def packed_record(record: Record) -> bytes:
    """What a scope has learned."""
    return _encoder.encode(record)


def record_of(state: bytes, terms: Terms | None = None) -> Record:
    """A record again, under today's terms where they are given. Raises msgspec.MsgspecError when the bytes are of another version.

    Evidence is about the budget it was gathered for: with another budget the scope begins in the shadow again, and keeps what it compared.
    """
    found = _records.decode(state)
    if terms is None:
        return found
    if (found.terms.error_budget, found.terms.trusted) != (terms.error_budget, terms.trusted):
        begun = Record.begun(terms)
        begun.compared, begun.comparisons, begun.weights = found.compared, found.comparisons, found.weights
        return begun
    found.terms = terms
    return found
