"""Named SQL: `sql/NOUN.sql` holds blocks that begin with `-- name: x` and a line that says what the statement does.

Above: the files of this room. Below: nothing.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statements(noun: str, database: str = "") -> dict[str, str]:
    """The statements of `sql/NOUN.sql` by name; `database` names the folder of another one than SQLite."""
    found: dict[str, str] = {}
    text = (files("interlock.storage") / database / "sql" / f"{noun}.sql").read_text(encoding="utf-8")
    for block in text.split("-- name: ")[1:]:
        name, _, body = block.partition("\n")
        lines = [line.strip() for line in body.splitlines() if not line.lstrip().startswith("--")]
        found[name.strip()] = "\n".join(lines).strip().rstrip(";")
    return found


def migrations(database: str = "") -> list[str]:
    """The scripts of `migrations/`, in order; the n-th one is number n. `database` as for `statements`."""
    return [sql for _, sql in migration_files(database)]


def migration_files(database: str = "") -> list[tuple[str, str]]:
    """The same with their names."""
    folder = files("interlock.storage") / database / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(name, (folder / name).read_text(encoding="utf-8")) for name in names]


@cache
def script(name: str) -> str:
    """The Redis script `lua/NAME.lua`."""
    return (files("interlock.storage") / "lua" / f"{name}.lua").read_text(encoding="utf-8")
