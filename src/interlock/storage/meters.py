"""What a batch of calls adds to the hours' meters.

Above: writes. Below: rolls, core. Pure: values in, sums out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from interlock.core.events import Settled
from interlock.core.meters import metered

from .rolls import NS_PER_HOUR, Kinds

Counts = dict[tuple[int, str, str, str, str], int]
"""By hour, tenant, workflow, meter and label."""


def meter_sums(kinds: Kinds) -> list[tuple[int, str, str, str, str, int]]:
    """The parameters of `meters.merge`."""
    counts: Counts = {}
    for (key, _), calls in kinds.usual.items():
        _count(counts, key[:3], calls)
    for tenant, call in kinds.others:
        _count(counts, (call.started_ns // NS_PER_HOUR, tenant, call.caller.workflow), (call,))
    return [(*key, n) for key, n in counts.items()]


def _count(counts: Counts, where: tuple[int, str, str], calls: Sequence[Settled]) -> None:
    found = Counter([each for call in calls for each in metered(call)])
    for (meter, label, n), times in found.items():
        at = (*where, meter, label)
        counts[at] = counts.get(at, 0) + n * times
