"""`interlock retention`: what the ledger holds, and letting old rows go."""

import pytest

from interlock.cli.main import OK
from tests.cli.kit import Cli


def with_retention(ran: Cli, said: str) -> Cli:
    file = ran.folder / "interlock.yaml"
    file.write_text(f"{file.read_text(encoding='utf-8')}\nretention: {said}\n", encoding="utf-8")
    return ran


@pytest.mark.requirement("SG-08")
def test_old_rows_leave_and_are_shown(ran: Cli):
    before = ran("pnl", "--json").json
    shown = ran("retention", "show", "--json").json
    assert shown["archives"] == []
    assert shown["size_bytes"] > 0
    said = with_retention(ran, "{raw_days: 1, bodies_days: 1}")("retention", "run")
    assert said.code == OK
    assert "records left the store" in said.out + said.err
    assert ran("pnl", "--json").json == before


def test_without_a_word_of_it_everything_stays(ran: Cli):
    done = ran("retention", "run", "--json").json
    assert (done["archives"], done["forgotten"], done["busy"]) == ([], 0, False)
