"""Typed values out of what people write: forgiving in spelling, never guessing."""

import re
from datetime import date

import pytest

from interlock.agents.contract import Slot
from interlock.agents.slots import amounts, currencies, dates, extract, integers, order_ids, products

FH = re.compile(r"[A-Z]{2}-\d{5}")
TODAY = date(2026, 11, 21)  # a Saturday


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("where is FH-10234?", ["FH-10234"]),
        ("where is fh 10234", ["FH-10234"]),
        ("fh10234 pls", ["FH-10234"]),
        ("order #FH-10234.", ["FH-10234"]),
        ("Fh_10234", ["FH-10234"]),
        ("FH-1O234", ["FH-10234"]),
        ("fh 10 234", ["FH-10234"]),
        ("fh - 10234", ["FH-10234"]),
        ("FH-10234 and again fh10234", ["FH-10234"]),
        ("FH-10234 or FH-10235", ["FH-10234", "FH-10235"]),
        ("I paid in 10234 parts, my 10234th, no 10234", []),
        ("FH-102345", []),
        ("my order 10234", []),
    ],
)
def test_order_ids_are_found_however_they_are_spelt(text: str, ids: list[str]):
    assert order_ids(text, FH) == ids


def test_a_pattern_with_a_group_gives_the_group_and_none_gives_plain_ids():
    assert order_ids("Bestellung #4711", re.compile(r"#(\d{4})")) == ["4711"]
    assert order_ids("order 1234567", None) == ["1234567"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I paid $45.50", [45.5]),
        ("45,50 € please", [45.5]),
        ("1,234.56 USD", [1234.56]),
        ("1.234,56 EUR", [1234.56]),
        ("1,200 dollars", [1200.0]),
        ("GBP 12", [12.0]),
        ("20 bucks or £5", [20.0, 5.0]),
        ("size 45, 2 boots", []),
        ("$99.", [99.0]),
    ],
)
def test_amounts_need_a_currency(text: str, found: list[float]):
    assert amounts(text) == found


def test_currencies_stand_beside_amounts():
    assert currencies("20 bucks or £5 or EUR 3") == ["USD", "GBP", "EUR"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("on 2026-11-20", ["2026-11-20"]),
        ("on Nov 3rd", ["2026-11-03"]),
        ("on 3 November 2025", ["2025-11-03"]),
        ("December 28", ["2026-12-28"] if (date(2026, 12, 28) - TODAY).days <= 60 else ["2025-12-28"]),
        ("13/11/2026", ["2026-11-13"]),
        ("11/13/2026", ["2026-11-13"]),
        ("03/04/2026", []),
        ("03.04.2026", ["2026-04-03"]),
        ("yesterday", ["2026-11-20"]),
        ("the day before yesterday", ["2026-11-19"]),
        ("3 days ago", ["2026-11-18"]),
        ("a week ago", ["2026-11-14"]),
        ("two weeks ago", ["2026-11-07"]),
        ("last friday", ["2026-11-20"]),
        ("on saturday", ["2026-11-14"]),
        ("next monday", ["2026-11-23"]),
        ("in two days", ["2026-11-23"]),
        ("31 Feb", []),
    ],
)
def test_dates_are_read_as_written_or_in_words(text: str, found: list[str]):
    assert [day.isoformat() for day in dates(text, TODAY)] == found


def test_whole_numbers_in_digits_or_words():
    assert integers("I want two of them, not 3 (and not 4.5)") == [2, 3]


def test_letters_that_only_look_like_those_of_a_word_are_read_as_it():
    assert [day.isoformat() for day in dates("frıday, 3 ſep 2026, SİX weeks ago, two weekſ ago", TODAY)] == [
        "2026-11-20",
        "2026-09-03",
        "2026-10-10",
        "2026-11-07",
    ]
    assert integers("SİX or ſeven") == [6, 7]
    assert (amounts("12 uſd"), currencies("12 uſd")) == ([12.0], ["USD"])


def test_products_bear_a_typing_error_but_not_a_guess():
    names = ("Trail Runner 2", "Trail Runner 3", "Alpine Tent")
    assert products("my trail runner 2 is torn", names) == ["Trail Runner 2"]
    assert products("the alpin tent leaks", names) == ["Alpine Tent"]
    assert products("my trail shoes", names) == []


def test_a_slot_with_two_values_is_missing_and_says_which():
    found = extract([Slot("order_id", "order_id", pattern=FH)], "FH-10234 or FH-10235?", {}, TODAY)
    assert found.values == {}
    assert found.missing == {"order_id": "ambiguous: FH-10234 and FH-10235"}


def test_an_input_of_the_same_name_fills_a_slot_and_optional_ones_may_lack():
    slots = [Slot("email", "email", required=False), Slot("order_id", "order_id", pattern=FH)]
    found = extract(slots, "hi", {"order_id": "fh10234"}, TODAY)
    assert (found.values, found.missing) == ({"order_id": "FH-10234"}, {})


def test_e_mails_and_choices():
    slots = [Slot("email", "email"), Slot("size", "choice", choices=("S", "M", "XL"))]
    found = extract(slots, "write to Pat.Lee+x@shop.example.org. I take XL", {}, TODAY)
    assert found.values == {"email": "pat.lee+x@shop.example.org", "size": "XL"}


def test_a_very_long_text_is_cut_before_any_pattern_sees_it():
    found = extract([Slot("order_id", "order_id", pattern=FH)], "a1 " * 100_000 + "FH-10234", {}, TODAY)
    assert found.missing
