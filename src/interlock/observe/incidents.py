"""Incidents: what goes wrong, since when, with which tasks behind it; opened once, told once, closed when it has been over for a while.

Above: app's watch keeps the book in a store and tells people; pages and cli show it. Below: the standard library. Pure: a book and what holds now in,
a book out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

Kind = Literal["slo_burn", "slo_spent", "stopped", "change", "injection", "asks", "spend", "premium"]
"""A budget burns too fast · is gone · tasks are stopped for going in circles · something is not as it was · texts that give orders · people
are asked too often · a month costs more than agreed · premium tiers answer more than their cap."""
Severity = Literal["page", "ticket"]
QUIET_S = 900.0
"""So long a condition has to be gone before its incident is closed."""
MOST_CLOSED = 200
MOST_OPEN = 200


class Fact(Struct, frozen=True):
    """One figure behind it."""

    name: str
    said: str


class Found(Struct, frozen=True):
    """Something that holds now."""

    tenant: str
    workflow: str
    kind: Kind
    about: str
    """Of the kind: the promise, the anomaly, the figure."""
    severity: Severity
    title: str
    facts: tuple[Fact, ...] = ()
    tasks: tuple[str, ...] = ()
    """Behind it, the newest first."""
    runbook: tuple[str, ...] = ()
    """What to do, step by step."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.tenant, self.workflow, self.kind, self.about


class Incident(Struct, frozen=True):
    """The same over time."""

    id: str
    found: Found
    """As it was seen last; the worst severity that it had."""
    opened_ns: int
    seen_ns: int
    closed_ns: int = 0

    @property
    def open(self) -> bool:
        return not self.closed_ns


class Book(Struct, frozen=True):
    """All incidents of a workspace, the newest first."""

    incidents: tuple[Incident, ...] = ()
    looked_ns: int = 0
    """When it was looked last; zero: never."""
    sparing: tuple[str, ...] = ()
    """Workflows whose spent budget keeps calls from premium tiers, for every process."""

    def of(self, tenant: str) -> list[Incident]:
        """Of one tenant: open ones first."""
        mine = [each for each in self.incidents if each.found.tenant == tenant]
        return [*(each for each in mine if each.open), *(each for each in mine if not each.open)]

    def find(self, tenant: str, incident: str) -> Incident | None:
        return next((each for each in self.of(tenant) if each.id == incident), None)


class Turn(Struct, frozen=True):
    """One look."""

    book: Book
    opened: tuple[Incident, ...] = ()
    """New ones, and those that have become worse."""
    closed: tuple[Incident, ...] = ()


def turned(book: Book, found: Sequence[Found], now_ns: int) -> Turn:
    """The book after a look at `now_ns`, and who has to be told what."""
    holds = {each.key: each for each in found}
    kept: list[Incident] = []
    opened: list[Incident] = []
    closed: list[Incident] = []
    for incident in book.incidents:
        now = holds.pop(incident.found.key, None) if incident.open else None
        if not incident.open:
            kept.append(incident)
        elif now is not None:
            worse = now.severity == "page" and incident.found.severity == "ticket"
            said = now if worse else replace(now, severity=incident.found.severity)
            standing = replace(incident, found=said, seen_ns=now_ns)
            kept.append(standing)
            opened += [standing] if worse else []
        elif now_ns - incident.seen_ns >= QUIET_S * 1e9:
            over = replace(incident, closed_ns=now_ns)
            kept.append(over)
            closed.append(over)
        else:
            kept.append(incident)
    new = [Incident(_id(each, now_ns), each, now_ns, now_ns) for each in holds.values()]
    return Turn(Book(_bounded([*new, *kept]), now_ns, book.sparing), (*new, *opened), tuple(closed))


def _id(found: Found, at_ns: int) -> str:
    """The same in all processes that look within ten minutes."""
    text = "\n".join((*found.key, str(at_ns // (600 * 10**9))))
    return f"inc_{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def _bounded(incidents: Sequence[Incident]) -> tuple[Incident, ...]:
    newest = sorted(incidents, key=lambda each: -each.opened_ns)
    still, over = [each for each in newest if each.open], [each for each in newest if not each.open]
    return tuple(sorted([*still[:MOST_OPEN], *over[:MOST_CLOSED]], key=lambda each: -each.opened_ns))
