"""A fast check in front of the guards: one pass over a text shows for sure when neither masking nor the rules of injections would find anything.

Above: guards, `app`. Below: folding, injection, scan, signs. Most texts hold nothing, and that is seen in one pass of one set matcher instead of one for each part; between two system
calls a pass costs twice what it costs alone, since its automaton has to come from afar. Whatever is seen is left to the parts, which share the matcher.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .folding import folded
from .injection import HIDDEN, Injection
from .scan import Scanner
from .signs import Signs


class Glance:
    """Made once for what a workspace looks for."""

    __slots__ = ("_signs",)

    def __init__(self, signs: Signs) -> None:
        """`signs`: of all parts, so that a text in which none occurs holds nothing for any of them."""
        self._signs = signs

    def finds_nothing(self, text: str) -> bool:
        """For sure: no part would find anything, and no token stands in it. False: they have to be asked."""
        if "[" in text:
            return False
        if text.isascii():
            return not self._signs.of(text)
        return HIDDEN.search(text) is None and not self._signs.of(folded(text)[0])


class Sharing(NamedTuple):
    """The parts over one matcher."""

    glance: Glance
    scanner: Scanner | None
    rules: Injection | None


def sharing(scanner: Scanner | None, rules: Injection | None) -> Sharing | None:
    """One matcher for both, compiled; `None` where a part has to read each text itself (a detector, a classifier)."""
    if (scanner is not None and not scanner.by_signs) or (rules is not None and not rules.by_signs):
        return None
    first: Sequence[str] = () if scanner is None else scanner.signs
    then: Sequence[str] = () if rules is None else rules.signs
    signs, here = Signs([*first, *then]), len(first)
    signs.of("")
    return Sharing(
        Glance(signs),
        None if scanner is None else scanner.over(signs.part(0, here)),
        None if rules is None else rules.over(signs.part(here, here + len(then))),
    )
