"""What an evidence pack is made of: facts with ids, each a small table, so that a page, a program and a mapping read the same thing.

Above: declared, witnessed, evidence. Below: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

LONE = "(calls of no contract)"
Row = dict[str, Any]
"""By column: text, whole numbers, shares, truths, lists of text. Never a secret, never what a model or a customer said."""


class Fact(Struct, frozen=True):
    """One thing that is so."""

    id: str
    """Stable: mappings name it."""
    title: str
    rows: tuple[Row, ...]
    """All with the same columns; none where there is nothing of it, and `none` says what that means."""
    none: str = "There is none."
    note: str = ""


class Section(Struct, frozen=True):
    """Facts about one question that reviewers ask."""

    title: str
    facts: tuple[Fact, ...]


class Clause(Struct, frozen=True):
    """One clause of a framework, and what of the pack speaks to it."""

    clause: str
    title: str
    facts: tuple[str, ...]
    speaks: str
    missing: str
    """What it asks for that no fact of the pack shows."""


class Framework(Struct, frozen=True):
    """A text that reviewers hold a system against."""

    name: str
    source: str
    date: str
    """Of the text, as it was read for the mapping."""
    clauses: tuple[Clause, ...]


class Pack(Struct, frozen=True):
    """All of it."""

    workspace: str
    made_at: str
    """UTC, ISO 8601; also where the period ends."""
    since: str
    """Where the period begins; empty: with the ledger."""
    interlock: str
    """Version that looked."""
    sections: tuple[Section, ...]
    frameworks: tuple[Framework, ...]

    @property
    def facts(self) -> Mapping[str, Fact]:
        """By id."""
        return {fact.id: fact for section in self.sections for fact in section.facts}
