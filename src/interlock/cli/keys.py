"""`interlock keys create | list | rotate | revoke`: virtual keys. Above: main. Below: app."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .options import console, moment, parser, print_json, say, seconds_of, table, workspace_path
from .text import cell

if TYPE_CHECKING:
    from interlock.core.caller import Secret
    from interlock.core.keys import KeyRecord
    from interlock.core.limits import Limit

ROLES = ("machine", "viewer", "approver", "auditor", "developer", "admin")
AMOUNTS = ("requests", "tokens", "input_tokens", "output_tokens", "usd", "concurrency")


def options() -> argparse.ArgumentParser:
    """What `interlock keys` takes."""
    made = parser("keys", "Makes and manages virtual keys; a running server follows within a second.")
    made.add_argument("verb", choices=("create", "list", "rotate", "revoke"), help="what to do")
    made.add_argument("key", nargs="?", default="", help="of rotate and revoke: id, its beginning, or name")
    made.add_argument("--name", default="", metavar="N", help="create: what people call it")
    made.add_argument("--tenant", default="", metavar="T", help="create: whose key it is (default: the workspace's)")
    made.add_argument("--user", default="", metavar="U", help="create: every call is made on this user's behalf")
    made.add_argument("--model", action="append", default=[], metavar="P", help="create: may use models like this")
    made.add_argument("--workflow", action="append", default=[], metavar="P", help="create: is for workflows like this")
    made.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="L",
        help="create: usd=50/month, requests=100/minute, tokens=1000000/day~ (~: rolling), concurrency=8; repeatable",
    )
    made.add_argument("--expires", type=seconds_of, metavar="SPAN", help="create: ends after so long: 12h, 30d")
    made.add_argument("--role", choices=ROLES, default="machine", help="create: what may be done with it (machine)")
    made.add_argument("--admin", action="store_true", help="create: the role admin")
    made.add_argument(
        "--overlap", type=seconds_of, default=0.0, metavar="SPAN", help="rotate: how long the old secret goes on"
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """Does what was asked; secrets go to stdout, and nowhere else."""
    taking = options()
    given = taking.parse_args(arguments)
    if (given.verb in ("rotate", "revoke")) != bool(given.key):
        taking.error(f"{given.verb} takes {'the name of a key' if not given.key else 'no key'}")
    from interlock.app.limiting import open_keys

    with open_keys(workspace_path(given.workspace)) as (desk, tenant):
        if given.verb == "list":
            return listed(desk.list(), as_json=given.json)
        if given.verb == "revoke":
            record = desk.revoke(given.key)
            say(f"{record.id} is revoked; running servers refuse it within a second")
            return told(record, None, as_json=given.json)
        if given.verb == "rotate":
            record, secret = desk.rotate(given.key, given.overlap)
            return told(record, secret, as_json=given.json)
        record, secret = desk.create(wanted(given, tenant))
        return told(record, secret, as_json=given.json)


def wanted(given: argparse.Namespace, tenant: str) -> KeyRecord:
    """The key that the options ask for."""
    from interlock.core.keys import KeyRecord
    from interlock.core.time import NS_PER_S, SystemClock

    expires_ns = SystemClock().wall_ns() + round(given.expires * NS_PER_S) if given.expires else 0
    return KeyRecord(
        id="",
        name=given.name,
        tenant=given.tenant or tenant,
        hash="",
        shown="",
        created_ns=0,
        user=given.user,
        models=tuple(given.model),
        workflows=tuple(given.workflow),
        limits=limits_of(given.limit),
        expires_ns=expires_ns,
        admin=given.admin,
        role=given.role,
    )


def limits_of(texts: Sequence[str]) -> tuple[Limit, ...]:
    """`usd=50/month` → a limit of the key. Raises InvalidRequest for anything else."""
    from interlock.config import limits
    from interlock.core.errors import InvalidRequest

    given: list[dict[str, Any]] = []
    for text in texts:
        amount, _, rest = text.partition("=")
        number, _, period = rest.partition("/")
        if amount not in AMOUNTS:
            raise InvalidRequest(
                f"--limit {text}: expected one of {', '.join(AMOUNTS)} before the =", hint="Such as usd=50/month."
            )
        fields: dict[str, Any] = {"name": text, "per": "key", amount: number}
        if period:
            fields |= {"period": period.rstrip("~"), "rolling": period.endswith("~")}
        given.append(fields)
    return limits.limits_of(given)


def told(record: KeyRecord, secret: Secret | None, *, as_json: bool) -> int:
    """One key, with its secret where it is new."""
    if as_json:
        print_json({**shown(record), **({"secret": secret.reveal()} if secret else {})})
    elif secret is not None:
        print(secret.reveal())
        say(f"{record.id} ({record.name or 'no name'}) of tenant {record.tenant}; the secret is shown this once")
    return 0


def listed(records: Sequence[KeyRecord], *, as_json: bool) -> int:
    """Every key, one line each."""
    if as_json:
        print_json([shown(each) for each in records])
        return 0
    if not records:
        say("no keys; `interlock keys create` makes one")
        return 0
    rows = [
        [
            cell(each.id),
            cell(f"{each.shown}…"),
            cell(each.name),
            cell(each.tenant),
            cell(each.user),
            cell(each.holds),
            cell(shown(each)["state"]),
            cell(", ".join(each.models) or "any"),
            cell(", ".join(limit.name for limit in each.limits)),
        ]
        for each in records
    ]
    console().print(table(["key", "secret", "name", "tenant", "user", "role", "state", "models", "limits"], rows))
    return 0


def shown(record: KeyRecord) -> dict[str, Any]:
    """A key as data, without what could open a door."""
    from interlock.core.time import SystemClock

    def when(ns: int) -> str | None:
        return moment(ns) if ns else None

    return {
        "id": record.id,
        "name": record.name,
        "tenant": record.tenant,
        "user": record.user,
        "shown": f"{record.shown}…",
        "state": record.state(SystemClock().wall_ns()),
        "models": list(record.models),
        "workflows": list(record.workflows),
        "limits": [each.name for each in record.limits],
        "admin": record.admin,
        "role": record.holds,
        "created": when(record.created_ns),
        "expires": when(record.expires_ns),
        "revoked": when(record.revoked_ns),
    }
