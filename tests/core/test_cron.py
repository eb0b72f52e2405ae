"""When schedules come round: the fields of crontab, in UTC."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.cron import every, parse_cron
from interlock.core.time import NS_PER_S


def ns(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * NS_PER_S


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("* * * * *", "2026-11-21T10:00:00", "2026-11-21T10:01:00"),
        ("*/15 8-18 * * mon-fri", "2026-11-20T18:45:00", "2026-11-23T08:00:00"),
        ("0 7 1 jan *", "2026-11-21T10:00:00", "2027-01-01T07:00:00"),
        ("0 0 29 2 *", "2026-11-21T10:00:00", "2028-02-29T00:00:00"),
        ("30 6 13 * fri", "2026-11-21T10:00:00", "2026-11-27T06:30:00"),
        ("0 12 * * 7", "2026-11-21T10:00:00", "2026-11-22T12:00:00"),
        ("5/20 0 * * *", "2026-11-21T00:10:00", "2026-11-21T00:25:00"),
        ("0 0 */10 * *", "2026-11-22T00:00:00", "2026-12-01T00:00:00"),
    ],
)
def test_the_next_instant_is_the_one_a_crontab_would_give(cron: str, after: str, due: str):
    at_ns = parse_cron(cron).next_after(ns(after))
    assert datetime.fromtimestamp(at_ns // NS_PER_S, UTC).isoformat()[:19] == due


@pytest.mark.parametrize(
    "wrong", ["", "* * * *", "60 * * * *", "* * 0 * *", "a * * * *", "*/0 * * * *", "5-1 * * * *", "0 0 30 2 *"]
)
def test_what_is_no_crontab_is_refused(wrong: str):
    with pytest.raises(ValueError, match=r"expected|within|number|ever"):
        parse_cron(wrong)


@settings(max_examples=60, deadline=None)
@given(
    minute=st.integers(0, 59),
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=4),
    weekdays=st.sets(st.integers(0, 6), min_size=1),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)),
)
def test_it_is_the_first_fitting_minute_after_the_given_one(
    minute: int, hours: set[int], weekdays: set[int], start: datetime
):
    cron = parse_cron(f"{minute} {','.join(map(str, hours))} * * {','.join(map(str, weekdays))}")
    found = datetime.fromtimestamp(
        cron.next_after(int(start.replace(tzinfo=UTC).timestamp()) * NS_PER_S) // NS_PER_S, UTC
    )
    looked = start.replace(tzinfo=UTC, second=0, microsecond=0) + timedelta(minutes=1)
    while not (looked.minute == minute and looked.hour in hours and looked.isoweekday() % 7 in weekdays):
        looked += timedelta(minutes=1)
        assert looked <= found
    assert looked == found


@given(st.integers(1, 10**6), st.integers(0, 2 * 10**18))
def test_every_so_many_seconds_is_the_same_instant_for_everybody(seconds: int, at_ns: int):
    due_ns = every(seconds, at_ns)
    assert 0 < due_ns - at_ns <= seconds * NS_PER_S
    assert due_ns % (seconds * NS_PER_S) == 0
