"""The part of Go's text/template that the chart keeps to, so that it can be tried without a cluster's tools.

Values, `if`, `if not`, `end`, `printf "%q"` and literals; anything else is an error. `test_helm` holds it against helm.
"""

from __future__ import annotations

import json
import re
from typing import Any

_TAG = re.compile(r"(\s*)\{\{(-?)\s*(.*?)\s*(-?)\}\}(\s*)", re.DOTALL)


def rendered(template: str, given: dict[str, Any]) -> str:
    """The template with its values. Raises ValueError for what the chart is not to use, KeyError for a value that there is not."""
    out: list[str] = []
    shown = [True]
    at = 0
    for found in _TAG.finditer(template):
        before, trim_left, said, trim_right, after = found.groups()
        text = template[at : found.start()] + ("" if trim_left else before)
        if shown[-1]:
            out.append(text)
        if said.startswith("if "):
            negated = said.startswith("if not ")
            held = bool(_value(said.removeprefix("if not " if negated else "if "), given)) is not negated
            shown.append(shown[-1] and held)
        elif said == "end":
            shown.pop()
        elif shown[-1]:
            out.append(_written(said, given))
        at = found.end() if trim_right else found.end() - len(after)
    out.append(template[at:])
    if len(shown) != 1:
        raise ValueError("an `if` has no `end`")
    return "".join(out)


def _written(said: str, given: dict[str, Any]) -> str:
    if said.startswith('printf "%q" '):
        return json.dumps(_value(said.removeprefix('printf "%q" '), given))
    if literal := re.fullmatch(r'"([^"\\]*)"', said):
        return literal[1]
    value = _value(said, given)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(path: str, given: dict[str, Any]) -> Any:
    if not re.fullmatch(r"(\.[A-Za-z]+)+", path):
        raise ValueError(f"the chart is not to use {path!r}")
    value: Any = given
    for name in path[1:].split("."):
        value = value[name]
    return value
