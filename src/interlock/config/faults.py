"""From what pydantic finds wrong to faults with a place, what was expected, and the nearest valid name. Above: load. Below: tree, blocks."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from interlock.core.errors import Fault

from .names import nearest
from .tree import Entry, Mark, Node, fault_at

Loc = Sequence[str | int]
_M = TypeVar("_M", bound=BaseModel)
_SHOWN_CHARS = 60

_EXPECTED = {
    "bool": "expected true or false",
    "dict": "expected a section of key: value",
    "float": "expected a number",
    "int": "expected a whole number",
    "list": "expected a list",
    "model": "expected a section of key: value",
    "string": "expected a text",
    "tuple": "expected a list",
}
"""By the first word of pydantic's error type: int_parsing, int_type, string_type, …"""


def validate(model: type[_M], node: Node, key: str) -> tuple[_M | None, list[Fault]]:
    """The model that `node` says, or every fault in it. `key` is the dotted path of `node` in its file."""
    try:
        return model.model_validate(node.data()), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, [_fault(model, node, key, detail) for detail in details]


def place(node: Node, loc: Loc) -> Mark:
    """Where the value at `loc` stands; of a section its key, of something that is not there what would hold it."""
    return _walk(node, loc)[0]


def inside(node: Node, loc: Loc) -> Node | None:
    """The node at `loc`; `None` when the file does not say it."""
    mark_and_node = _walk(node, loc)
    return mark_and_node[1]


def dotted(key: str, loc: Loc) -> str:
    """`agent` and ("tools", 1, "name") → `agent.tools[1].name`."""
    for part in loc:
        if isinstance(part, int):
            key += f"[{part}]"
        elif part != "[key]":
            key += f".{part}" if key else part
    return key


def text_fault(node: Node, loc: Loc, key: str, error: Any) -> Fault:
    """The fault of a condition or template at `loc`, at its own column within the text where that can be counted."""
    mark, found = _walk(node, loc)
    if found is not None and found.text is not None and error.column:
        mark = Mark(found.text.file, found.text.line, found.text.column + error.column - 1)
    return fault_at(mark, dotted(key, loc), error.message, error.hint)


def _entry(sections: Mapping[str, Entry], part: str) -> Entry | None:
    if part in sections:
        return sections[part]
    return next((entry for name, entry in sections.items() if name.lower() == part.lower()), None)


def _walk(node: Node, loc: Loc) -> tuple[Mark, Node | None]:
    mark = node.mark
    for part in loc:
        if part == "[key]":
            return mark, None
        if node.sections is not None:
            entry = _entry(node.sections, str(part))
            if entry is None:
                return mark, None
            node = entry.node
            mark = entry.key if node.sections is not None or node.items is not None else node.mark
        elif node.items is not None and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            mark = node.mark
    return mark, node


def _fault(model: type[BaseModel], node: Node, key: str, detail: ErrorDetails) -> Fault:
    loc, kind = detail["loc"], detail["type"]
    ctx: Mapping[str, Any] = detail.get("ctx", {})
    mark, found = _walk(node, loc)
    if kind == "extra_forbidden":
        holder = inside(node, loc[:-1])
        entry = _entry(holder.sections, str(loc[-1])) if holder and holder.sections is not None else None
        known = _keys_at(model, loc[:-1])
        return fault_at(entry.key if entry else mark, dotted(key, loc), "unknown key", nearest(str(loc[-1]), known))
    if kind == "missing":
        known = ", ".join(_keys_at(model, loc[:-1]))
        return fault_at(mark, dotted(key, loc), "this key is missing", f"Keys of this section: {known}.")
    raised = ctx.get("error")
    if isinstance(raised, ValueError):
        if getattr(raised, "column", 0):
            return text_fault(node, loc, key, raised)
        shown = _found(found) if found is not None and found.env else ""
        return fault_at(mark, dotted(key, loc), f"{raised}{shown}", getattr(raised, "hint", ""))
    if kind == "literal_error":
        choices = _choices_at(model, loc)
        shown = " or ".join(repr(choice) for choice in choices) or str(ctx.get("expected", ""))
        value = found.value if found is not None and isinstance(found.value, str) and not found.env else ""
        hint = nearest(value, choices) if value else ""
        return fault_at(mark, dotted(key, loc), f"expected {shown}{_found(found)}", hint if "Did you" in hint else "")
    return fault_at(mark, dotted(key, loc), f"{_expected(kind, ctx, detail['msg'])}{_found(found)}")


def _expected(kind: str, ctx: Mapping[str, Any], said: str) -> str:
    bounds = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    for bound, words in bounds.items():
        if bound in ctx:
            return f"expected {words} {ctx[bound]:,}"
    if kind == "too_short":
        return "expected at least one"
    if kind == "string_too_short":
        return "expected a text that is not empty"
    return _EXPECTED.get(kind.partition("_")[0], said[:1].lower() + said[1:])


def _found(node: Node | None) -> str:
    if node is None:
        return ""
    if node.env:
        return f", found something else in {' and '.join(node.env)}"
    if isinstance(node.value, Mapping):
        return ", found a section"
    if isinstance(node.value, tuple):
        return ", found a list"
    if node.value is None:
        return ", found nothing"
    text = repr(node.value) if isinstance(node.value, str) else str(node.value).lower()
    return f", found {text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + '…'}"


# --- What a model would have taken ----------------------------------------------------------------------------------


def _keys_at(model: type[BaseModel], loc: Loc) -> list[str]:
    for each in _annotations(model, loc):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return [field.alias or name for name, field in each.model_fields.items()]
    return []


def _choices_at(model: type[BaseModel], loc: Loc) -> list[str]:
    for each in _annotations(model, loc):
        if get_origin(each) is Literal:
            return [str(choice) for choice in get_args(each)]
    return []


def _annotations(model: type[BaseModel], loc: Loc) -> list[Any]:
    """The types that may stand at `loc`."""
    at = _bare(model)
    for part in loc:
        if part != "[key]":
            at = [bare for each in at for inner in _within(each, part) for bare in _bare(inner)]
    return at


def _bare(annotation: Any) -> list[Any]:
    """Without `Annotated`, and each member of a union by itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        return [bare for member in get_args(annotation) for bare in _bare(member)]
    return [annotation]


def _within(annotation: Any, part: str | int) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        hints = typing.get_type_hints(annotation, include_extras=True)
        return [hints[name] for name, field in annotation.model_fields.items() if (field.alias or name) == part]
    origin = get_origin(annotation)
    if origin is dict:
        return [get_args(annotation)[1]]
    return [get_args(annotation)[0]] if origin in (tuple, list) else []
