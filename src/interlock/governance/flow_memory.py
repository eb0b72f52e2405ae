"""What earlier tasks wrote that no user had said: it stays somebody else's words when a later task reads it back. Above: flow. Below: flow_values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from . import flow_values as values

_LEAST = 6
"""Characters below which a value is too common to be told apart."""
_ROOM = 10_000


class Memory:
    """Passed from task to task of one store. Holds up to 10,000 values; when full, everything that is read back counts as foreign."""

    def __init__(self, written: Iterable[str] = ()) -> None:
        self._written: set[str] = set()
        self._full = False
        for each in written:
            self.write(each)

    @property
    def written(self) -> frozenset[str]:
        """What to keep between processes."""
        return frozenset(self._written)

    def write(self, value: str) -> None:
        """A task has written this, and its user had not said it."""
        if len(value) >= _LEAST:
            self._written.add(values.normal(value))
        self._full = self._full or len(self._written) > _ROOM

    def without_foreign(self, output: Any) -> Any:
        """The output without records (or texts) that hold a value that an earlier task wrote."""
        if not self._written:
            return output
        if isinstance(output, list):
            return [each for each in cast("list[Any]", output) if not self._foreign(each)]
        return None if self._foreign(output) else output

    def _foreign(self, record: Any) -> bool:
        if self._full:
            return True
        text = values.normal(" ".join(map(str, values.each(record))))
        return any(each in text for each in self._written)
