"""Latency sketches as they travel: as pairs to the server, and back as what `latency_told` gives.

Above: this folder's store and writes. Below: core. At rest a sketch is a list of counts that begins with its first bucket; before
`migrations/0010_sketches_kept.sql` it was JSON, and both are read here, since that script runs while processes work. What `array_send` gives is
big-endian: dimensions, flags, type, then length and first place, then a size before each number.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from itertools import chain

import msgspec

from interlock.core.sketch import Counts, merged

_FIRST, _COUNTS = 4, 6
"""Where in a told list its first bucket stands, and its first count."""
_json = msgspec.json.Decoder(dict[int, int])


def pairs_of(counts: Mapping[int, int]) -> list[int]:
    """Buckets and counts in turns, in the order of the buckets."""
    return list(chain.from_iterable(sorted(counts.items())))


def sketch_of(told: bytes) -> Counts:
    """One sketch."""
    if told[:1] == b"{":
        return _json.decode(told)
    first, counts = _dense(told)
    return {bucket: n for bucket, n in enumerate(counts, first) if n}


def sketches_of(tolds: Sequence[bytes]) -> Counts:
    """Several as one: added up place by place, which takes a tenth of the time of adding up pairs."""
    if any(told[:1] == b"{" for told in tolds):
        return merged(map(sketch_of, tolds))
    dense = [each for each in map(_dense, tolds) if each[1]]
    if not dense:
        return {}
    begin = min(first for first, _ in dense)
    end = max(first + len(counts) for first, counts in dense)
    rows = [[0] * (first - begin) + counts.tolist() + [0] * (end - first - len(counts)) for first, counts in dense]
    return {bucket: n for bucket, n in enumerate(map(sum, zip(*rows, strict=True)), begin) if n}


def _dense(told: bytes) -> tuple[int, array[int]]:
    """The first bucket, and the counts from there on."""
    numbers = array("i", told)
    if sys.byteorder == "little":
        numbers.byteswap()
    return (numbers[_FIRST], numbers[_COUNTS::2]) if numbers[0] else (0, numbers[:0])
