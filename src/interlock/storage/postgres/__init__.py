"""The store on PostgreSQL: its own words for the same schema.

Above: `app`, when `store:` is a PostgreSQL address. Below: psycopg, and the parts of this room that know no database.
"""

from .database import shown
from .store import PostgresStore

__all__ = ["PostgresStore", "shown"]
