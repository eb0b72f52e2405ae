"""A tool: a Python function with a name, a JSON Schema taken from its signature, and a promise about what repeating it does.

Above: `tools/call`, the agents, users' `tools.py`. Below: core's values and errors.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints, overload

import msgspec
from msgspec import Struct

from interlock.core.caller import Secret
from interlock.core.chat import ToolSpec
from interlock.core.errors import ToolArgumentsInvalid
from interlock.core.events import Effect

from .door import Door, no_door

Function = TypeVar("Function", bound=Callable[..., Any])
_MARK = "__interlock_tool__"
_EFFECTS: tuple[Effect, ...] = ("none", "idempotent", "reconcile", "once")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_ARGUMENT_LINE = re.compile(r"\s+(\w+)(?:\s*\([^)]*\))?:\s+(.+)")


class ToolContext(Struct, frozen=True):
    """What a tool may know about the call it serves; handed to functions that take `ctx`."""

    idempotency_key: str
    """The same for every try of one call, also after a crash: hand it to whatever the tool changes."""
    workspace: Path
    tenant: str = ""
    task: str = ""
    user: str = ""
    step: int = 0
    credentials: Mapping[str, Secret] = {}
    """By name, those that the contract lends this tool; `.reveal()` where one is put on the wire."""
    note: Callable[[str], None] = lambda _: None
    """Adds a line to what the call's event says of how it was performed."""
    traceparent: str = ""
    """W3C trace context of this call's step, for whoever the tool asks."""
    ask: Callable[..., Any] = no_door
    """Of an isolated tool: `ask("statement", name=value)` gives the rows of a statement that its declaration lists, each a dict."""
    labels: tuple[str, ...] = ()
    """What the task's texts bear (`untrusted`, `tenant`, `secret`, `source:…`): keep it beside whatever is kept of them."""
    bear: Callable[[Iterable[str]], None] = lambda _: None
    """Says what the answer bears besides: labels that stood beside something that was kept. They are added, and take nothing away."""


class Parameter(Struct, frozen=True):
    """One argument of a tool, with the type its value is converted to."""

    name: str
    type: Any
    required: bool
    default: Any = None


class Tool(Struct, frozen=True):
    """A function that a contract may list. Made by `@tool`."""

    name: str
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    schema: dict[str, Any]
    """JSON Schema of the arguments, as a model sees it."""
    effect: Effect
    description: str = ""
    reversible_by: str = ""
    """Name of the tool that undoes this one; it gets this one's arguments and the fields of its result, those it takes."""
    reconcile: Callable[..., Any] | None = None
    """Asks the outside world what became of a call: takes what the tool takes, returns the result, or `None` if it never happened."""
    takes_ctx: bool = False
    isolated: bool = False
    """Runs in the sandbox: no file, secret or network of this host, and nothing of its module but what it imports there."""
    reads: tuple[str, ...] = ()
    """Files of the workspace that an isolated tool is given copies of."""
    door: Door | None = None
    asks: tuple[str, ...] = ()
    """Statements of the door that an isolated tool may ask."""
    checker: Callable[[Any], list[str]] | None = None
    """For tools that are described by a JSON Schema alone: what is wrong with arguments. The function then takes them whole, as `arguments`."""

    @property
    def spec(self) -> ToolSpec:
        """The tool as a model sees it."""
        return ToolSpec(name=self.name, parameters=self.schema, description=self.description)

    def convert(self, arguments: Any) -> dict[str, Any]:
        """Keyword arguments of the types that the function declares.

        Raises:
            ToolArgumentsInvalid: lists everything that is wrong with them, not only the first fault.
        """
        if not isinstance(arguments, dict):
            raise ToolArgumentsInvalid(self.name, [f"arguments must be a JSON object, not {_shown(arguments)}"])
        given = cast("dict[str, Any]", arguments)
        if self.checker is not None:
            wrong = self.checker(given)
            if wrong:
                raise ToolArgumentsInvalid(self.name, wrong)
            return {"arguments": given}
        known = {parameter.name: parameter for parameter in self.parameters}
        faults = [_unknown(name, known) for name in given if name not in known]
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.name not in given:
                if parameter.required:
                    faults.append(f"{parameter.name} is missing")
                continue
            try:
                values[parameter.name] = msgspec.convert(given[parameter.name], parameter.type, dec_hook=_decode)
            except (msgspec.ValidationError, ValueError, TypeError) as invalid:
                faults.append(f"{parameter.name}: {invalid}")
        if faults:
            raise ToolArgumentsInvalid(self.name, faults)
        return values

    def taken(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Of `arguments`, those that this tool has a parameter for."""
        if self.checker is not None:
            properties = self.schema.get("properties", {})
            return {name: value for name, value in arguments.items() if name in properties}
        return {p.name: arguments[p.name] for p in self.parameters if p.name in arguments}


@overload
def tool(function: Function, /) -> Function: ...
@overload
def tool(
    *,
    name: str = "",
    effect: Effect = "once",
    reversible_by: str = "",
    reconcile: Callable[..., Any] | None = None,
    description: str = "",
    isolated: bool = False,
    reads: Sequence[str] = (),
    door: Door | None = None,
    asks: Sequence[str] = (),
) -> Callable[[Function], Function]: ...
def tool(
    function: Any = None,
    /,
    *,
    name: str = "",
    effect: Effect = "once",
    reversible_by: str = "",
    reconcile: Callable[..., Any] | None = None,
    description: str = "",
    isolated: bool = False,
    reads: Sequence[str] = (),
    door: Door | None = None,
    asks: Sequence[str] = (),
) -> Any:
    """Marks a sync or async function as a tool; the function itself stays as it is.

    Args:
        name: as contracts and models write it; the function's own name by default.
        effect: what running it twice does. `none`: nothing (a look-up) · `idempotent`: nothing if the key is the same (hand
            `ctx.idempotency_key` on) · `reconcile`: `reconcile` can tell whether it happened · `once`: harm, so after a crash a
            person decides. The default is the careful one.
        reversible_by: name of the tool that undoes it when the task fails or is denied.
        isolated: it runs in the sandbox, where its file is loaded anew and finds the standard library only.
        reads: files of the workspace that an isolated tool finds, as copies of its own, below `ctx.workspace`.
        door: the database that an isolated tool may ask, through `ctx.ask`.
        asks: names of the door's statements that it may ask; with `effect="none"` it can change nothing by them.

    Raises:
        TypeError: the signature has something a JSON object cannot carry, or `effect` and `reconcile` do not fit.
    """

    def mark(target: Any) -> Any:
        made = make(
            target,
            name=name,
            effect=effect,
            reversible_by=reversible_by,
            reconcile=reconcile,
            description=description,
            isolated=isolated,
            reads=reads,
            door=door,
            asks=asks,
        )
        setattr(target, _MARK, made)
        return target

    return mark if function is None else mark(function)


def tool_of(thing: object) -> Tool | None:
    """The tool that a function was marked as, if it was."""
    found = getattr(thing, _MARK, None)
    return found if isinstance(found, Tool) else None


def make(
    function: Callable[..., Any],
    *,
    name: str = "",
    effect: Effect = "once",
    reversible_by: str = "",
    reconcile: Callable[..., Any] | None = None,
    description: str = "",
    isolated: bool = False,
    reads: Sequence[str] = (),
    door: Door | None = None,
    asks: Sequence[str] = (),
) -> Tool:
    """The `Tool` of a function; what `@tool` does, for functions that cannot be decorated."""
    title = name or function.__name__
    if not _NAME.fullmatch(title):
        raise TypeError(f"tool name {title!r}: use letters, digits, - and _, in parts joined by dots")
    if effect not in _EFFECTS:
        raise TypeError(f"tool {title}: effect {effect!r} is none of {', '.join(_EFFECTS)}")
    if (effect == "reconcile") != (reconcile is not None):
        raise TypeError(f"tool {title}: effect='reconcile' and reconcile=FUNCTION go together")
    if reads and not isolated:
        raise TypeError(f"tool {title}: reads=[...] is for isolated tools; any other reads its workspace itself")
    if (door is not None or asks) and not (isolated and door is not None and asks):
        raise TypeError(f"tool {title}: door=DOOR and asks=[...] go together, and with isolated=True")
    doc = inspect.getdoc(function) or ""
    parameters = _parameters(function, title)
    return Tool(
        name=title,
        function=function,
        parameters=parameters,
        schema=_schema(title, parameters, _argument_docs(doc)),
        effect=effect,
        description=description or doc.split("\n\n", 1)[0].replace("\n", " ").strip(),
        reversible_by=reversible_by,
        reconcile=reconcile,
        takes_ctx="ctx" in inspect.signature(function).parameters,
        isolated=isolated,
        reads=tuple(reads),
        door=door,
        asks=tuple(asks),
    )


def accepted(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Of `arguments`, those that `function` has parameters for."""
    taken = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        return dict(arguments)
    return {name: value for name, value in arguments.items() if name in taken}


def _parameters(function: Callable[..., Any], title: str) -> tuple[Parameter, ...]:
    hints = get_type_hints(function, include_extras=True)
    parameters: list[Parameter] = []
    for name, given in inspect.signature(function).parameters.items():
        if name == "ctx":
            continue
        if hints.get(name) is ToolContext:
            raise TypeError(f"tool {title}: the ToolContext parameter must be called ctx, not {name}")
        if given.kind in (given.VAR_POSITIONAL, given.VAR_KEYWORD, given.POSITIONAL_ONLY):
            raise TypeError(f"tool {title}: parameter {given} cannot be given by name; declare named parameters")
        if name not in hints:
            raise TypeError(f"tool {title}: parameter {name} has no type; write e.g. `{name}: str`")
        required = given.default is given.empty
        parameters.append(Parameter(name, hints[name], required, None if required else given.default))
    return tuple(parameters)


def _schema(title: str, parameters: tuple[Parameter, ...], docs: Mapping[str, str]) -> dict[str, Any]:
    try:
        schemas, components = msgspec.json.schema_components(
            [p.type for p in parameters], schema_hook=_foreign_schema, ref_template="#/$defs/{name}"
        )
    except (TypeError, NotImplementedError) as unsupported:
        raise TypeError(f"tool {title}: no JSON Schema for its parameters: {unsupported}") from unsupported
    properties: dict[str, Any] = {}
    for parameter, schema in zip(parameters, schemas, strict=True):
        described = dict(schema)
        if parameter.name in docs:
            described["description"] = docs[parameter.name]
        if not parameter.required:
            described["default"] = msgspec.to_builtins(parameter.default, enc_hook=encode)
        properties[parameter.name] = described
    whole: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": [p.name for p in parameters if p.required],
        "additionalProperties": False,
    }
    return {**whole, "$defs": components} if components else whole


def _argument_docs(doc: str) -> dict[str, str]:
    """The lines of a docstring's `Args:` section, by parameter."""
    _, found, section = doc.partition("Args:")
    return {m[1]: m[2].strip() for line in section.splitlines() if (m := _ARGUMENT_LINE.match(line))} if found else {}


def encode(value: Any) -> Any:
    """JSON form of values that msgspec does not know: pydantic models, without importing pydantic; anything else as text."""
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if callable(dump) else str(value)


def _decode(wanted: type, value: Any) -> Any:
    validate = getattr(wanted, "model_validate", None)
    if callable(validate):
        return validate(value)
    raise TypeError(f"a value of type {wanted.__name__} cannot be made from JSON")


def _foreign_schema(wanted: type) -> dict[str, Any]:
    schema = getattr(wanted, "model_json_schema", None)
    if callable(schema):
        made: dict[str, Any] = schema()  # pyright: ignore[reportAssignmentType]
        return made
    raise NotImplementedError(f"{wanted!r} has no JSON form")


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, known, n=1)
    return (
        f"{name} is not an argument{f', did you mean {near[0]}?' if near else ''} (known: {', '.join(known) or 'none'})"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
