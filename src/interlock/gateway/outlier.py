"""Outlier ejection: whether a deployment does so much worse than the others of its tier that it is left out for a while. Pure functions.

Above: attempt. Below: terms. After Envoy's outlier detection (envoyproxy.io, "Outlier detection"): judged against its peers, since a bad hour of
all of them is no outlier; out for longer each time; never more than a share of them at once. A breaker sees a deployment that fails nearly
always; this sees the one that fails a third of its calls, or answers five times slower, while its peers are well.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

from msgspec import Struct

from .terms import Ejecting


class Seen(Struct, frozen=True):
    """What is known of one deployment."""

    calls: int
    failure_share: float
    latency_s: float | None
    out: bool = False
    """Already left out."""


def judge(one: Seen, peers: Sequence[Seen], ejecting: Ejecting) -> str:
    """Why `one` should be left out for a while; empty when it should not."""
    known = [each for each in peers if each.calls >= ejecting.least_calls and not each.out]
    out = sum(each.out for each in peers)
    if one.calls < ejecting.least_calls or not known or (out + 1) > ejecting.most_share * (len(peers) + 1):
        return ""
    others = fmean(each.failure_share for each in known)
    if one.failure_share - others >= ejecting.worse_by:
        return f"{one.failure_share:.0%} of its calls failed, {others:.0%} of its peers'"
    times = [each.latency_s for each in known if each.latency_s]
    if times and one.latency_s and one.latency_s > ejecting.slower_by * median(times):
        return f"it takes {one.latency_s:.2f} s, its peers {median(times):.2f} s"
    return ""


def out_for_s(times_before: int, ejecting: Ejecting) -> float:
    """Seconds that it is left out."""
    return ejecting.seconds * min(10, times_before + 1)
