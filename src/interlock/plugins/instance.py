"""The simplest value that satisfies a JSON Schema, for simulated answers.

Above: providers. Below: nothing. Covers what output schemas and tool parameters use: types, required and optional properties, `enum`,
`const`, bounds, lengths, items, `anyOf`/`oneOf`/`allOf`, local `$ref`. A `pattern` cannot be satisfied in general and is not tried.
"""

from __future__ import annotations

from typing import Any, cast

DEEPEST = 12
FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "email": "simulated@example.com",
    "time": "00:00:00Z",
    "uri": "https://example.com/simulated",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def instance(schema: dict[str, Any], text: str) -> Any:
    """A value for `schema`; strings without further constraints are `text`."""
    return _value(schema, schema, text, 0)


def _value(schema: Any, root: dict[str, Any], text: str, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > DEEPEST:
        return None
    schema = _resolved(cast(dict[str, Any], schema), root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((each for each in cast(list[str], kind) if each != "null"), "null")
    if kind == "object":
        properties: dict[str, Any] = schema.get("properties", {})
        return {name: _value(each, root, text, depth + 1) for name, each in properties.items()}
    if kind == "array":
        return [_value(schema.get("items", {}), root, text, depth + 1) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return _text(schema, text)
    if kind in ("integer", "number"):
        return _number(schema, whole=kind == "integer")
    return False if kind == "boolean" else None


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        found: Any = root
        for part in reference[2:].split("/"):
            found = found.get(part, {})
        return _resolved(found, root)
    for word in ("anyOf", "oneOf"):
        options: list[dict[str, Any]] = schema.get(word, [])
        if options:
            return _resolved({**schema, word: [], **options[0]}, root)
    together: list[dict[str, Any]] = schema.get("allOf", [])
    if together:
        merged: dict[str, Any] = {**schema, "allOf": []}
        for each in together:
            part = _resolved(each, root)
            merged = {**merged, **part, "properties": {**merged.get("properties", {}), **part.get("properties", {})}}
        return merged
    return schema


def _text(schema: dict[str, Any], text: str) -> str:
    made = FORMATS.get(schema.get("format", ""), text)
    made = made.ljust(schema.get("minLength", 0), ".")
    return made[: schema.get("maxLength", len(made))]


def _number(schema: dict[str, Any], *, whole: bool) -> int | float:
    step = 1 if whole else 0.5
    low = schema.get("minimum", schema["exclusiveMinimum"] + step if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum", schema["exclusiveMaximum"] - step if "exclusiveMaximum" in schema else None)
    made = low if low is not None else min(0, high) if high is not None else 0
    multiple = schema.get("multipleOf")
    if multiple:
        made = -(-made // multiple) * multiple
    return int(made) if whole else made
