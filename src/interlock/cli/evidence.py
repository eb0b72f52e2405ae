"""`interlock evidence`: a pack for reviewers out of what is true of a workspace. Above: main. Below: app.evidence; `evidence_page` writes it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.core.time import NS_PER_S, SystemClock

from .options import parser, print_json, say, seconds_of, workspace_path
from .text import plural

if TYPE_CHECKING:
    from interlock.app.pack import Pack

NAME = "evidence"


def options() -> argparse.ArgumentParser:
    """What `interlock evidence` takes."""
    made = parser(NAME, "What is true of this workspace, for SOC 2, EU AI Act and OWASP reviews.")
    made.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help=f"folder for {NAME}.md and {NAME}.json, or a name ending in .md or .json for the two (default: the page on stdout)",
    )
    made.add_argument(
        "--since", type=seconds_of, metavar="SPAN", help="the period: 24h, 90d (default: everything that is known)"
    )
    made.add_argument(
        "--at", type=_instant, metavar="TIME", help="where the period ends, ISO 8601 (default: now); UTC unless it says"
    )
    return made


def _instant(text: str) -> int:
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-11-20T12:00:00Z") from None
    known = said if said.tzinfo else said.replace(tzinfo=UTC)
    return round(known.timestamp()) * NS_PER_S


def run(arguments: Sequence[str]) -> int:
    """0 when sums are equal and the audit is whole, 1 when not: the pack is written either way."""
    given = options().parse_args(arguments)
    from interlock.app.evidence import gathered
    from interlock.app.witnessed import Period
    from interlock.config.load import load

    until_ns = given.at if given.at is not None else SystemClock().wall_ns()
    since_ns = max(0, until_ns - round(given.since * NS_PER_S)) if given.since else 0
    pack = gathered(load(workspace_path(given.workspace)), Period(since_ns, until_ns))
    put(pack, given)
    return 0 if sound(pack) else 1


def put(pack: Pack, given: argparse.Namespace) -> None:
    """On stdout, in files, or both."""
    from msgspec import json

    from .evidence_page import page

    if given.json:
        print_json(pack)
    if given.out is None:
        if not given.json:
            print(page(pack), end="")
        return
    text, data = paths(given.out)
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text(page(pack), encoding="utf-8")
    data.write_bytes(json.format(json.encode(pack), indent=1) + b"\n")
    say(f"{plural(len(pack.facts), 'fact')} in {text} and {data}")


def paths(out: Path) -> tuple[Path, Path]:
    """Of the page and of the JSON."""
    base = out if out.suffix in (".md", ".json") else out / f"{NAME}.md"
    return base.with_suffix(".md"), base.with_suffix(".json")


def sound(pack: Pack) -> bool:
    """Whether the records bear out what they say."""
    facts = pack.facts
    return bool(facts["ledger.sums"].rows[0]["equal"] and facts["audit.chain"].rows[0]["sound"])
