"""A section as it could stand in a file: what is kept of a contract, so that the same version can be had again later.

Above: app. Below: versions, blocks. `Model.model_validate(written(model))` has the content hash of `model`; whoever keeps one checks that.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from interlock.core.money import NANO_PER_USD

from .conditions import Condition
from .shapes import is_list, is_section
from .templates import Arguments, Template
from .versions import said

_MONEY = "_nano_usd"
"""How a field's name ends whose value stands in the file in dollars."""


def written(model: BaseModel) -> dict[str, Any]:
    """JSON values under the names that files use; what is at its default is left out."""
    fields = type(model).model_fields
    return {fields[name].alias or name: _value(name, getattr(model, name)) for name in said(model)}


def _value(name: str, value: Any) -> Any:
    if name.endswith(_MONEY) and isinstance(value, int):
        return format(Decimal(value) / NANO_PER_USD, "f")
    if isinstance(value, BaseModel):
        return written(value)
    if is_section(value):
        return {str(key): _value("", each) for key, each in value.items()}
    if is_list(value):
        return [_value("", each) for each in value]
    if isinstance(value, Condition | Template):
        return value.text
    if isinstance(value, Arguments):
        return _value("", value.source)
    if isinstance(value, re.Pattern):
        return str(value.pattern)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    if isinstance(value, Decimal):
        return float(value)
    return value
