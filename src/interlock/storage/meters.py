"""What a batch of calls and questions adds to the hours' meters.

Above: writes. Below: rolls, core. Pure: values in, sums out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import structs

from interlock.core.events import Settled
from interlock.core.meters import Meter, asked, context_of, ended, is_plain, metered
from interlock.core.money import Usage

from .rolls import NS_PER_HOUR, Kinds, RollKey

Counts = dict[tuple[int, str, str, str, str], int]
"""By hour, tenant, workflow, meter and label."""


class Meters:
    """What is counted of one batch."""

    def __init__(self) -> None:
        self._counts: Counts = {}

    def usual(self, key: RollKey, calls: Sequence[Settled]) -> None:
        """Counts calls of one kind."""
        _count(self._counts, key[:3], calls)

    def rows(self, kinds: Kinds) -> list[tuple[int, str, str, str, str, int]]:
        """The parameters of `meters.merge`: what was counted, and what else there is."""
        counts = self._counts
        for key, _, lot in kinds.lots:
            for length, n in Counter([brief.input for brief in lot.briefs]).items():
                _count(counts, key[:3], (structs.replace(lot.form.sample, usage=Usage(input=length)),), n)
        for tenant, call in kinds.others:
            _count(counts, (call.started_ns // NS_PER_HOUR, tenant, call.caller.workflow), (call,))
        for hour, tenant, question in kinds.asked:
            meter, label, n = asked(question)
            at = (hour, tenant, question.workflow, meter, label)
            counts[at] = counts.get(at, 0) + n
        for hour, tenant, end in kinds.ended:
            for meter, label, n in ended(end):
                at = (hour, tenant, end.workflow, meter, label)
                counts[at] = counts.get(at, 0) + n
        return [(*key, n) for key, n in counts.items()]


def _count(counts: Counts, where: tuple[int, str, str], calls: Sequence[Settled], of_each: int = 1) -> None:
    found: dict[tuple[Meter, str, int] | None, int] = {}
    for call in calls:
        if is_plain(call):
            each = context_of(call)
            found[each] = found.get(each, 0) + 1
        else:
            for each in metered(call):
                found[each] = found.get(each, 0) + 1
    for each, times in found.items():
        if each is None:
            continue
        meter, label, n = each
        at = (*where, meter, label)
        counts[at] = counts.get(at, 0) + n * times * of_each
