"""Personal data and credentials taken out of text before it is stored or logged: each find becomes `[kind]`.

What is looked for is in `kinds`; names and addresses of people only where they are asked for (`people`).

Above: `app` hands it to the store, to the gateway's records and to the log. Below: scan, kinds, secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from .kinds import USUAL, kinds
from .scan import Find, Scanner
from .secrets import rules_of


class Redactor:
    """Called with a text; order ids and other plain numbers stay. Made without work, ready at its first text or by `ready`."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner

    def __call__(self, text: str) -> str:
        found = self._scanner.find(text)
        return replaced(text, found, [f"[{each.kind}]" for each in found]) if found else text

    def ready(self) -> None:
        """Does now what the first text would have to wait for."""
        self._scanner.ready()


@cache
def usual() -> Redactor:
    """With the usual kinds and the shipped rules for credentials; numbering plans of telephones are not asked. Made once."""
    return Redactor(Scanner(kinds(USUAL, rules_of())))


def redact(text: str) -> str:
    """`text` with each usual find replaced by `[kind]`. The first call reads the rules; `usual().ready()` does so beforehand."""
    return usual()(text)


def replaced(text: str, found: Sequence[Find], by: Sequence[str]) -> str:
    """`text` with each find, in their order, replaced."""
    pieces: list[str] = []
    at = 0
    for each, other in zip(found, by, strict=True):
        pieces += (text[at : each.start], other)
        at = each.end
    return "".join((*pieces, text[at:]))
