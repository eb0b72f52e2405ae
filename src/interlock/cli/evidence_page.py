"""An evidence pack as one Markdown page. Above: evidence. Below: nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from interlock.core.text import clean

if TYPE_CHECKING:
    from interlock.app.pack import Fact, Framework, Pack, Row

NOT = (
    "Worked out by `interlock evidence` from this workspace's files and its store; nobody wrote it by hand. It is material for a review, "
    "not its result: no statement of conformity, no legal advice. What is declared is what the files say; what is witnessed is what the store holds."
)


def page(pack: Pack) -> str:
    """The whole of it; the same pack gives the same text."""
    return "\n".join(_lines(pack)).rstrip() + "\n"


def _lines(pack: Pack) -> Iterator[str]:
    yield f"# Evidence: {_cell(pack.workspace)}"
    yield ""
    begins = pack.since or "the beginning of the ledger"
    yield f"As of {pack.made_at}; the period begins with {begins}. Interlock {pack.interlock}."
    yield ""
    yield NOT
    for section in pack.sections:
        yield from ("", f"## {section.title}")
        for fact in section.facts:
            yield from _fact(fact)
    yield from ("", "## What speaks to which clause")
    for framework in pack.frameworks:
        yield from _framework(framework)


def _fact(fact: Fact) -> Iterator[str]:
    yield from ("", f"### {fact.title}", "", f"`{fact.id}`", "")
    if fact.rows:
        yield from _table(list(fact.rows[0]), fact.rows)
    else:
        yield fact.none
    if fact.note:
        yield from ("", fact.note)


def _framework(framework: Framework) -> Iterator[str]:
    yield from ("", f"### {framework.name}", "", f"{framework.source}; {framework.date}.", "")
    rows: list[Row] = [
        {
            "clause": each.clause,
            "about": each.title,
            "facts": [f"`{name}`" for name in each.facts],
            "what they show": each.speaks,
            "not covered": each.missing,
        }
        for each in framework.clauses
    ]
    yield from _table(list(rows[0]), rows)


def _table(columns: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield f"| {' | '.join(_cell(row[name]) for name in columns)} |"


def _cell(value: Any) -> str:
    """One line that breaks no table and hides no mark-up: names in it are other people's."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(_cell(each) for each in value) or "–"  # pyright: ignore[reportUnknownVariableType]
        case _:
            text = clean(str(value)).replace("\n", " ")
            return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") or "–"
