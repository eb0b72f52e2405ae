"""A filter of fields: of a record that a tool returned, only those that the contract names reach the model.

Above: `call`. Below: nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

Tree = dict[str, "Tree"]
"""Names, and below each one those that count; an empty tree takes everything below."""


def picked(value: Any, paths: Sequence[str]) -> Any:
    """`value` (plain JSON) with nothing but these paths (`order.items.sku`) in its objects; lists are gone through. What is no record is `None`."""
    tree: Tree = {}
    for path in paths:
        below = tree
        for name in path.split("."):
            below = below.setdefault(name, {})
    return _within(value, tree)


def _within(value: Any, tree: Tree) -> Any:
    if isinstance(value, list):
        return [_within(each, tree) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return None
    record = cast("Mapping[str, Any]", value)
    return {
        name: _within(record[name], below) if below else record[name] for name, below in tree.items() if name in record
    }
