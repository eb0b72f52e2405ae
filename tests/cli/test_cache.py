"""`interlock cache`: how the semantic cache stands, and what a person can do about it."""

import pytest

from interlock.cli.main import OK, USAGE
from interlock.config.load import load
from interlock.core.answers import Keeping, SimilarRow, SimilarState
from interlock.ondevice.promise_kept import Record, Terms
from interlock.ondevice.rows import packed_record
from interlock.storage import SqliteStore
from tests.cli.kit import Cli

LATER = 2**62


@pytest.fixture
def kept(ran: Cli) -> Cli:
    """Answers and scopes of two tenants."""
    store = SqliteStore.open(load(ran.folder).store)
    record = Record(Terms(), mode="off", why="3 of 40 audited hits were wrong", comparisons=40, served=700)
    for tenant in ("acme", "other"):
        state = SimilarState(tenant, "support_reply support 0a1b2c", packed_record(record))
        store.similar.put_all([SimilarRow(tenant, "space", "id", state.scope, LATER, b"x")], [state])
        store.cache.put_all([Keeping(tenant, b"\xab" * 20, b"x", 1, LATER, LATER)], 1)
    store.close()
    return ran


@pytest.mark.requirement("GW-20")
def test_each_scope_is_shown_with_its_mode_and_why(kept: Cli):
    said = kept("cache", "show", "--tenant", "acme")
    assert said.code == OK
    assert "off" in said.out
    assert "3 of 40" in said.out
    assert "other" not in said.out
    assert [(each["tenant"], each["mode"], each["served"]) for each in kept("cache", "show", "--json").json] == [
        ("acme", "off", 700),
        ("other", "off", 700),
    ]


def test_a_scope_that_switched_itself_off_begins_anew_when_a_person_says_so(kept: Cli):
    assert kept("cache", "restart", "--tenant", "acme", "--json").json == {"restart": 1}
    assert [each["tenant"] for each in kept("cache", "show", "--json").json] == ["other"]


def test_one_tenants_answers_are_cleared_and_the_others_stay(kept: Cli):
    assert kept("cache", "clear", "--tenant", "acme", "--json").json == {"clear": 2}
    said = kept("cache", "clear")
    assert "2 stored answers" in said.out + said.err


def test_without_anything_compared_it_says_so_and_an_unknown_verb_is_a_usage_error(ran: Cli):
    said = ran("cache", "show")
    assert "compared nothing yet" in said.out + said.err
    assert ran("cache", "burn").code == USAGE
