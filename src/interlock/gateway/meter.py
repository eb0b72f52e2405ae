"""One counter of one limit: its current window, what is used and reserved in it, and what still fits.

Above: quota. Below: `core.limits`. What was reserved and what was used stand in one number, so that settling only puts the truth
in the estimate's place, and a process that dies leaves its estimates standing, as its ledger does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from interlock.core.limits import CONCURRENCY, GRAINS, NOTHING, Cells, Limit, Standing, Window, tag_of, window_at
from interlock.core.time import NS_PER_S

from .reached import RUNNING_RETRY_S

AMOUNTS_AT = 1
"""Of a row: the tag comes first."""


class NoCells:
    """Counts of a process that counts alone and forgets them at its end."""

    def __init__(self) -> None:
        self.values = memoryview(bytearray(64)).cast("q")
        self.alone = True

    def claim(self, tag: int, until_ns: int, now_ns: int) -> int:
        return 0

    def find(self, tag: int) -> int:
        return 0

    def release(self, tag: int) -> None:
        return

    def elsewhere(self, tag: int, place: int, *, running: bool) -> int:
        return 0


class Span:
    """One window of a meter. What stands in `values` counts, so two of the same window agree."""

    __slots__ = ("at", "places", "shared", "tag", "values", "window")

    def __init__(
        self, cells: Cells, limit: Limit, subject: str, window: Window, now_ns: int, *, fresh: bool = True
    ) -> None:
        """`fresh`: it may still be counted in, so it needs a row."""
        self.window = window
        self.places = tuple(place for place, _ in limit.caps)
        self.tag = tag_of(limit, subject, window.number)
        row = cells.claim(self.tag, window.counts_until_ns, now_ns) if fresh else cells.find(self.tag)
        self.shared = row > 0
        self.values: memoryview | list[int] = cells.values if row else [self.tag, *NOTHING]
        self.at = row + AMOUNTS_AT
        """Of the first amount in `values`."""

    def add(self, amounts: Sequence[int], times: int = 1) -> None:
        """Counts `amounts`."""
        values, at = self.values, self.at
        for place in self.places:
            values[at + place] += times * amounts[place]

    def __getitem__(self, place: int) -> int:
        """What this process has used and reserved of one amount."""
        return self.values[self.at + place] if self.values[self.at - AMOUNTS_AT] == self.tag else 0


class Meter:
    """Of one limit and one subject."""

    __slots__ = ("caps", "cells", "ends_ns", "limit", "now", "past", "running", "spans", "subject", "used_at_ns")

    def __init__(self, cells: Cells, limit: Limit, subject: str, now_ns: int) -> None:
        self.limit = limit
        self.subject = subject
        self.cells = cells
        self.caps = limit.caps
        self.running = limit.period is None
        self.spans: deque[Span] = deque()
        """Parts of a rolling period before the present one that still count."""
        self.past = list(NOTHING)
        """Their sum, those of other processes included; renewed when a window ends and before anybody is refused."""
        self.used_at_ns = now_ns
        self.now = Span(cells, limit, subject, window_at(limit, now_ns), now_ns)
        self.ends_ns = self.now.window.ends_ns
        if limit.rolling:
            self._remember(now_ns)

    def turn(self, now_ns: int) -> Span:
        """Goes on to the window of `now_ns`, and returns it."""
        self.used_at_ns = now_ns
        before, self.now = self.now, Span(self.cells, self.limit, self.subject, window_at(self.limit, now_ns), now_ns)
        self.ends_ns = self.now.window.ends_ns
        if self.limit.rolling:
            self.spans.append(before)
            self._remember(now_ns)
        return self.now

    def renew(self, now_ns: int) -> None:
        """Adds up anew what the parts before the present one hold."""
        spans = self.spans
        while spans and spans[0].window.counts_until_ns <= now_ns:
            spans.popleft()
        if self.limit.rolling:
            for place, _ in self.caps:
                self.past[place] = sum(span[place] + self._elsewhere(span, place) for span in spans)

    def lacking(self, ask: Sequence[int], *, held: bool, alone: bool) -> int:
        """The place of the first amount that does not fit, or -1. `held`: the ask is in the count already; `alone`: only
        what this process has counted is looked at.
        """
        now, past = self.now, self.past
        for place, most in self.caps:
            total = past[place] + now[place]
            if not held:
                total += ask[place]
            if not alone:
                total += self._elsewhere(self.now, place)
            if total > most and ask[place]:
                return place
        return -1

    def used(self, place: int) -> int:
        """Used and reserved, by everybody."""
        return self.past[place] + self.now[place] + self._elsewhere(self.now, place)

    def standing(self, place: int, asked: int, now_ns: int) -> Standing:
        """How it stands, for whoever is told no."""
        most = dict(self.caps)[place]
        return Standing(self.limit, place, self.used(place), most, asked, self.reset_s(now_ns), now_ns)

    def reset_s(self, now_ns: int) -> float:
        """Seconds until something comes free again."""
        if self.running:
            return RUNNING_RETRY_S
        first = next((span for span in self.spans if any(span[place] for place, _ in self.caps)), self.now)
        return max(0.0, (first.window.counts_until_ns - now_ns) / NS_PER_S)

    def left(self) -> list[int | None]:
        """What may still be reserved, by place; `None` where nothing limits it."""
        left: list[int | None] = [None] * len(NOTHING)
        for place, most in self.caps:
            left[place] = max(0, most - self.used(place))
        return left

    def over(self, now_ns: int) -> bool:
        """Nothing is counted any more: its time is over, or nothing is under way."""
        return not self.now[CONCURRENCY] if self.running else now_ns >= self.now.window.counts_until_ns

    def _elsewhere(self, span: Span, place: int) -> int:
        return 0 if self.cells.alone else self.cells.elsewhere(span.tag, place, running=self.running)

    def _remember(self, now_ns: int) -> None:
        """A span for each part of the period before the present one, also where only other processes or a forerunner counted."""
        spans, last = self.spans, self.now.window
        have = spans[-1].window.number if spans else -1
        grain_ns = last.ends_ns // (last.number + 1)
        for number in range(max(have + 1, last.number - GRAINS), last.number):
            window = window_at(self.limit, number * grain_ns)
            spans.append(Span(self.cells, self.limit, self.subject, window, now_ns, fresh=False))
        self.renew(now_ns)
