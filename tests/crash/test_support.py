"""The support example, by its ordinary commands, in a process that is killed in the middle: the same command again goes on, until every ticket is answered once."""

import json
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from interlock.core.events import Intended
from interlock.core.store import TaskFilter
from interlock.storage import SqliteStore
from tests.cli.kit import ROOT, Cli, process

TICKETS = 6
KILLS = (2,)
"""Answers that a process has given when it is killed."""


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    folder = tmp_path / "support"
    shutil.copytree(ROOT / "examples" / "support", folder, ignore=shutil.ignore_patterns(".interlock"))
    lines = (folder / "tickets.jsonl").read_text().splitlines(keepends=True)
    (folder / "few.jsonl").write_text("".join(lines[:TICKETS]))
    made = Cli(folder, capsys)
    made.edit(
        "agents/support_reply.yaml", "store_prompts: redacted", "store_prompts: full"
    )  # replays to the last word need them
    return made


def answered(shop: Cli, killed_after: int) -> list[str]:
    """The tasks of which a run told, in order; zero: it is left alone."""
    run = ("run", "support_reply", "--workspace", shop.folder, "--input", shop.folder / "few.jsonl", "--json")
    told: list[str] = []
    with process(*run, "--concurrency", 2, "-m", "simulated/mid") as working:
        assert working.stdout is not None
        for line in working.stdout:
            told.append(json.loads(line)["task"])
            if len(told) == killed_after:
                working.send_signal(signal.SIGKILL)
                break
        working.communicate(timeout=120)
    return told


@pytest.mark.requirement("AG-04", "OP-06")
def test_the_support_example_is_killed_and_goes_on_until_every_ticket_is_answered_once(shop: Cli):
    told = [answered(shop, after) for after in (*KILLS, 0)]
    assert [len(each) for each in told[:-1]] == list(KILLS)

    rows = shop("tasks", "--json", "--limit", 0).json
    assert Counter(row["status"] for row in rows) == {"finished": TICKETS}
    assert {each for part in told for each in part} <= {row["task"] for row in rows}
    for row in rows[:3]:
        assert shop("replay", row["task"]).code == 0, "decided again the same, and nothing is called"
    assert shop("pnl").code == 0
    with_log(shop)


def with_log(shop: Cli) -> None:
    """Each line is one task, the books agree, and no key was used for two places of a log."""
    store = SqliteStore.open(shop.folder / ".interlock" / "interlock.db")
    try:
        totals = store.totals()
        assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
        tasks = [row for row in store.tasks.list(TaskFilter(limit=10 * TICKETS)) if row.kind == "task"]
        assert sorted(row.line for row in tasks) == list(range(1, TICKETS + 1))
        for row in tasks:
            keys = Counter(
                each.event.key
                for each in store.records(row.id)
                if isinstance(each.event, Intended) and each.event.effect != "none"
            )
            assert all(n == 1 for n in keys.values()), (row.id, keys)
    finally:
        store.close()
