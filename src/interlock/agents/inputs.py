"""A task's input against its contract's `inputs`, before anything is written or called.

Above: `service`, `batch`. Below: `contract`. CSV gives everything as text, so numbers and booleans are read from text too.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from interlock.core.errors import InvalidRequest

from .contract import Contract, Input

_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")
BESIDE = ("id", "expected")
"""Fields of an input line that are no inputs."""


def checked(contract: Contract, given: Mapping[str, Any]) -> dict[str, Any]:
    """The declared inputs among `given`, in their types; others are left out, empty optional ones too.

    Raises:
        InvalidRequest: lists every missing or malformed input, not only the first.
    """
    faults: list[str] = []
    values: dict[str, Any] = {}
    for name, field in contract.inputs.items():
        value = given.get(name)
        if value is None or value == "":
            if field.required:
                faults.append(_missing(name, given, contract))
            continue
        try:
            values[name] = _typed(field, value)
        except ValueError as wrong:
            faults.append(f"{name}: {wrong}")
    if faults:
        inputs = ", ".join(f"{n}: {f.type}{'' if f.required else '?'}" for n, f in contract.inputs.items())
        raise InvalidRequest(
            "; ".join(faults), param=faults[0].split(":")[0].split()[0], hint=f"{contract.workflow} takes {inputs}."
        )
    return values


def _missing(name: str, given: Mapping[str, Any], contract: Contract) -> str:
    unknown = [key for key in given if key not in contract.inputs and key not in BESIDE]
    near = get_close_matches(name, unknown, n=1)
    return f"{name} is missing{f' (there is {near[0]!r})' if near else ''}"


def _typed(field: Input, value: Any) -> Any:
    if field.type == "string":
        if isinstance(value, (dict, list)):
            raise ValueError("expected text")
        return value if isinstance(value, str) else str(value)
    if field.type == "boolean":
        word = str(value).strip().lower()
        if word not in _YES + _NO:
            raise ValueError(f"expected true or false, not {value!r}")
        return word in _YES
    if isinstance(value, bool):
        raise ValueError(f"expected a number, not {value!r}")
    try:
        return int(value) if field.type == "integer" and not isinstance(value, float) else _number(field, value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"expected {'a whole number' if field.type == 'integer' else 'a number'}, not {value!r}"
        ) from None


def _number(field: Input, value: Any) -> float | int:
    number = float(value)
    if field.type == "integer":
        if not number.is_integer():
            raise ValueError(value)
        return int(number)
    return value if isinstance(value, int) else number
