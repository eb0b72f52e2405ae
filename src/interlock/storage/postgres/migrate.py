"""Bringing a database to the newest schema, whoever comes first.

Above: this folder's store. Below: database, tail. The n-th script of `migrations/` leads to schema version n.
"""

from __future__ import annotations

from interlock.core.errors import StoreUnavailable
from interlock.storage.statements import migrations

from .database import Database, Lent
from .tail import enter_era

_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' interlock schema', 0))"
_THERE = "SELECT to_regclass('schema_version') IS NOT NULL"
_TABLE = "CREATE TABLE schema_version (version INTEGER NOT NULL)"


def migrate(database: Database) -> int:
    """Returns the era in which rows are written now (see `tail`). Several processes may do so at the same time.

    Raises:
        StoreUnavailable: the server is away or refuses, or the schema was written by a newer version.
    """
    scripts = migrations("postgres")
    with database.transaction("bring the schema up to date") as db:
        db.execute("SET LOCAL lock_timeout = '60s'")
        db.execute(_ALONE)
        if not db.execute(_THERE).fetchone()[0]:  # a user that may not create anything can use what is there
            db.execute(_TABLE)
        version = _version(db)
        if version > len(scripts):
            raise StoreUnavailable(
                f"{database.name} has schema {version}, written by a newer Interlock; this one knows up to {len(scripts)}.",
                hint="Upgrade Interlock, or point `store:` at another database. Nothing was changed.",
            )
        for script in scripts[version:]:
            db.execute(script)
        if version < len(scripts):
            db.execute("DELETE FROM schema_version")
            db.execute("INSERT INTO schema_version VALUES (%s)", (len(scripts),))
        return enter_era(db, database.sql("eras"))


def _version(db: Lent) -> int:
    row = db.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(row[0] or 0)
