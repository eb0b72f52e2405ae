"""Authentication by bearer keys, on by default: the server's own key, and virtual keys.

Above: the faces, serve. Below: `core`. A key has 256 random bits and only its SHA-256 is held, so that finding it is one look into
a dictionary and the time that takes tells nothing about it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, structs

from interlock.core.caller import Caller, Secret, Versions
from interlock.core.errors import NotAuthorised, NotPermitted
from interlock.core.keys import PREFIX, KeyBook, KeyRecord, hash_of
from interlock.core.roles import RIGHTS, ROLES, Right, Role, holders
from interlock.core.time import Clock, SystemClock

_CALLS_NOTHING = frozenset(role for role in ROLES if "call" not in RIGHTS[role])


class Access(Struct, frozen=True):
    """Who is let in, and as what."""

    caller: Caller
    role: Role
    everywhere: bool = False
    """The server's own key: above tenants."""


class Keys:
    """The credentials that open the door, each with the caller it stands for."""

    def __init__(
        self,
        keys: Mapping[Secret, Caller],
        book: KeyBook | None = None,
        clock: Clock | None = None,
        versions: Versions | None = None,
    ) -> None:
        """`keys`: of the files; they manage the others, which stand in `book`. `versions` ride on every call."""
        self._own = {hash_of(key.reveal().encode()): caller for key, caller in keys.items() if key}
        self._book = KeyBook() if book is None else book
        self._clock = clock or SystemClock()
        self._versions = versions
        self._callers: dict[str, Caller] = {}

    def caller(self, authorization: bytes) -> Caller:
        """Who presents this `Authorization` header, to make a call; headers that name a tenant or an identity are not looked at.

        Raises:
            NotAuthorised: missing, no key of ours, revoked or expired. NotPermitted: its role makes no calls.
        """
        holder = self.holder(self.presented(authorization))
        return self.may(authorization, "call") if holder is None else holder

    def presented(self, authorization: bytes) -> str:
        """What this header presents, as `holder` takes it; empty where it is no bearer key."""
        scheme, _, secret = authorization.partition(b" ")
        return hash_of(secret.strip()) if scheme.lower() == b"bearer" else ""

    def holder(self, presented: str) -> Caller | None:
        """Whom a presented key that may make calls stands for now: the same value as long as nothing about it has changed."""
        own = self._own.get(presented)
        if own is not None:
            return own
        record = self._book.find(presented, self._clock.wall_ns())
        return None if record is None or record.role in _CALLS_NOTHING else self._stands_for(record)

    def tenant_of(self, authorization: bytes) -> str:
        """Whose key this header presents, whatever its role; empty for nobody's and for the server's own, which stands above tenants."""
        record = self._book.find(self.presented(authorization), self._clock.wall_ns())
        return "" if record is None else record.tenant

    def still(self, key: str, role: Role) -> bool:
        """Whether the virtual key of that id opens the door now, and has that role."""
        record = next((each for each in self._book.records if each.id == key), None)
        return record is not None and record.holds == role and record.opens(record.hash, self._clock.wall_ns())

    def access(self, authorization: bytes, right: Right | None = None) -> Access:
        """Who presents it, to do what `right` is for; without one, any key of ours will do.

        Raises:
            NotAuthorised, NotPermitted.
        """
        presented = self.presented(authorization)
        own = self._own.get(presented)
        if own is not None:
            return Access(own, "admin", everywhere=True)
        record = self._book.find(presented, self._clock.wall_ns())
        if record is None:
            raise _unknown(authorization)
        if right is not None and right not in RIGHTS[record.holds]:
            raise NotPermitted(
                f"the role {record.holds!r} has no right to {right!r}",
                hint=f"Present a key of a role that has it: {holders(right)}.",
            )
        return Access(self._stands_for(record), record.holds)

    def may(self, authorization: bytes, right: Right) -> Caller:
        """The caller alone. Raises NotAuthorised, NotPermitted."""
        return self.access(authorization, right).caller

    def _stands_for(self, record: KeyRecord) -> Caller:
        made = self._callers.get(record.id)
        if made is None or made.tenant != record.tenant or made.user != record.user:
            made = record.caller()
            if self._versions is not None:
                made = structs.replace(made, versions=self._versions)
            self._callers[record.id] = made
        return made


def _unknown(authorization: bytes) -> NotAuthorised:
    if not authorization:
        return NotAuthorised(
            "no key was presented", hint="Send it as `Authorization: Bearer <key>` (the client's `api_key`)."
        )
    return NotAuthorised(
        "the key that was presented is not one of this server's, or has expired or been revoked",
        hint="It is `server.api_key` of interlock.yaml, the one in the file that `interlock serve` names, "
        "or one of `interlock keys`.",
    )


def load_or_make_key(path: Path) -> tuple[Secret, bool]:
    """The server's own key from `path`, made and stored there (readable by the owner only) if there is none.

    Returns:
        The key, and whether it is new: a new one is shown once.
    """
    try:
        stored = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        stored = ""
    if stored:
        return Secret(stored), False
    key = PREFIX + secrets.token_urlsafe(24)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written whole under a name of its own, then put in place at once: nobody reads half a key, and of several processes that start
    # together one wins.
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(key + "\n")
        try:
            os.link(fresh, path)
        except FileExistsError:
            if stored := path.read_text(encoding="ascii").strip():
                return Secret(stored), False
            fresh.replace(path)
        return Secret(key), True
    finally:
        fresh.unlink(missing_ok=True)
