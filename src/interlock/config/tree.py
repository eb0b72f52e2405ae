"""YAML text → a tree that remembers where everything stood. Above: load. Below: PyYAML's event parser and `core.errors`.

What a scalar means follows YAML 1.2: only `true` and `false` are booleans, dates are text, numbers with a point are exact decimals
(so that money never passes through a float). Nothing in a file can build an object or make the reader grow without bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import yaml

from interlock.core.errors import Fault

MAX_CHARS = 2_000_000
"""Longest file that is read."""
MAX_NODES = 200_000
"""Most values in one file, an alias counted as everything it repeats."""
MAX_DEPTH = 40
"""Deepest nesting of sections."""

Scalar = str | int | Decimal | bool | None

_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_ENV = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{([^}]*)\}?")
_STR_TAG = "tag:yaml.org,2002:str"
_Event = Any
"""One of PyYAML's parse events; the library ships no types for what it yields."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; line and column count from one."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a section with its value."""

    key: Mark
    node: Node


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands."""

    mark: Mark
    value: Scalar | tuple[Node, ...] | Mapping[str, Entry]
    text: Mark | None = None
    """Where the characters of a one-line scalar begin, after the quote; `None` where they cannot be counted."""
    env: tuple[str, ...] = ()
    """Names of the environment variables that were put in; where there are some the value must not be shown."""
    size: int = 1

    @property
    def sections(self) -> Mapping[str, Entry] | None:
        """Its keys with their values; `None` when it is not a section."""
        return self.value if isinstance(self.value, Mapping) else None

    @property
    def items(self) -> tuple[Node, ...] | None:
        """Its items; `None` when it is not a list."""
        return self.value if isinstance(self.value, tuple) else None

    def fault(self, key: str, message: str, hint: str = "") -> Fault:
        return fault_at(self.mark, key, message, hint)

    def data(self) -> Any:
        """The value without the places: dicts, lists and scalars, numbers with a point as `Decimal`."""
        if isinstance(self.value, tuple):
            return [item.data() for item in self.value]
        if isinstance(self.value, Mapping):
            return {key: entry.node.data() for key, entry in self.value.items()}
        return self.value


@dataclass(frozen=True, slots=True)
class Parsed:
    """What became of a text; `node` is `None` when it could not be read at all."""

    node: Node | None
    faults: tuple[Fault, ...]
    variables: frozenset[str] = frozenset()
    """Names of the environment variables that the text asks for."""


class _Unreadable(Exception):
    """The text cannot be read further."""

    def __init__(self, mark: Mark, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.mark, self.message, self.hint = mark, message, hint


def fault_at(mark: Mark, key: str, message: str, hint: str = "") -> Fault:
    return Fault(file=mark.file, line=mark.line, column=mark.column, key=key, message=message, hint=hint)


def parse(text: str, file: str, env: Mapping[str, str] | None = None, *, first_line: int = 1) -> Parsed:
    """The tree of one YAML document, with every fault that reading it can show.

    `env` is what `${NAME}` and `${NAME:-default}` are taken from; without it they stay as written. `first_line` is the line of
    `file` on which `text` begins.
    """
    start = Mark(file, first_line, 1)
    if len(text) > MAX_CHARS:
        return Parsed(None, (fault_at(start, "", f"the file is longer than {MAX_CHARS:,} characters", "Split it."),))
    reader = _Reader(text, file, env, first_line)
    try:
        node = reader.document()
    except _Unreadable as stop:
        return Parsed(None, (*reader.faults, fault_at(stop.mark, "", stop.message, stop.hint)))
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark or error.context_mark
        mark = Mark(file, where.line + first_line, where.column + 1) if where else start
        said = " ".join(str(part) for part in (error.context, error.problem) if part)
        return Parsed(
            None, (*reader.faults, fault_at(mark, "", f"not valid YAML: {said}", _yaml_hint(text, mark, first_line)))
        )
    except yaml.YAMLError as error:
        return Parsed(None, (*reader.faults, fault_at(start, "", f"not valid YAML: {' '.join(str(error).split())}")))
    return Parsed(node, tuple(reader.faults), frozenset(reader.variables))


def _yaml_hint(text: str, mark: Mark, first_line: int) -> str:
    lines = text.splitlines()
    at = mark.line - first_line
    around = lines[max(0, at - 1) : at + 1]
    if any("\t" in line for line in around):
        return "Indent with spaces, not with tabs."
    return "Look at the indentation, quotes and brackets on this line and the one before."


def scalar(text: str) -> Scalar:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return Decimal(text)
    return text


class _Reader:
    """Builds the tree from parse events; one per document."""

    def __init__(self, text: str, file: str, env: Mapping[str, str] | None, first_line: int) -> None:
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[_Event] = yaml.parse(text, Loader=loader)
        self._lines = text.splitlines()
        self._file, self._env, self._first = file, env, first_line
        self._anchors: dict[str, Node] = {}
        self._count = 0
        self.faults: list[Fault] = []
        self.variables: set[str] = set()

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise _Unreadable(self._mark(event), "a second document begins here", "Keep one document per file.")
            if isinstance(event, yaml.NodeEvent):
                root = self._node(event, "", 0)
        return root or Node(Mark(self._file, self._first, 1), {})

    def _mark(self, event: _Event) -> Mark:
        return Mark(self._file, event.start_mark.line + self._first, event.start_mark.column + 1)

    def _node(self, event: _Event, key: str, depth: int) -> Node:
        mark = self._mark(event)
        if depth > MAX_DEPTH:
            raise _Unreadable(mark, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._counted(self._alias(event, mark, key))
        node = self._fresh(event, mark, key, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _fresh(self, event: _Event, mark: Mark, key: str, depth: int) -> Node:
        self._check_tag(event, mark, key)
        if isinstance(event, yaml.ScalarEvent):
            return self._counted(self._scalar(event, mark, key))
        self._counted(Node(mark, None))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(mark, key, depth)
        return self._mapping(mark, key, depth)

    def _alias(self, event: _Event, mark: Mark, key: str) -> Node:
        known = self._anchors.get(event.anchor)
        if known is None:
            self.faults.append(
                fault_at(mark, key, f"no anchor &{event.anchor} stands above", "Define it before its use.")
            )
            return Node(mark, None)
        return replace(known, mark=mark, text=None)

    def _counted(self, node: Node) -> Node:
        self._count += node.size
        if self._count > MAX_NODES:
            raise _Unreadable(node.mark, f"the file unfolds to more than {MAX_NODES:,} values", "Are aliases nested?")
        return node

    def _check_tag(self, event: _Event, mark: Mark, key: str) -> None:
        if event.tag not in (None, "!", _STR_TAG):
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.faults.append(fault_at(mark, key, f"the tag {shown} is not supported", "Write the plain value."))

    def _sequence(self, mark: Mark, key: str, depth: int) -> Node:
        items: list[Node] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._node(event, f"{key}[{len(items)}]", depth + 1))
        return Node(mark, tuple(items), size=1 + sum(item.size for item in items))

    def _mapping(self, mark: Mark, key: str, depth: int) -> Node:
        entries: dict[str, Entry] = {}
        merged: list[Node] = []
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            at = self._mark(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _Unreadable(at, "a key must be a name", "Put the value in quotes if it begins with { or [.")
            name: str = event.value
            inner = f"{key}.{name}" if key else name
            node = self._node(next(self._events), inner, depth + 1)
            if name == "<<" and not event.style:
                merged.extend(node.value if isinstance(node.value, tuple) else (node,))
            elif name in entries:
                first = entries[name].key.line
                self.faults.append(fault_at(at, inner, f"this key stands twice; first on line {first}", "Remove one."))
            else:
                entries[name] = Entry(at, node)
        for node in merged:
            if not isinstance(node.value, Mapping):
                self.faults.append(node.fault(key, "`<<` takes a section or a list of sections"))
                continue
            entries = {**node.value, **entries}
        return Node(mark, entries, size=1 + sum(entry.node.size for entry in entries.values()))

    def _scalar(self, event: _Event, mark: Mark, key: str) -> Node:
        written: str = event.value
        value, names = self._substituted(written, mark, key)
        offset = mark.column if event.style else mark.column - 1
        at = mark.line - self._first
        line = self._lines[at] if at < len(self._lines) else ""
        text = Mark(mark.file, mark.line, offset + 1) if written and line[offset:].startswith(written) else None
        # What a variable holds stays text: a key of digits is no number. Fields that take a number read it from the text.
        plain = not (event.style or event.tag or names)
        return Node(mark, scalar(value) if plain else value, text=text, env=names)

    def _substituted(self, text: str, mark: Mark, key: str) -> tuple[str, tuple[str, ...]]:
        """The text with the variables put in, and their names."""
        env = self._env
        if env is None or "${" not in text:
            return text, ()
        names: list[str] = []

        def value_of(found: re.Match[str]) -> str:
            if found[0] == "$${":
                return "${"
            name, default = found[1], found[2]
            if name is None:
                self.faults.append(
                    fault_at(
                        mark,
                        key,
                        f"${{{found[3]}}} is not a variable",
                        "Write ${NAME} or ${NAME:-default}; $${ for ${.",
                    )
                )
                return ""
            names.append(name)
            if default is not None:
                return env.get(name) or default
            if name not in env:
                hint = f"Set {name}, or give a default: ${{{name}:-}}."
                self.faults.append(fault_at(mark, key, f"the environment variable {name} is not set", hint))
            return env.get(name, "")

        replaced = _ENV.sub(value_of, text)
        self.variables.update(names)
        return replaced, tuple(names)
