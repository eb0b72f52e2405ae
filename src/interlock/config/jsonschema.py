"""JSON Schema checks on our side: the only module that knows the validator library. Above: gateway, tools, agents. Below: jsonschema_rs.

Draft 2020-12 unless the schema says otherwise; formats are checked; patterns run on an engine of linear time; nothing is ever fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_FAULTS = 20
"""Most faults that are listed for one value."""


class SchemaInvalid(ValueError):
    """The schema itself is no valid JSON Schema, or refers to a document that is not part of it."""


class Validator:
    """A compiled schema; safe to share between threads and calls."""

    __slots__ = ("_validator", "schema")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises SchemaInvalid."""
        import jsonschema_rs

        self.schema = dict(schema)
        try:
            self._validator = jsonschema_rs.validator_for(
                self.schema,
                validate_formats=True,
                offline=True,
                pattern_options=jsonschema_rs.RegexOptions(),
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise SchemaInvalid(" ".join(str(getattr(error, "message", error)).split())) from None

    def faults(self, value: Any) -> list[str]:
        """What is wrong with `value`, one line each with its path (`$.items[0].sku: …`); empty when it is valid."""
        found: list[str] = []
        try:
            for error in self._validator.iter_errors(value):
                if len(found) == MAX_FAULTS:
                    found.append("… and more")
                    break
                found.append(f"{_path(error.instance_path)}: {error.message}")
        except ValueError as unread:  # the library looks at 255 levels, and refuses what nests deeper
            found.append(f"$: it is nested too deep to be checked ({unread})")
        return found


def _path(parts: list[Any]) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
