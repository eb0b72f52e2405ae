"""Who has opened the dashboard: one-time tokens and sessions, one small file each, so that every worker of a server knows them.

Above: guard. Below: core. A file is named by the SHA-256 of what the browser holds; reading the folder lets nobody in.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from interlock.core.roles import Role
from interlock.core.time import NS_PER_S, Clock
from interlock.core.unreadable import UNREADABLE

SESSION_S = 12 * 3600
TOKEN_S = 3600
MOST = 200
"""Sessions and tokens that are kept; the oldest go first."""


class Session(Struct, frozen=True):
    """One browser that was let in."""

    tenant: str
    name: str
    """Of the credential it came in with; stands beside what a person decides."""
    csrf: str
    """Every form sends it back."""
    until_ns: int
    role: Role = "viewer"
    key: str = ""
    """Id of the virtual key it came in with: the session ends with it."""
    subject: str = ""
    """The provider's own name of the person who signed in there: the session ends when the provider says so."""


class Visit(Struct, frozen=True):
    """A session, for people: nothing that lets anybody in."""

    visit: str
    tenant: str
    who: str
    role: Role
    until_ns: int


class Sessions:
    """The tokens and sessions in one folder. Blocking and short: call it from a thread."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder, self._clock = folder, clock

    def token(self, tenant: str, name: str) -> str:
        """A token that opens one session of an admin, within `TOKEN_S`."""
        return self._write("once", Session(tenant, name, "", self._clock.wall_ns() + TOKEN_S * NS_PER_S, "admin"))

    def exchange(self, token: str) -> str | None:
        """The secret of a new session for a token that nobody has used, whoever asks first."""
        path = self._path("once", token)
        found = self._read(path)
        try:
            path.unlink()
        except FileNotFoundError:
            return None
        return None if found is None else self.begin(found.tenant, found.name, found.role)

    def begin(self, tenant: str, name: str, role: Role, *, key: str = "", subject: str = "") -> str:
        """The secret of a new session."""
        until = self._clock.wall_ns() + SESSION_S * NS_PER_S
        return self._write("session", Session(tenant, name, secrets.token_urlsafe(24), until, role, key, subject))

    def find(self, secret: str) -> Session | None:
        """The session that a secret stands for, while it lasts."""
        return self._read(self._path("session", secret))

    def end(self, secret: str) -> None:
        """Nobody comes in with it any more."""
        self._path("session", secret).unlink(missing_ok=True)

    def visits(self, tenant: str = "") -> list[Visit]:
        """The sessions that last, of one tenant or (empty) of all; those that end last first."""
        found = [
            Visit(_visit(path), each.tenant, each.name, each.role, each.until_ns) for path, each in self._all(tenant)
        ]
        return sorted(found, key=lambda each: each.until_ns, reverse=True)

    def end_visits(self, visit: str = "", *, tenant: str = "", subject: str = "") -> list[Visit]:
        """Ends one session by the name that `visits` gives it, those of a provider's subject, or (neither) all; returns what was ended."""
        ended: list[Visit] = []
        for path, each in self._all(tenant):
            name = _visit(path)
            if visit in ("", name) and subject in ("", each.subject):
                path.unlink(missing_ok=True)
                ended.append(Visit(name, each.tenant, each.name, each.role, each.until_ns))
        return ended

    def _all(self, tenant: str) -> Iterator[tuple[Path, Session]]:
        for path in self._folder.glob("session-*"):
            found = self._read(path)
            if found is not None and tenant in ("", found.tenant):
                yield path, found

    def _read(self, path: Path) -> Session | None:
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Session)
        except (FileNotFoundError, *UNREADABLE):
            return None
        if found.until_ns <= self._clock.wall_ns():
            path.unlink(missing_ok=True)
            return None
        return found

    def _write(self, kind: str, session: Session) -> str:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._tidy()
        secret = secrets.token_urlsafe(32)
        handle = os.open(self._path(kind, secret), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(session))
        return secret

    def _tidy(self) -> None:
        known: list[tuple[int, Path]] = []
        for path in self._folder.iterdir():
            try:
                known.append((path.stat().st_mtime_ns, path))
            except FileNotFoundError:
                continue  # another worker was faster
        for _, path in sorted(known)[: max(0, len(known) - MOST + 1)]:
            path.unlink(missing_ok=True)

    def _path(self, kind: str, secret: str) -> Path:
        return self._folder / f"{kind}-{sha256(secret.encode()).hexdigest()}"


def _visit(path: Path) -> str:
    """The beginning of a hash of a hash: enough to tell sessions apart, nothing to come in with."""
    return f"vis_{sha256(path.name.encode()).hexdigest()[:12]}"
