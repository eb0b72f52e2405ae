"""What a store's user may do beyond the policies on its rows. Above: app/keeping. Below: database."""

from __future__ import annotations

from contextlib import closing

from .database import Database

_SQL = b"SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"


def unbound(dsn: str) -> str:
    """Why row-level security does not hold the user of this address (postgresql.org/docs/current/ddl-rowsecurity.html), empty where it does.

    Raises:
        StoreUnavailable: the server cannot be reached.
    """
    database = Database(dsn, busy_timeout_s=5.0)
    with database.explained("ask what its user may do"), closing(database.connect("read")) as connection:
        row = connection.execute(_SQL).fetchone()
    above, past = row or (False, False)
    if above:
        return "a superuser"
    return "a role with BYPASSRLS" if past else ""
