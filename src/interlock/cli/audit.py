"""`interlock audit [list | verify | head | export]`: who did and who read what, and whether anybody changed it. Above: main. Below: app.stores.

`verify` needs no server and no network: it reads the store, or a file that `export` wrote, and seals every entry anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from .options import console, moment, parser, print_json, say, table, workspace_path
from .text import cell

if TYPE_CHECKING:
    from interlock.core.audit import AuditStore, Checked, Entry, Head

PAGE = 1000
MOST_SHOWN = 20
VERBS = ("list", "verify", "head", "export")


def options() -> argparse.ArgumentParser:
    """What `interlock audit` takes."""
    made = parser("audit", "Who did and who read what; whether the record of it was changed.")
    made.add_argument("verb", nargs="?", choices=VERBS, default="list", help="what to do (default: list)")
    made.add_argument("--tenant", default="", metavar="T", help="list, export: of one tenant")
    made.add_argument("-n", "--limit", type=int, default=50, metavar="N", help="list: the newest N (default: 50)")
    made.add_argument("--file", type=Path, metavar="FILE", help="verify: what `export` wrote, instead of the store")
    made.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="HEAD",
        help="verify: a head that was noted elsewhere (SEQ:SEAL, as `head` prints it); repeatable",
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when all is well, 1 when the record was changed."""
    taking = options()
    given = taking.parse_args(arguments)
    if (given.file or given.expect) and given.verb != "verify":
        taking.error("--file and --expect belong to verify")
    if given.tenant and given.verb in ("verify", "head"):
        taking.error("the chain runs through all tenants: --tenant belongs to list and export")
    if given.verb == "verify" and given.file:
        return verified(from_file(given.file), given)
    from interlock.app.stores import open_store
    from interlock.config.load import load

    with closing(open_store(load(workspace_path(given.workspace)))) as store:
        if given.verb == "verify":
            return verified(entries(store.audit), given)
        if given.verb == "head":
            print(store.audit.head())
            return 0
        if given.verb == "export":
            return exported(entries(store.audit, given.tenant))
        return listed(store.audit.latest(0, max(1, given.limit), given.tenant), as_json=given.json)


def entries(audit: AuditStore, tenant: str = "") -> Iterator[Entry]:
    """All of them, oldest first, a page at a time."""
    after = 0
    while page := audit.read(after, PAGE, tenant):
        yield from page
        after = page[-1].seq


def from_file(path: Path) -> Iterator[Entry]:
    """What `export` wrote. Raises InvalidRequest, naming the line."""
    import msgspec

    from interlock.core.audit import Entry
    from interlock.core.errors import InvalidRequest

    decoder = msgspec.json.Decoder(Entry)
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield decoder.decode(line)
                except msgspec.MsgspecError as wrong:
                    raise InvalidRequest(f"{path}:{number}: no entry of an audit: {wrong}", param="--file") from None
    except OSError as wrong:
        raise InvalidRequest(f"{path} cannot be read: {wrong.strerror}", param="--file") from None


def verified(chain: Iterator[Entry], given: argparse.Namespace) -> int:
    """Reads the chain to its end and says what is wrong with it."""
    from interlock.core.audit import Checked

    expected = [noted(each) for each in given.expect]
    checked = Checked()
    while page := list(islice(chain, PAGE)):
        checked = checked.through(page, expected)
    checked = checked.ended(expected)
    if given.json:
        print_json({"entries": checked.head.seq, "head": str(checked.head), "faults": checked.faults})
    else:
        told(checked)
    return 1 if checked.faults else 0


def noted(text: str) -> Head:
    """Raises InvalidRequest for what is no head."""
    from interlock.core.audit import head_of
    from interlock.core.errors import InvalidRequest

    head = head_of(text)
    if head is None:
        raise InvalidRequest(f"--expect {text}: no head", hint="`interlock audit head` prints one: SEQ:SEAL.")
    return head


def told(checked: Checked) -> None:
    """For people."""
    for fault in checked.faults[:MOST_SHOWN]:
        say(f"fault: {fault}")
    if len(checked.faults) > MOST_SHOWN:
        say(f"… and {len(checked.faults) - MOST_SHOWN} more")
    if checked.faults:
        say("the audit was changed outside of Interlock")
    else:
        say(f"{checked.head.seq} entries, each seals the one before; the head is {checked.head}")
        say(
            "note the head outside of this machine: only against a noted head does it show that the newest were cut off"
        )


def exported(chain: Iterator[Entry]) -> int:
    """One JSON object a line."""
    import msgspec

    for entry in chain:
        sys.stdout.write(msgspec.json.encode(entry).decode() + "\n")
    return 0


def listed(newest: Sequence[Entry], *, as_json: bool) -> int:
    """The newest first."""
    if as_json:
        import msgspec

        print_json([msgspec.to_builtins(each) for each in newest])
        return 0
    if not newest:
        say("nothing yet; a served workspace writes its first entry at its start")
        return 0
    rows = [
        [
            str(each.seq),
            moment(each.deed.at_ns),
            cell(each.deed.tenant),
            cell(each.deed.who),
            cell(each.deed.role),
            each.deed.action,
            cell(each.deed.target),
            cell(each.deed.detail),
        ]
        for each in newest
    ]
    console().print(table(["entry", "when", "tenant", "who", "role", "did", "to", "how"], rows, right=["entry"]))
    return 0
