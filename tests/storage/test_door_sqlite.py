"""One call's transaction on a tool's file: whole or not at all, whatever the database makes of it in between."""

import sqlite3
from pathlib import Path

import pytest

from interlock.core.errors import ToolError
from interlock.storage.door_sqlite import SqliteDoor

STATEMENTS = {
    "add": "INSERT OR ROLLBACK INTO notes VALUES (:number)",
    "count": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000000) SELECT count(*) FROM n",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE notes (number INTEGER PRIMARY KEY)")
    db.close()
    return path


def notes(file: Path) -> list[int]:
    db = sqlite3.connect(file)
    found = [number for (number,) in db.execute("SELECT number FROM notes")]
    db.close()
    return found


@pytest.mark.requirement("TL-03")
@pytest.mark.parametrize("keep", [True, False])
def test_after_the_database_took_everything_back_nothing_more_is_written_and_nothing_is_said_to_be_kept(
    file: Path, keep: bool
):
    door = SqliteDoor(file, STATEMENTS, {}, writes=True)
    door.ask("add", {"number": 1})
    with pytest.raises(ToolError, match="UNIQUE"):
        door.ask("add", {"number": 1})
    with pytest.raises(ToolError, match="taken back"):
        door.ask("add", {"number": 2})
    if keep:
        with pytest.raises(ToolError, match="taken back"):
            door.end(keep=True)
    else:
        door.end(keep=False)
    assert notes(file) == []


@pytest.mark.requirement("TL-03")
def test_a_statement_that_begins_just_after_it_was_to_be_ended_ends_too(file: Path):
    door = SqliteDoor(file, STATEMENTS, {}, writes=False)
    door.interrupt()
    with pytest.raises(ToolError, match="interrupted"):
        door.ask("count", {})
    door.end(keep=False)
