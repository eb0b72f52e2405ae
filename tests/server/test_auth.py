"""Who may call: keys by hash, whose tenant and user no request can change."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from msgspec import structs

from interlock.core.caller import Caller, Secret, Versions
from interlock.core.errors import NotAuthorised, NotPermitted
from interlock.core.keys import KeyBook, KeyRecord, made
from interlock.core.roles import RIGHTS, ROLES, Right, Role
from interlock.server.auth import Keys, load_or_make_key
from interlock.server.behalf import on_behalf
from interlock.testing.clock import FakeClock

OWN = Caller("house", key_id="server")


def key(name="ann", **fields):
    return made(KeyRecord(f"key_{name}", name, "acme", "", "", 1, **fields), lambda n: f"{name}-{'x' * n}")


def bearer(secret):
    return b"Bearer " + secret.reveal().encode()


def asking(**headers: str) -> Any:
    """A request with these headers."""
    known = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return SimpleNamespace(header=lambda name: known.get(name, b""))


def test_the_servers_own_key_and_virtual_ones_open_the_door_each_for_its_caller():
    record, secret = key(user="ann")
    keys = Keys({Secret("il-own"): OWN}, KeyBook([record]), FakeClock(), Versions(policy="p"))
    assert keys.caller(b"Bearer il-own") is OWN
    caller = keys.caller(bearer(secret))
    assert (caller.tenant, caller.user, caller.key_id, caller.versions.policy) == ("acme", "ann", "key_ann", "p")
    assert keys.caller(bearer(secret)) is caller, "made once"
    for wrong in (b"", b"Basic il-own", b"Bearer il-", b"Bearer " + record.hash.encode(), b"il-own"):
        with pytest.raises(NotAuthorised):
            keys.caller(wrong)


@pytest.mark.requirement("GW-34")
def test_an_expired_or_revoked_key_opens_nothing_from_the_next_call_on():
    clock = FakeClock()
    record, secret = key(expires_ns=clock.wall_ns() + 10**9)
    book = KeyBook([record])
    keys = Keys({}, book, clock)
    assert keys.caller(bearer(secret))
    clock.advance(1.0)
    with pytest.raises(NotAuthorised):
        keys.caller(bearer(secret))
    book.replace([structs.replace(record, expires_ns=0, revoked_ns=5)])
    with pytest.raises(NotAuthorised):
        keys.caller(bearer(secret))


@pytest.mark.requirement("SG-09")
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_its_row_says_and_nothing_else(role: Role):
    record, secret = key(role=role)
    keys = Keys({Secret("il-own"): OWN}, KeyBook([record]), FakeClock())
    for right in get_args(Right):
        assert keys.access(b"Bearer il-own", right).everywhere
        if right in RIGHTS[role]:
            access = keys.access(bearer(secret), right)
            assert (access.caller.key_id, access.role, access.everywhere) == ("key_ann", role, False)
        else:
            with pytest.raises(NotPermitted, match=f"the role '{role}' has no right to '{right}'"):
                keys.may(bearer(secret), right)
    if "call" in RIGHTS[role]:
        assert keys.caller(bearer(secret)).key_id == "key_ann"
    else:
        with pytest.raises(NotPermitted):
            keys.caller(bearer(secret))


@pytest.mark.requirement("SG-09")
def test_an_admin_key_from_before_there_were_roles_is_an_admin():
    record, secret = key("root", admin=True)
    assert Keys({}, KeyBook([record]), FakeClock()).access(bearer(secret), "manage").role == "admin"
    with pytest.raises(NotAuthorised):
        Keys({}, KeyBook([]), FakeClock()).access(bearer(secret), "figures")


def test_nobody_but_an_admin_both_begins_tasks_and_decides_on_them():
    assert [role for role in ROLES if {"call", "decide"} <= RIGHTS[role]] == ["admin"]


@pytest.mark.requirement("GW-34")
def test_no_header_changes_whose_key_it_is():
    asked = asking(
        x_tenant="other", x_user="eve", x_forwarded_user="eve", x_interlock_tenant="other", x_interlock_workflow="w"
    )
    caller = on_behalf(Caller("acme", user="ann", key_id="key_1"), asked, "eve")
    assert (caller.tenant, caller.user, caller.workflow) == ("acme", "ann", "w")
    assert on_behalf(Caller("acme", key_id="key_1"), asked, "bob").user == "bob", (
        "a key of no user speaks for those it names"
    )


def test_of_several_processes_that_make_the_first_key_one_wins_and_nobody_reads_half(tmp_path):
    path = tmp_path / "deep" / "server.key"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_or_make_key(path), range(16)))
    assert len({secret.reveal() for secret, _ in found}) == 1
    assert sum(new for _, new in found) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["server.key"]


def test_a_key_file_that_was_left_empty_is_replaced_whole(tmp_path):
    path = tmp_path / "server.key"
    path.write_text("")
    secret, new = load_or_make_key(path)
    assert new
    assert load_or_make_key(path) == (secret, False)
