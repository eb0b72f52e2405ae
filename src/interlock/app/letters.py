"""An incident in the words of a mail. Above: alerting, mail. Below: observe. Pure."""

from __future__ import annotations

from msgspec import Struct

from interlock.core.text import one_line
from interlock.observe.incidents import Incident


class Letter(Struct, frozen=True):
    """What is to be sent."""

    id: str
    """The same for every try."""
    subject: str
    text: str


def letter_of(incident: Incident, address: str) -> Letter:
    """An incident as a mail."""
    found = incident.found
    state = f"[{found.severity}]" if incident.open else "[over]"
    lines = [found.title, "", *(f"{fact.name}: {one_line(fact.said)}" for fact in found.facts), ""]
    if incident.open:
        lines += ["What to do:", *(f"{number}. {step}" for number, step in enumerate(found.runbook, 1)), ""]
    if found.tasks:
        lines += ["Tasks behind it: " + ", ".join(found.tasks[:10]), ""]
    lines.append(address or f"interlock slo --incident {incident.id}")
    return Letter(f"{incident.id}.{found.severity}{'' if incident.open else '.over'}", f"{state} {found.title}", "\n".join(lines))  # fmt: skip
