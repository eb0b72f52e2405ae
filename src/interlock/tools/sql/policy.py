"""What an agent may read of one database, as values, and the refusal that tells a model what it may do instead.

Above: check, rewrite, tool. Below: `core`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from interlock.core.errors import ToolError
from interlock.core.query import QueryLimits

Dialect = Literal["sqlite", "postgres", "mysql"]
HOME: Mapping[str, str] = {"sqlite": "main", "postgres": "public", "mysql": ""}
"""The schema that an unqualified table stands in."""


class TableGrant(Struct, frozen=True):
    """One table, and what of it may be seen."""

    columns: tuple[str, ...]
    where: str = ""
    """Which rows: a condition over the table's columns with `:tenant` and `:user`, bound for every call; empty for all rows."""
    schema: str = ""
    """Where the table stands; empty for the dialect's own."""


class SqlPolicy(Struct, frozen=True):
    """One database, and what an agent may ask it."""

    name: str
    dialect: Dialect
    tables: Mapping[str, TableGrant]
    """By name as a query writes it, in lower case."""
    functions: frozenset[str] = frozenset()
    """Further functions beside the dialect's plain ones."""
    limits: QueryLimits = QueryLimits()
    max_sql_bytes: int = 8_000
    max_nodes: int = 1_500
    """Parts of the parsed query."""
    max_tables: int = 12
    max_depth: int = 40
    """Levels of nesting of the parsed query."""
    max_concats: int = 24
    """Text joins: each level of nesting may double a value, so few are allowed."""


class QueryRefused(ToolError):
    """The query asks for something that it may not have."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(
            "query_refused", message, hint=hint or "Write one SELECT over the tables and columns that are listed."
        )
