"""Looking at texts as a workspace's guards would, without calling anybody: for people who set them up, and for judging them on labelled texts.

Above: cli. Below: guarding, governance.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from interlock.config.guards import Pii
from interlock.config.load import load
from interlock.governance.injection import Injection, model_of
from interlock.governance.moderation import Rules
from interlock.governance.redact import replaced

from .guarding import scanner_of


class Seen(Struct, frozen=True):
    """One stretch."""

    start: int
    """Characters of the text."""
    end: int
    kind: str


class Looked(Struct, frozen=True):
    """What guards see in one text."""

    finds: tuple[Seen, ...]
    signals: tuple[str, ...]
    redacted: str


class Scanning:
    """Made once; no text leaves it."""

    def __init__(self, path: Path | None) -> None:
        """`path`: a workspace, whose `pii` and `guards.moderation.rules` count; without one the usual kinds.

        Raises:
            ConfigError: its files cannot be used.
        """
        workspace = None if path is None else load(path)
        files = None if workspace is None else workspace.settings
        said = files.pii if files is not None and files.pii is not None else Pii()
        self._scanner = scanner_of(said, Path() if workspace is None else workspace.root)
        self._injection = Injection(model_of())
        own = () if files is None else files.guards.moderation.rules
        self._rules = Rules([(each.category, each.pattern) for each in own])

    def look(self, text: str) -> Looked:
        """Everything in one text."""
        found = self._scanner.find(text)
        signals = [*self._injection.signals(text), *(f"moderation:{each}" for each in self._rules.categories(text))]
        redacted = replaced(text, found, [f"[{each.kind}]" for each in found])
        return Looked(tuple(Seen(*each) for each in found), tuple(sorted(signals)), redacted)
