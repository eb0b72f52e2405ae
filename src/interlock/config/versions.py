"""Content hashes: two equal ones mean the same content, whatever its comments, order of keys or layout.

Above: load. Below: blocks, core. The hash is BLAKE2b of canonical JSON, 12 hex digits (48 bits: a version, not a seal).
"""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from interlock.core.caller import Secret

from .conditions import Condition
from .shapes import is_list, is_section
from .templates import Arguments, Template

DIGITS = 12


def content_hash(content: Any) -> str:
    """The version of `content`: models, mappings, lists and scalars. Secrets do not take part."""
    text = json.dumps(_canonical(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=DIGITS // 2).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _canonical(getattr(value, name)) for name in said(value) if not _secret(value, name)}
    if is_section(value):
        return {str(key): _canonical(each) for key, each in value.items() if not isinstance(each, Secret)}
    if is_list(value):
        return [_canonical(each) for each in value]
    if isinstance(value, Condition | Template):
        return value.text
    if isinstance(value, Arguments):
        return _canonical(value.source)
    if isinstance(value, re.Pattern):
        return str(value.pattern)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    if isinstance(value, Decimal):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no canonical form")


def said(model: BaseModel) -> list[str]:
    """The fields that are not at their defaults: a key that a later version adds changes the hash of no contract that lacks it."""
    fields = type(model).model_fields
    return [
        name for name, field in fields.items() if getattr(model, name) != field.get_default(call_default_factory=True)
    ]


def _secret(model: BaseModel, name: str) -> bool:
    return isinstance(getattr(model, name), Secret)
