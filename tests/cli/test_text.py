"""What models and users wrote never reaches the terminal as anything but text."""

import pytest

from interlock.cli.palette import words
from interlock.cli.text import clean, compact, money, one_line


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07after", "after"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;Y2xpcGJvYXJk\x07", ""),
        ("\x1bP+q544e\x1b\\x", "x"),
        ("\x9b2Jcleared", "cleared"),
        ("unfinished \x1b]0;swallows the rest", "unfinished "),
        ("a\x08\x08b\x00\x7f", "ab"),
        ("over\rwritten", "overwritten"),
        ("two\r\nlines\tkept", "two\nlines\tkept"),
        ("pay \u202eDSU 01\u202c", "pay DSU 01"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("Grüße, 你好 🙂", "Grüße, 你好 🙂"),
        ("\x1b", ""),
    ],
)
def test_escape_sequences_and_control_characters_are_taken_out_of_shown_text(hostile, harmless):
    assert clean(hostile) == harmless


def test_a_long_text_is_cut_at_its_width_on_one_line():
    assert one_line("a\n b   c", 0) == "a b c"
    assert one_line("abcdefgh", 5) == "abcd…"


@pytest.mark.parametrize(
    ("nano_usd", "shown"),
    [
        (0, "$0.00"),
        (1_500_000_000, "$1.50"),
        (-42_500_000_000, "-$42.50"),
        (1_234_567_000_000_000, "$1,234,567.00"),
        (123_456, "$0.000123"),
        (-123_456, "-$0.000123"),
        (1, "$0.000000001"),
        (12_345_678, "$0.0123"),
    ],
)
def test_amounts_keep_as_many_digits_as_small_ones_need(nano_usd, shown):
    assert money(nano_usd) == shown


def test_arguments_are_shown_on_one_line():
    assert (
        compact({"order_id": "FH-1", "amount_usd": 42, "why": {"a": [1]}}) == "order_id=FH-1, amount_usd=42, why=a=[1]"
    )


def test_a_denial_is_not_put_down_to_a_person_since_the_clock_may_have_denied():
    assert words("denied") == "denied"
