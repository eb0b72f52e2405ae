"""What the parts of a condition mean: three-valued logic over facts, as closures. Above: conditions, templates. Below: shapes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from .shapes import is_list, is_section

_SHOWN_CHARS = 40
"""Longest text shown by `shown`."""


class Unknown:
    """Stands for the value of anything that cannot be said."""


UNKNOWN = Unknown()
Facts = Mapping[str, Any]
Term = Callable[[Facts], Any]


def look_up(path: list[str], facts: Facts, default: Any = None) -> Any:
    """The value at a dotted path through mappings and lists, `default` where there is none. Never an attribute."""
    value: Any = facts
    for part in path:
        if is_section(value) and part in value:
            value = value[part]
        elif is_list(value) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return default
    return value


def named(text: str) -> Term:
    path = text.split(".")
    return lambda facts: look_up(path, facts, UNKNOWN)


def truth(value: Any) -> bool | Unknown:
    """How a value counts where a yes or no is needed: null is not known, the rest is true unless empty or zero."""
    return UNKNOWN if value is None or value is UNKNOWN else bool(value)


def kleene(terms: list[Term], *, decided_by: bool) -> Term:
    """`or` is decided by one truth, `and` by one falsehood; else one unknown makes the whole unknown."""

    def term(facts: Facts) -> Any:
        result: bool | Unknown = not decided_by
        for each in terms:
            held = truth(each(facts))
            if held is decided_by:
                return decided_by
            if held is UNKNOWN:
                result = UNKNOWN
        return result

    return term


def negated(inner: Term) -> Term:
    def term(facts: Facts) -> Any:
        held = truth(inner(facts))
        return held if held is UNKNOWN else not held

    return term


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _same(left: Any, right: Any) -> bool:
    """Equality without Python's `True == 1`."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _within(left: Any, right: Any) -> Any:
    if isinstance(right, str):
        return left in right if isinstance(left, str) else UNKNOWN
    if not is_list(right):
        return UNKNOWN
    if any(_same(left, item) for item in right):
        return True
    return UNKNOWN if any(item is UNKNOWN for item in right) else False


_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
COMPARISONS = {*_ORDER, "==", "!=", "in"}


def compared(op: str, left: Term, right: Term) -> Term:
    order = _ORDER.get(op)

    def term(facts: Facts) -> Any:
        a, b = left(facts), right(facts)
        if a is UNKNOWN or b is UNKNOWN:
            return UNKNOWN
        if op == "in":
            return _within(a, b)
        if order is None:
            return _same(a, b) is (op == "==")
        comparable = (_is_number(a) and _is_number(b)) or (isinstance(a, str) and isinstance(b, str))
        return order(a, b) if comparable else UNKNOWN

    return term


def calculated(op: str, left: Term, right: Term) -> Term:
    def term(facts: Facts) -> Any:
        a, b = left(facts), right(facts)
        if not (_is_number(a) and _is_number(b)):
            return UNKNOWN
        try:
            return _arithmetic(op, a, b)
        except (ArithmeticError, ValueError):
            return UNKNOWN

    return term


def _arithmetic(op: str, a: Any, b: Any) -> Any:
    if isinstance(a, Decimal) != isinstance(b, Decimal):
        a, b = float(a), float(b)
    if op == "/":
        return a / b
    return a + b if op == "+" else a - b if op == "-" else a * b


def shown(value: Any) -> str:
    if value is UNKNOWN:
        return "unknown"
    text = repr(value) if not isinstance(value, Decimal) else str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
