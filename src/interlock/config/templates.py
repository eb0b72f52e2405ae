"""Answers and arguments with places to fill: `Order {order.id} costs {order.total_usd|usd}`.

A place is a name with dots and at most one filter out of a fixed list; nothing else is understood, so a template reaches only what the
facts hold. `{name?}` may be absent. `{{` and `}}` are braces. Above: flow, agents. Below: terms (look-up) and the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from .names import nearest
from .shapes import is_list, is_section
from .terms import Facts, look_up

MAX_CHARS = 20_000
"""Longest template."""
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_INSIDE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)(\?)?\s*(?:\|\s*([a-z_]+)\s*)?")
_MISSING = object()


class TemplateError(ValueError):
    """The text is no template, or uses an unknown name. `column` counts from one within the text."""

    def __init__(self, message: str, column: int, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.column, self.hint = message, column, hint


class NameMissing(LookupError):
    """A place could not be filled: the facts do not hold `name`, or not in a form that its filter can show."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class _Place(NamedTuple):
    path: str
    filter: str
    column: int
    optional: bool


class Template:
    """A parsed template. Equal texts are equal templates."""

    __slots__ = ("_pieces", "text")

    def __init__(self, text: str) -> None:
        """Raises TemplateError when `text` cannot be read."""
        if len(text) > MAX_CHARS:
            raise TemplateError(f"a template has at most {MAX_CHARS:,} characters, this one has {len(text):,}", 1)
        self.text = text
        self._pieces = _pieces(text)

    def render(self, facts: Facts) -> str:
        """The text with every place filled.

        Raises:
            NameMissing: a name that is not marked with `?` is not among the facts or is null, or its filter cannot show it.
        """
        return "".join(piece if isinstance(piece, str) else _text(_filled(piece, facts)) for piece in self._pieces)

    def value(self, facts: Facts) -> Any:
        """As `render`, but a template that is one place alone gives the value itself, with its type."""
        if len(self._pieces) == 1 and isinstance(self._pieces[0], _Place):
            return _filled(self._pieces[0], facts)
        return self.render(facts)

    def unknown_names(self, known: Collection[str]) -> list[TemplateError]:
        """One error for each place whose name (of `order.status` it is `order`) is not among `known`, with its column and the nearest."""
        places = [piece for piece in self._pieces if isinstance(piece, _Place)]
        roots = [(place.path.split(".")[0], place.column) for place in places]
        return [
            TemplateError(f"unknown name {root!r}", column, nearest(root, known))
            for root, column in roots
            if root not in known
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.text == self.text

    def __hash__(self) -> int:
        return hash(("Template", self.text))

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


class Arguments:
    """Arguments of a tool call whose texts are templates, at any depth."""

    __slots__ = ("_compiled", "source", "templates")

    def __init__(self, source: Mapping[str, Any]) -> None:
        """Raises TemplateError for the first text that cannot be read."""
        self.source = dict(source)
        """As it stands in the file."""
        found: list[tuple[str, Template]] = []
        self._compiled: dict[str, Any] = _compiled(self.source, "", found)
        self.templates: tuple[tuple[str, Template], ...] = tuple(found)
        """Every text with its dotted path."""

    def value(self, facts: Facts) -> dict[str, Any]:
        """The arguments with every place filled; a text that is one place alone keeps the value's type, null for an absent `{x?}`.

        Raises:
            NameMissing: as `Template.render`.
        """
        return {key: _value(each, facts) for key, each in self._compiled.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Arguments) and other.source == self.source

    __hash__ = None  # type: ignore[assignment]  # its source holds dicts; the base class declares a method

    def __repr__(self) -> str:
        return f"Arguments({self.source!r})"


def _pieces(text: str) -> tuple[str | _Place, ...]:
    pieces: list[str | _Place] = []
    at = 0
    for found in _PLACE.finditer(text):
        if found.start() > at:
            pieces.append(text[at : found.start()])
        at = found.end()
        if found[0] in ("{{", "}}"):
            pieces.append(found[0][0])
        elif found[1] is None:
            raise TemplateError(f"a lone {found[0]!r}", found.start() + 1, "A brace that is meant is written twice.")
        else:
            pieces.append(_place(found[1], found.start() + 1))
    return (*pieces, text[at:]) if at < len(text) else tuple(pieces)


def _place(inside: str, column: int) -> _Place:
    match = _INSIDE.fullmatch(inside)
    if match is None:
        hint = "A place is a name with dots and at most one filter: {order.total_usd|usd}. A brace that is meant is written twice."
        raise TemplateError(f"{{{inside}}} is not a place", column, hint)
    if match[3] is not None and match[3] not in _FILTERS:
        raise TemplateError(f"unknown filter {match[3]!r}", column, nearest(match[3], _FILTERS))
    return _Place(match[1], match[3] or "", column, optional=match[2] is not None)


def _filled(place: _Place, facts: Facts) -> Any:
    value = look_up(place.path.split("."), facts, _MISSING)
    if value is _MISSING or value is None:
        if place.optional:
            return None
        raise NameMissing(place.path, f"{place.path} is not known here")
    if not place.filter:
        return value
    shown = _FILTERS[place.filter](value)
    if shown is None:
        raise NameMissing(place.path, f"{place.path} cannot be shown as {place.filter}")
    return shown


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_list(value):
        return ", ".join(_text(item) for item in value)
    return str(value)


def _compiled(value: Any, path: str, found: list[tuple[str, Template]]) -> Any:
    if isinstance(value, str):
        template = Template(value)
        found.append((path, template))
        return template
    if is_section(value):
        return {key: _compiled(each, f"{path}.{key}" if path else str(key), found) for key, each in value.items()}
    if is_list(value):
        return [_compiled(each, f"{path}[{at}]", found) for at, each in enumerate(value)]
    return value


def _value(compiled: Any, facts: Facts) -> Any:
    if isinstance(compiled, Template):
        return compiled.value(facts)
    if is_section(compiled):
        return {key: _value(each, facts) for key, each in compiled.items()}
    if is_list(compiled):
        return [_value(each, facts) for each in compiled]
    return compiled


def _as_usd(value: Any) -> str | None:
    """`129` → `$129.00`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    if not amount.is_finite():
        return None
    return f"-${-amount:,.2f}" if amount < 0 else f"${amount:,.2f}"


def _as_date(value: Any) -> str | None:
    """`2026-09-14` and timestamps that begin so → `September 14, 2026`."""
    try:
        day = date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
    return f"{day:%B} {day.day}, {day.year}"


_FILTERS: Mapping[str, Callable[[Any], str | None]] = {"usd": _as_usd, "date": _as_date}
