"""Unmasking in a streamed text: tokens and stand-ins are turned back as pieces come, and at most a bounded tail is held back, wherever the pieces are cut.

Above: guards. Below: pieces, standins, veil.
"""

from __future__ import annotations

import re

from interlock.core.guards import Uncover

from . import standins
from .veil import Veil

_OPEN = re.compile(r"\[(?:[a-z][a-z_]{0,19}(?::[a-z2-7]{0,1680})?)?$")
_WORD = re.compile(rf"[^\s\"'<>()]{{1,{standins.LONGEST}}}$")


class Uncovering:
    """Tokens and stand-ins of one text turned back as it comes."""

    __slots__ = ("_inside_json", "_tail", "_tenant", "_veil")

    def __init__(self, veil: Veil, tenant: str, *, inside_json: bool = False) -> None:
        self._veil, self._tenant, self._inside_json = veil, tenant, inside_json
        self._tail = ""

    def feed(self, piece: str) -> str:
        """What may go out now."""
        text = self._tail + piece
        cut = len(text)
        if "[" in text and (opened := _OPEN.search(text)) is not None:
            cut = opened.start()
        elif self._veil.with_stand_ins and (word := _WORD.search(text)) is not None:
            cut = word.start()
        self._tail = text[cut:]
        return self._back(text[:cut])

    def end(self) -> str:
        """The rest."""
        tail, self._tail = self._tail, ""
        return self._back(tail)

    def _back(self, text: str) -> str:
        return self._veil.uncover(self._tenant, text, inside_json=self._inside_json) if text else text


class Both:
    """What a model wrote by itself is redacted first; then `then` has what is left."""

    __slots__ = ("_first", "_then")

    def __init__(self, veil: Veil, then: Uncover) -> None:
        self._first, self._then = veil.covering(), then

    def feed(self, piece: str) -> str:
        """What may go out now."""
        return self._then.feed(self._first.feed(piece))

    def end(self) -> str:
        """The rest."""
        return self._then.feed(self._first.end()) + self._then.end()
