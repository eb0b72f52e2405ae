"""Text on the terminal. Above: every verb. Below: `core.text`, which makes it safe; `rich` only where markup is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.core.text import clean, compact, money, one_line, plural, share

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["cell", "clean", "compact", "money", "one_line", "plural", "share"]


def cell(value: object, style: str = "", width: int = 0) -> Text:
    """`one_line` as a piece of a table: data is never read as markup."""
    from rich.text import Text

    return Text(one_line(value, width), style=style)
