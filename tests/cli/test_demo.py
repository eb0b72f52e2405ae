"""`interlock run --demo`: an empty store each time, nothing of the user's is lost."""

import pytest

from interlock.cli.demo import fresh_store
from interlock.cli.main import CONFIGURATION, OK
from interlock.core.time import SystemClock
from tests.cli.kit import Cli


@pytest.mark.requirement("OP-02")
def test_each_demo_begins_with_an_empty_store_and_explains_what_happens(starter: Cli):
    path = starter.folder / "questions.jsonl"

    first = starter("run", "helpdesk", "--input", path, "--demo")
    second = starter("run", "helpdesk", "--input", path, "--demo")

    assert (first.code, second.code) == (OK, OK)
    assert "Interlock: 4 tasks from questions.jsonl through the agent `helpdesk`" in second.err
    assert "SIMULATED models: labelled, free, and never a success" in second.err
    assert len(starter("tasks", "--json", "--limit", 0).json) == 4
    assert len(second.out.splitlines()) + len(second.err.splitlines()) <= 50


def test_a_store_that_no_demo_made_is_moved_aside(ran: Cli):
    tasks = ran("tasks", "--json").json

    said = ran("run", "helpdesk", "--input", ran.folder / "questions.jsonl", "--demo")
    again = ran("run", "helpdesk", "--input", ran.folder / "questions.jsonl", "--demo")

    aside = list((ran.folder / ".interlock").glob("before-demo-*"))
    assert len(aside) == 1
    assert str(aside[0]) in said.err
    assert "before-demo" not in again.err
    ran.edit("interlock.yaml", ".interlock/interlock.db", f".interlock/{aside[0].name}/interlock.db")
    assert ran("tasks", "--json").json == tasks


def test_what_the_device_has_learned_is_kept(starter: Cli):
    learned = sorted((starter.folder / ".interlock" / "tier0").iterdir())

    fresh_store(starter.folder, starter.folder / ".interlock" / "interlock.db", SystemClock())

    assert learned
    assert sorted((starter.folder / ".interlock" / "tier0").iterdir()) == learned


def test_a_store_beside_other_files_is_never_emptied(starter: Cli):
    starter.edit("interlock.yaml", ".interlock/interlock.db", "interlock.db")

    said = starter("run", "helpdesk", "--input", starter.folder / "questions.jsonl", "--demo")

    assert said.code == CONFIGURATION
    assert "no folder of its own" in said.err
    assert (starter.folder / "interlock.yaml").is_file()
