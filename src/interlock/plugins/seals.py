"""What vendors want back unchanged in later turns, remembered for callers whose dialect has no place for it.

Above: providers that seal thoughts or calls. Below: nothing. Bounded, per process; what was seen longest ago is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")
KEPT = 10_000


class Seals(Generic[T]):
    """Seals by tenant and id of the tool call they belong to: an id that two tenants happen to share opens nothing."""

    def __init__(self, kept: int = KEPT) -> None:
        self._most = kept
        self._kept: OrderedDict[tuple[str, str], T] = OrderedDict()

    def keep(self, tenant: str, call_id: str, seal: T) -> None:
        self._kept[tenant, call_id] = seal
        self._kept.move_to_end((tenant, call_id))
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def of(self, tenant: str, call_id: str) -> T | None:
        return self._kept.get((tenant, call_id))
