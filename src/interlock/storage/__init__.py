"""The only room that speaks SQL: one schema, named statements in `.sql` files, numbered migrations.

Above: `app` puts a `SqliteStore` where `core.store.Store` is asked for. Below: `core`.
"""

from .blobs import Folder
from .cells import MappedCells
from .sqlite import SqliteStore

__all__ = ["Folder", "MappedCells", "SqliteStore"]
