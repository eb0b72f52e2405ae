"""What a reader of live text has not read yet: whole while there is room, and where there is none the oldest goes and the reader can tell."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.app.listening import MOST_CHARS, MOST_PIECES, Unread
from interlock.core.live import Calling, Live, Said, Writing


@pytest.mark.requirement("AG-09")
@given(st.lists(st.tuples(st.integers(0, 2), st.text(min_size=1, max_size=9), st.booleans()), max_size=40))
def test_pieces_in_order_make_up_exactly_what_was_written_whenever_the_reader_looks(told: list[tuple[int, str, bool]]):
    """Text and two tool calls, in any mixture; the last of each triple: the reader looks then."""
    unread, read = Unread(), list[Live]()
    written = ["", "", ""]
    unread.hear(Writing(4, 1))
    for which, piece, looks in told:
        start = len(written[which])
        unread.hear(Calling(4, 1, which, "look", start, piece) if which else Said(4, 1, start, piece))
        written[which] += piece
        read += unread.take() if looks else []
    read += unread.take()
    assert read[0] == Writing(4, 1)
    put_together = ["", "", ""]
    for piece in read[1:]:
        assert isinstance(piece, Said | Calling)
        which = piece.call if isinstance(piece, Calling) else 0
        assert piece.start == len(put_together[which]), "nothing is missing, and nothing comes twice"
        put_together[which] += piece.text
    assert put_together == written
    assert unread.take() == []


@pytest.mark.requirement("AG-09")
def test_a_slow_reader_loses_the_oldest_and_is_told_by_the_position():
    unread, size = Unread(), 1_000
    for at in range(0, 3 * MOST_CHARS, size):
        unread.hear(Said(4, 1, at, "x" * size))
    kept = [piece for piece in unread.take() if isinstance(piece, Said)]
    assert sum(len(piece.text) for piece in kept) <= MOST_CHARS
    assert kept[0].start > 0
    assert kept[-1].end == -(-3 * MOST_CHARS // size) * size
    for at in range(3 * MOST_PIECES):
        unread.hear(Writing(at, 1))
    assert len(unread.take()) == MOST_PIECES


def test_one_that_comes_late_is_given_a_long_text_whole():
    unread = Unread()
    unread.hear(Said(4, 1, 0, "x" * (2 * MOST_CHARS)))
    assert [len(piece.text) for piece in unread.take() if isinstance(piece, Said)] == [2 * MOST_CHARS]


async def test_a_reader_waits_for_the_next_piece_and_no_longer_than_it_wants_to():
    unread = Unread()
    await unread.wait(0.0)
    waiting = asyncio.ensure_future(unread.wait(60.0))
    await asyncio.sleep(0)
    unread.hear(Said(4, 1, 0, "x"))
    await waiting
    assert unread.take()
