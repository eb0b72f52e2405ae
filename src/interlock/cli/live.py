"""What a task's model writes, on the terminal while it is written. Above: `run`. Below: rich.

On stderr: what stdout gets is the result. A text that begins anew is told so and begins a line of its own.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from interlock.core.live import Calling, Live, Writing

from .palette import DIM
from .text import clean


class Shown:
    """Prints pieces as they come."""

    def __init__(self, where: Console) -> None:
        self._where = where
        self._call = (0, 0, -1)
        self._inside = False
        """In the middle of a line."""

    def hear(self, piece: Live) -> None:
        """One piece."""
        if isinstance(piece, Writing):
            self._end()
            if piece.held or piece.why:
                self._line(f"[not shown before its end: {piece.held}]" if piece.held else f"[anew: {piece.why}]")
            return
        if isinstance(piece, Calling):
            which = (piece.step, piece.attempt, piece.call)
            if which != self._call:
                self._end()
                self._call = which
                self._print(f"{piece.name} ")
        self._print(piece.text)

    def _print(self, text: str) -> None:
        if text:
            self._where.print(Text(clean(text), DIM), end="", soft_wrap=True)
            self._inside = True

    def _line(self, text: str) -> None:
        self._where.print(Text(text, DIM), soft_wrap=True)

    def _end(self) -> None:
        if self._inside:
            self._where.print()
        self._inside = False

    def end(self) -> None:
        """Nothing more comes."""
        self._end()
