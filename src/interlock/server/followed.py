"""The configuration as the workers' supervisor knows it: what a newly forked worker starts with. Above: cli. Below: board, config."""

from __future__ import annotations

from pathlib import Path

from interlock.app.versions import version_of
from interlock.config.load import load
from interlock.config.workspace import Workspace

from .board import Board


class Followed:
    """What a new worker begins with: the newest files that the others have taken over."""

    def __init__(self, root: Path) -> None:
        """Raises ConfigError."""
        self._root = root
        self._good = self._found = load(root)

    def now(self, board: Board) -> Workspace:
        """The files as they were looked at last where workers serve them, else those of before."""
        if self._found is not self._good and version_of(self._found) in {each.version for each in board.rows()}:
            self._good = self._found
        return self._good

    def look(self, board: Board) -> None:
        """Reads them anew. Raises ConfigError: they are at fault, and what is good stays."""
        self.now(board)
        self._found = load(self._root)
