"""Days and times of a task: those that the request gives, and those of trusted fields. Above: flow_known. Below: flow_values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from . import flow_values as values
from .flow_terms import Field

_USUAL_MINUTES = 60
"""How long something takes at most of which the request says only when it begins."""
_DAY_MINUTES = 24 * 60 - 1
_WEEKS_DAYS = 45


class Times:
    """What a day, a start or an end may be."""

    def __init__(self, request: str) -> None:
        self._dates = set(values.dates(request))
        self._years = set(values.years(request))
        self._length_minutes = values.length_minutes(request)
        self._clocks = set(values.clocks(request))
        self._busy: set[tuple[str, str]] = set()
        self._newest = ""

    def add(self, text: str) -> None:
        """Takes in the days and years of a trusted text."""
        self._dates.update(values.dates(text))
        self._years.update(values.years(text))

    def learn(self, field: Field, holders: Sequence[Any], last: str) -> None:
        """Takes in what stands where (`busy`), or the days of records (`day`)."""
        if field.kind == "busy":
            self._busy.update(
                (_minute(values.one(each, last)), _minute(values.one(each, field.label))) for each in holders
            )
            return
        days = [str(values.one(each, last))[:10] for each in holders]
        self._newest = max([self._newest, *(each for each in days if values.well_formed("date", each))])

    def is_taken(self, start: Any) -> bool:
        """Whether something stands at that time already."""
        wanted = str(start)[:16].replace("T", " ")
        return any(begin <= wanted < end for begin, end in self._busy)

    def is_soon(self, value: str) -> bool:
        """Whether a day lies in the weeks after the newest day that a field of kind `day` told; any day where none did."""
        return values.well_formed("day", value) and (
            not self._newest or 0 <= values.days_between(self._newest, value) <= _WEEKS_DAYS
        )

    def ends_well(self, start: Any, end: Any) -> bool:
        """Whether an end lies as long after its start as the request says; where it says nothing, on the same day and later."""
        if start is None or end in (None, ""):
            return True
        length = values.minutes_between(str(start), str(end))
        if length is None or length <= 0:
            return False
        if self._length_minutes:
            return length in self._length_minutes
        if self._clocks:
            return self.is_start(str(end)) or 0 < length <= _USUAL_MINUTES
        return length == _DAY_MINUTES

    def is_date(self, text: str) -> bool:
        found = set(values.dates(text))
        years = set(values.years(text))
        return (
            bool(found)
            and found <= self._dates
            and (years <= self._years if self._years else all(each.startswith("20") for each in years))
        )

    def is_day(self, text: str) -> bool:
        return values.well_formed("day", text) and self.is_date(text)

    def is_start(self, text: str) -> bool:
        return self.is_date(text) and set(values.clocks(text)) <= (self._clocks or {(0, 0)})

    def is_part_of_date(self, word: str) -> bool:
        return (
            word.isdecimal()
            and len(word) <= 2
            and Counter(each for pair in self._dates for each in pair)[int(word)] > 0
        )


def _minute(time: Any) -> str:
    return str(time)[:16].replace("T", " ")
