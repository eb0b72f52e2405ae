"""`interlock slo`: what was promised, and how much of each error budget is left. Above: main. Below: app's reading of the store."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import to_builtins

from interlock.core.errors import InvalidRequest

from .options import console, moment, parser, print_json, say, table, workspace_path
from .palette import BAD, DIM, GOOD, WARN
from .text import cell, money, plural

if TYPE_CHECKING:
    from rich.text import Text

    from interlock.app.reading import Reading
    from interlock.observe.incidents import Book, Incident
    from interlock.observe.slo import Standing

STYLES = {"kept": GOOD, "broken": BAD, "open": WARN, "unseen": DIM}
WORDS = {"kept": "kept", "broken": "broken", "open": "too few to say", "unseen": "nothing yet"}


def options() -> argparse.ArgumentParser:
    """What `interlock slo` takes."""
    made = parser(
        "slo", "What was promised of each workflow, how it is kept, and how much of its error budget is left."
    )
    made.add_argument("--workflow", default="", metavar="W", help="this workflow only")
    made.add_argument("--gate", action="store_true", help="exit 1 where a spent budget stops rollouts (`when_spent`)")
    made.add_argument("--incidents", action="store_true", help="what has gone wrong, the newest first")
    made.add_argument("--incident", default="", metavar="ID", help="one of them: its runbook and the tasks behind it")
    made.add_argument("--export", action="store_true", help="the agreements as OpenSLO documents")
    made.add_argument("--import", dest="file", type=Path, metavar="FILE", help="`slo` sections from an OpenSLO file")
    return made


def run(arguments: Sequence[str]) -> int:
    """0; with --gate 1 where a budget holds rollouts back."""
    given = options().parse_args(arguments)
    if given.file is not None:
        return imported(given.file, as_json=given.json)
    from interlock.app.reading import open_reading

    with open_reading(workspace_path(given.workspace)) as reading:
        if given.export:
            return exported(reading, given.workflow)
        if given.incident or given.incidents:
            return incidents(reading.incidents(), reading.workspace.settings.tenant, given)
        standings = reading.standings(given.workflow)
        held = reading.held_back(standings)
    if given.json:
        print_json({"workflows": standings, "held_back": [name for name, _ in held]})
    else:
        show(standings)
        for name, each in held:
            say(f"no rollouts of {name}: the budget of {each.objective.label!r} is spent")
    return 1 if given.gate and held else 0


def show(standings: Mapping[str, Sequence[Standing]]) -> None:
    """A line for each promise."""
    if not standings:
        say("nothing was promised; `slo:` in a contract does that (docs/slo.md)")
        return
    rows = [(name, *line_of(each)) for name, held in standings.items() for each in held]
    columns = ("workflow", "promise", "window so far", "95 % interval", "budget left", "burns", "")
    console().print(table(columns, rows, right=("budget left",)))


def line_of(each: Standing) -> tuple[str | Text, ...]:
    """The promise in words."""
    left = "–" if each.left is None else f"{100 * each.left:.0f} %"
    burn = each.firing
    burning = cell(f"{burn.rate:.1f}× too fast ({burn.severity})", BAD) if burn else cell("", DIM)
    verdict = "spent" if each.spent else WORDS[each.verdict]
    return (each.objective.label, so_far(each), interval(each), left, burning, cell(verdict, STYLES[each.verdict]))


def so_far(each: Standing) -> str:
    """What was seen in the window."""
    seen = each.seen
    pending = f", {seen.pending} not over" if seen.pending else ""
    if each.objective.name == "cost":
        now = "–" if each.achieved is None else money(round(each.achieved))
        return f"{now} by {plural(seen.n - seen.bad, 'success', 'successes')}{pending}"
    part = f" (looked into, of {seen.of:,})" if seen.of > seen.n + seen.pending else ""
    return f"{seen.n - seen.bad:,} of {seen.n:,} good{part}{pending}"


def interval(each: Standing) -> str:
    """Where the real figure lies."""
    if each.low is None or each.high is None or each.objective.name == "policy":
        return ""
    if each.objective.name == "cost":
        return f"{money(round(each.low))} – {money(round(each.high))}"
    return f"{100 * each.low:.1f} – {100 * each.high:.1f} %"


def incidents(book: Book, tenant: str, given: argparse.Namespace) -> int:
    """All of them as a table, or one with everything that is known."""
    if not given.incident:
        found = book.of(tenant)
        if given.json:
            print_json({"incidents": found})
        elif not found:
            looked = (
                f"looked last at {moment(book.looked_ns)}" if book.looked_ns else "`interlock serve` looks for them"
            )
            say(f"no incidents; {looked}")
        else:
            rows = [
                (e.id, "open" if e.open else "over", e.found.severity, e.found.title, moment(e.opened_ns))
                for e in found
            ]
            console().print(table(("incident", "state", "severity", "what", "since"), rows))
        return 0
    one = book.find(tenant, given.incident)
    if one is None:
        raise InvalidRequest(f"no incident {given.incident!r}", hint="`interlock slo --incidents` lists them.")
    if given.json:
        print_json(to_builtins(one))
    else:
        tell(one)
    return 0


def tell(one: Incident) -> None:
    """The incident with its runbook."""
    from rich.text import Text

    where, found = console(), one.found
    state = "open" if one.open else f"over since {moment(one.closed_ns)}"
    said = [f"{found.severity}, since {moment(one.opened_ns)}, {state}"]
    said += [f"{fact.name}: {fact.said}" for fact in found.facts]
    said += ["", "What to do", *(f"{number}. {step}" for number, step in enumerate(found.runbook, 1))]
    if found.tasks:
        said += ["", "Tasks behind it (`interlock trace ID --why`)", *found.tasks]
    where.print(cell(found.title, BAD if one.open else DIM), soft_wrap=True)
    for line in said:
        where.print(Text("  ").append(cell(line)), soft_wrap=True)


def exported(reading: Reading, workflow: str) -> int:
    """OpenSLO on stdout."""
    from interlock.app.agreements import alerts_of
    from interlock.config.openslo import exported as documents

    agents = reading.workspace.agents
    named = [reading.workspace.agent(workflow)] if workflow else list(agents.values())
    for agent in named:
        if agent.contract.slo is not None:
            print(documents(agent.name, agent.contract.slo, alerts_of(agent.contract.slo)), end="")
    return 0


def imported(file: Path, *, as_json: bool) -> int:
    """Sections for contracts on stdout, what was left on stderr."""
    from interlock.config.openslo import imported as sections

    found = sections(file.read_text(encoding="utf-8"), str(file))
    if as_json:
        print_json({"slos": found.slos, "left": found.left})
        return 0
    print(found.text(), end="")
    for why in found.left:
        say(f"not carried over: {why}")
    return 0
