"""Latency distributions that can be added up: counts in buckets that grow by 4 %, so a percentile is off by 2 % at most.

Above: storage keeps one per roll-up row and merges at write time; ledger and economics read percentiles. Below: nothing.
The form at rest is a run of (bucket, count) pairs as little-endian 32-bit integers, in the order of the buckets.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain

GROWTH = 1.04
"""Upper bound of a bucket ÷ its lower bound."""
_LOG_GROWTH = math.log(GROWTH)
_LARGEST_COUNT = 2**32 - 1
_BUCKET, _PAIR = 4, 8
"""Bytes."""

Counts = dict[int, int]
"""Bucket → how many values fell into it. Bucket 0 holds everything up to one microsecond."""


def bucket_of(duration_us: int) -> int:
    """The bucket that holds `duration_us`."""
    return 0 if duration_us <= 1 else math.ceil(math.log(duration_us) / _LOG_GROWTH)


def value_of(bucket: int) -> int:
    """Microseconds in the middle of a bucket: nowhere further than 2 % from what fell into it."""
    return 1 if bucket == 0 else round(2 * GROWTH**bucket / (1 + GROWTH))


def counted(durations_us: Iterable[int]) -> Counts:
    """The distribution of `durations_us`."""
    counts: Counts = {}
    for duration_us in durations_us:
        bucket = bucket_of(duration_us)
        counts[bucket] = counts.get(bucket, 0) + 1
    return counts


def merged(distributions: Iterable[Mapping[int, int]]) -> Counts:
    """All of them as one: nothing is lost by merging, in whatever order."""
    total: defaultdict[int, int] = defaultdict(int)
    for counts in distributions:
        for bucket, count in counts.items():
            total[bucket] += count
    return dict(total)


def packed(counts: Mapping[int, int]) -> bytes:
    """The form at rest."""
    pairs = sorted(counts.items())
    try:
        return array("I", chain.from_iterable(pairs)).tobytes()
    except OverflowError:
        return packed({bucket: min(count, _LARGEST_COUNT) for bucket, count in pairs})


def unpacked(blob: bytes) -> Counts:
    """The distribution that `packed` wrote."""
    pairs = array("I")
    pairs.frombytes(blob)
    return dict(zip(pairs[0::2], pairs[1::2], strict=True))


def summed(blobs: Iterable[bytes]) -> Counts:
    """What `packed` wrote, all of it as one."""
    pairs = array("I")
    pairs.frombytes(b"".join(blobs))
    total: defaultdict[int, int] = defaultdict(int)
    for bucket, count in zip(pairs[0::2], pairs[1::2], strict=True):
        total[bucket] += count
    return dict(total)


def added(ours: bytes, theirs: bytes) -> bytes:
    """Two of what `packed` wrote as one; it takes as long as `theirs`, the smaller one, has buckets."""
    if len(theirs) == _PAIR and (at := ours.find(theirs[:_BUCKET])) >= 0 and not at % _PAIR:
        count = int.from_bytes(ours[at + _BUCKET : at + _PAIR], "little") + int.from_bytes(theirs[_BUCKET:], "little")
        if count <= _LARGEST_COUNT:  # one bucket, which is there: what a call adds that is written by itself
            return b"%b%b%b" % (ours[: at + _BUCKET], count.to_bytes(4, "little"), ours[at + _PAIR :])
    pairs, more = array("I"), array("I")
    pairs.frombytes(ours)
    more.frombytes(theirs)
    buckets, at = pairs[0::2], 0
    for bucket, count in zip(more[0::2], more[1::2], strict=True):
        at = bisect_left(buckets, bucket, at)
        if at < len(buckets) and buckets[at] == bucket:
            pairs[2 * at + 1] = min(pairs[2 * at + 1] + count, _LARGEST_COUNT)
        else:
            buckets.insert(at, bucket)
            pairs[2 * at : 2 * at] = array("I", (bucket, count))
    return pairs.tobytes()


def percentile_us(counts: Mapping[int, int], share: float) -> int | None:
    """The value (µs) below which `share` (0–1) of all values lie; `None` when there are none."""
    total = sum(counts.values())
    if not total:
        return None
    rank, seen = max(1, math.ceil(share * total)), 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            return value_of(bucket)
    return None
