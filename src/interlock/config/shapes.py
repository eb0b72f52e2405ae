"""Narrowing of values that came out of a file or from a tool, for the type checker as much as for readers. Below: nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard


def is_section(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)
