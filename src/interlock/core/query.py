"""A checked query on its way to a database, and what comes back.

Above: `tools/sql`, which makes queries; `storage`, which runs them. Below: core's values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from .time import Deadline

PLACE = "__interlock_parameter__"
"""Where a parameter stands, for dialects whose parameters have no numbers; a query that holds this text otherwise is refused."""


class QueryLimits(Struct, frozen=True):
    """What one query may take."""

    max_rows: int = 200
    max_bytes: int = 65_536
    """Of all values together, as text."""
    timeout_s: float = 5.0
    max_cost: float = 0.0
    """Highest planner's estimate (PostgreSQL's cost units); 0: any."""


class Query(Struct, frozen=True):
    """One SELECT that was checked and written anew, with its parameters bound by name or place, never by text."""

    sql: str
    parameters: tuple[str, ...] = ()
    """Values in the order of their numbers."""
    reads: Mapping[str, frozenset[str]] = {}
    """Columns by table that it may touch; a second wall beneath the check where the database offers one."""
    functions: frozenset[str] = frozenset()
    """Names in lower case that it may call."""


class Rows(Struct, frozen=True):
    """The answer."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool = False
    """A cap ended it: there was more."""


class QueryRunner(Protocol):
    """A read-only connection to one database."""

    async def run(self, query: Query, limits: QueryLimits, deadline: Deadline) -> Rows:
        """The rows, up to the caps.

        Raises:
            ToolError: `query_failed` with the database's own words, `query_timeout`, `query_too_costly`, `database_unreachable`.
        """
        ...

    async def close(self) -> None: ...
