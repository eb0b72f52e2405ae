"""Every script that changes a schema says in its first line when it may run, and keeps to it."""

import re

import pytest

from interlock.storage.schema import PHASES, scripts
from interlock.storage.statements import migration_files

BEFORE_PHASES = {"": 13, "postgres": 3}
"""The scripts from before there were phases: they alone may shut older processes out and be needed by newer ones at once."""

TAKES_AWAY = re.compile(
    r"\b(DROP\s+(TABLE|COLUMN|VIEW|INDEX|CONSTRAINT|FUNCTION|TRIGGER)|RENAME\s+(TO|COLUMN)|SET\s+NOT\s+NULL|DELETE\s+FROM|ALTER\s+COLUMN\s+\w+\s+TYPE|TRUNCATE)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("database", ["", "postgres"])
def test_each_migration_says_its_phase_in_its_first_line(database):
    files = migration_files(database)

    assert [int(name[:4]) for name, _ in files] == list(range(1, len(files) + 1)), "numbered without a gap"
    for name, sql in files:
        first = sql.partition("\n")[0]
        assert re.fullmatch(r"\d{4}_[a-z_]+\.sql", name)
        assert first in {f"-- phase: {phase}" for phase in PHASES}, (
            f"{name} begins with {first!r}; see docs/migrations.md"
        )


@pytest.mark.parametrize("database", ["", "postgres"])
def test_new_migrations_run_either_before_or_after_an_upgrade_and_those_before_only_add(database):
    for script in scripts(database):
        if script.number <= BEFORE_PHASES[database]:
            assert script.phase == "cut", f"{script.name} came before there were phases"
            continue
        assert script.phase in ("pre", "post"), (
            f"{script.name}: split it into what adds (pre) and what takes away (post)"
        )
        if script.phase == "pre":
            said = "\n".join(line for line in script.sql.splitlines() if not line.lstrip().startswith("--"))
            found = TAKES_AWAY.search(said)
            assert found is None, f"{script.name}: {found[0] if found else ''} would break processes of before"
