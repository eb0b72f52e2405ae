"""`interlock vault status | rotate | rewrap | seal | destroy`: the keys under which texts are stored. Above: main. Below: app/vault."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .options import console, moment, parser, print_json, say, table, workspace_path
from .text import cell, plural

if TYPE_CHECKING:
    from interlock.app.vault import Vault, VaultDesk


def options() -> argparse.ArgumentParser:
    """What `interlock vault` takes."""
    made = parser("vault", "Shows and changes the keys under which a workspace stores texts; running servers follow.")
    made.add_argument("verb", choices=("status", "rotate", "rewrap", "seal", "destroy"), help="what to do")
    made.add_argument("--tenant", default="", metavar="T", help="rotate, destroy: whose keys (rotate: everybody's)")
    made.add_argument(
        "--kind",
        choices=("content", "tokens"),
        default="content",
        help="rotate, destroy: keys of stored texts (default), or of tokens that stand for personal data",
    )
    made.add_argument(
        "--limit", type=int, default=10_000, metavar="N", help="seal: tasks and calls at most (default: 10,000)"
    )
    made.add_argument("--yes", action="store_true", help="destroy: really; without it nothing is destroyed")
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when it was done; 1 of `status` where a key is wrapped with a master key that is not the first one at hand, and of `seal` while something is left."""
    taking = options()
    given = taking.parse_args(arguments)
    if given.verb == "destroy" and not given.tenant:
        taking.error("destroy takes --tenant")
    if given.verb == "destroy" and not given.yes:
        say(
            f"what {given.tenant}'s {given.kind} keys have sealed is unreadable for good afterwards; say --yes to do it"
        )
        return 2
    if given.limit < 1:
        taking.error("--limit is a number from 1 on")
    if given.verb == "seal":
        return _sealed(given)
    from interlock.app.vault import open_vault
    from interlock.core.time import SystemClock

    with open_vault(workspace_path(given.workspace), SystemClock()) as desk:
        if given.verb == "status":
            return shown(desk.shown(), as_json=given.json)
        count, told = _done(desk, given)
    if given.json:
        print_json({"verb": given.verb, "keys": count})
    else:
        say(told)
    return 0


def _sealed(given: argparse.Namespace) -> int:
    from interlock.app.resealing import seal_texts
    from interlock.config.load import load
    from interlock.core.time import SystemClock

    done = seal_texts(load(workspace_path(given.workspace)), SystemClock(), given.limit)
    if given.json:
        print_json(done)
    else:
        say(
            f"{plural(done.tasks, 'task')} and calls looked at, content of {plural(done.records + done.archived, 'record')} sealed, "
            f"{plural(done.files, 'file')}; {plural(done.answers, 'cached answer')} deleted"
        )
        say("nothing is left" if done.done else "more is left: run `interlock vault seal` again, it goes on from here")
    return 0 if done.done else 1


def _done(desk: VaultDesk, given: argparse.Namespace) -> tuple[int, str]:
    """How many keys it touched, and that as a sentence."""
    if given.verb == "rotate":
        count = desk.rotate(given.tenant, given.kind)
        return count, f"{plural(count, 'new key')}; what was sealed before stays readable with the old ones"
    if given.verb == "rewrap":
        count = desk.rewrap()
        return (
            count,
            f"{plural(count, 'key')} wrapped anew; take the old master key out of `encryption.previous`, and destroy it",
        )
    count = desk.destroy(given.tenant, given.kind)
    return count, f"{plural(count, 'key')} destroyed; copies of the keyring hold them still, wrapped"


def shown(vault: Vault, *, as_json: bool) -> int:
    """One row for each key."""
    if as_json:
        print_json(vault)
        return 1 if vault.elsewhere else 0
    say(f"keyring  {vault.keyring}")
    say(f"masters  {', '.join(vault.masters) or 'none at hand: nothing can be sealed or read'}")
    rows: list[list[Any]] = [
        [
            cell(each.tenant or "(workspace)"),
            cell(each.kind),
            cell(str(each.version)),
            cell(each.id),
            cell(moment(each.created_ns)),
            cell(f"destroyed {moment(each.destroyed_ns)}" if each.destroyed_ns else f"under {each.master}"),
        ]
        for each in vault.keys
    ]
    if rows:
        console().print(table(["tenant", "kind", "version", "key", "since", "state"], rows, right=["version"]))
    if vault.elsewhere:
        say(f"{plural(vault.elsewhere, 'key')} under another master key than the first: run `interlock vault rewrap`")
    return 1 if vault.elsewhere else 0
