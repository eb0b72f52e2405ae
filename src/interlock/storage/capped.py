"""Rows up to a cap of rows and bytes. Above: query_sqlite, query_postgres. Below: `core.query`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from interlock.core.query import QueryLimits, Rows


def capped(columns: tuple[str, ...], rows: Iterable[Sequence[Any]], limits: QueryLimits) -> Rows:
    """The first rows that fit, and whether there was more."""
    kept: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        size += sum(_size(value) for value in row)
        if len(kept) == limits.max_rows or size > limits.max_bytes:
            return Rows(columns, tuple(kept), truncated=True)
        kept.append(tuple(row))
    return Rows(columns, tuple(kept))


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes)) else 8
