r"""Which of many patterns occur in a text, in one pass: RE2's set matcher where it is installed (extra `pii`), one search each where it is not.

Above: scan, signals, moderation. Below: re2 (https://github.com/google/re2, `re2/set.h`). Patterns keep to what RE2 and `re` both know,
`\\d` and `\\w` meaning ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

_MAX_MEM = 64 << 20
"""Bytes that RE2 may take for its automaton."""
_WIDE = re.compile(r"(?<!\\)(?<!\[)(?<!\[\^)\]\{([01]),(?:[2-9]\d|[1-9]\d\d)\}")
"""A class of characters repeated up to twenty times or more. RE2 unrolls each, and the shipped patterns took it 15 ms to compile with them, 5 without."""


class Signs:
    """Made once for a list of patterns.

    Raises:
        ValueError: a pattern is none.
    """

    __slots__ = ("_match", "_patterns")

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)
        together = bool(patterns) and find_spec("re2") is not None
        self._match: Callable[[str], Sequence[int] | None] = self._together() if together else self._one_by_one()

    def of(self, text: str) -> Sequence[int]:
        """Indices of the patterns that occur somewhere in `text`, in no order."""
        return self._match(text) or ()

    def part(self, begin: int, end: int) -> Part:
        """Those patterns alone, counted from the first of them."""
        return Part(self, begin, end)

    def _one_by_one(self) -> Callable[[str], Sequence[int] | None]:
        try:
            compiled = [re.compile(pattern, re.ASCII) for pattern in self._patterns]
        except re.error as wrong:
            raise ValueError(f"not a pattern: {wrong.pattern!r}: {wrong}") from wrong
        return lambda text: [index for index, pattern in enumerate(compiled) if pattern.search(text)]

    def _together(self) -> Callable[[str], Sequence[int] | None]:
        re2: Any = import_module("re2")
        options = re2.Options()
        options.max_mem = _MAX_MEM
        options.log_errors = False
        together = re2.Set.SearchSet(options)
        exact: dict[int, Callable[[bytes], object]] = {}
        for index, pattern in enumerate(self._patterns):
            sign = _WIDE.sub(_unbounded, pattern)
            if sign != pattern:
                exact[index] = partial(_search, re2, options, pattern)
            try:
                together.Add(sign)
                if sign != pattern:
                    re2.Set.SearchSet(options).Add(pattern)  # read, not compiled
            except re2.error as wrong:
                raise ValueError(f"not a pattern: {pattern!r}: {wrong}") from wrong
        together.Compile()
        match: Callable[[bytes], list[int] | None] = together.Match

        def occurring(text: str) -> Sequence[int] | None:
            data = text.encode("utf-8", "replace")
            found = match(data)
            return found and [index for index in found if index not in exact or exact[index](data)]

        return occurring


def _unbounded(found: re.Match[str]) -> str:
    """Whatever the pattern fits, this does."""
    return "]+" if found[1] == "1" else "]*"


def _search(re2: Any, options: Any, pattern: str, data: bytes) -> object:
    """Whether the pattern itself occurs, where its sign does; compiled for the first text that shows it, and kept by re2."""
    return re2.compile(pattern, options).search(data)


class Part:
    """Some of the patterns of a matcher, for one of several who share it."""

    __slots__ = ("_begin", "_end", "_whole")

    def __init__(self, whole: Signs, begin: int, end: int) -> None:
        self._whole, self._begin, self._end = whole, begin, end

    def of(self, text: str) -> Sequence[int]:
        """As `Signs.of`."""
        begin, end = self._begin, self._end
        return [index - begin for index in self._whole.of(text) if begin <= index < end]
