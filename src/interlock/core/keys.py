"""Virtual keys: what is kept of one, what it may do, and when it opens the door. Values and decisions.

Above: server, gateway, app, storage. Below: caller, limits. The secret itself is kept nowhere: it has 256 random bits, so its
SHA-256 needs no salt and no slow hash, and looking it up is one look into a dictionary.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct, structs

from .caller import Caller, Secret
from .limits import Limit
from .roles import Role

PREFIX = "il-"
SHOWN = 10
"""Characters of a key that are kept and shown, so that people can tell which is which."""


class KeyRecord(Struct, frozen=True, omit_defaults=True):
    """One key as it is kept. Times are nanoseconds since the Unix epoch, zero where there is none."""

    id: str
    name: str
    tenant: str
    hash: str
    """SHA-256 of the secret, hexadecimal."""
    shown: str
    """The beginning of the secret."""
    created_ns: int
    user: str = ""
    """On whose behalf every call is made; empty: callers say."""
    models: tuple[str, ...] = ()
    """Patterns of names that may stand in `model`; none: any."""
    workflows: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    """Counted for this key alone."""
    expires_ns: int = 0
    revoked_ns: int = 0
    admin: bool = False
    """As the role of that name; keys made before there were roles say it so."""
    role: Role = "machine"
    before_hash: str = ""
    """Of the secret before the last rotation, good until `before_until_ns`."""
    before_until_ns: int = 0

    def opens(self, presented: str, now_ns: int) -> bool:
        """Whether a secret of this hash opens the door now."""
        if self.revoked_ns or (self.expires_ns and now_ns >= self.expires_ns):
            return False
        return presented == self.hash or (presented == self.before_hash and now_ns < self.before_until_ns)

    def state(self, now_ns: int) -> str:
        """`active`, `revoked` or `expired`."""
        return "revoked" if self.revoked_ns else "expired" if 0 < self.expires_ns <= now_ns else "active"

    @property
    def holds(self) -> Role:
        """The role it is held in."""
        return "admin" if self.admin else self.role

    @property
    def grant(self) -> Grant:
        return Grant(
            self.models,
            self.workflows,
            tuple(structs.replace(each, name=f"{self.id}/{each.name}", per=("key",)) for each in self.limits),
        )

    def caller(self) -> Caller:
        """Whom it stands for."""
        return Caller(self.tenant, user=self.user, key_id=self.id)


class Grant(Struct, frozen=True):
    """What a key may do and use."""

    models: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()

    def refusal(self, workflow: str, model: str) -> str:
        """Why a call is not permitted; empty when it is."""
        if self.models and not any(fnmatch.fnmatchcase(model, each) for each in self.models):
            return f"this key may not use the model {model!r}; it may use {', '.join(self.models)}"
        if self.workflows and not any(fnmatch.fnmatchcase(workflow, each) for each in self.workflows):
            named = f"the workflow {workflow!r}" if workflow else "calls without a workflow"
            return f"this key is not for {named}; it is for {', '.join(self.workflows)}"
        return ""


def hash_of(secret: bytes) -> str:
    """What is kept of a secret, and looked up."""
    return hashlib.sha256(secret).hexdigest()


def made(record: KeyRecord, entropy: Callable[[int], str]) -> tuple[KeyRecord, Secret]:
    """The record with a fresh secret. `entropy(n)`: a URL-safe text of n random bytes (`secrets.token_urlsafe`)."""
    secret = PREFIX + entropy(32)
    return structs.replace(record, hash=hash_of(secret.encode()), shown=secret[:SHOWN]), Secret(secret)


def rotated(record: KeyRecord, now_ns: int, overlap_ns: int, entropy: Callable[[int], str]) -> tuple[KeyRecord, Secret]:
    """The record with a new secret; the old one goes on for `overlap_ns`."""
    fresh, secret = made(record, entropy)
    before = record.hash if overlap_ns else ""
    return structs.replace(fresh, before_hash=before, before_until_ns=now_ns + overlap_ns if overlap_ns else 0), secret


class KeyBook:
    """The keys at hand: what the request path looks into. Replaced as a whole whenever one has changed."""

    def __init__(self, records: Sequence[KeyRecord] = ()) -> None:
        self._by_hash: dict[str, KeyRecord] = {}
        self._by_id: dict[str, KeyRecord] = {}
        self.replace(records)

    def replace(self, records: Sequence[KeyRecord]) -> None:
        """These and no others from now on."""
        by_hash = {record.hash: record for record in records}
        by_hash |= {record.before_hash: record for record in records if record.before_hash}
        self._by_id = {record.id: record for record in records}
        self._by_hash = by_hash

    def find(self, presented: str, now_ns: int) -> KeyRecord | None:
        """The key whose secret has this hash, if it opens the door now."""
        record = self._by_hash.get(presented)
        return record if record is not None and record.opens(presented, now_ns) else None

    def grant_of(self, key_id: str) -> Grant | None:
        """What the key of that id may do; `None` for one that is none of ours."""
        record = self._by_id.get(key_id)
        return None if record is None else record.grant

    @property
    def records(self) -> list[KeyRecord]:
        return list(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)


class KeyStore(Protocol):
    """Where keys are kept. Methods block and may raise StoreUnavailable: call them off the request path."""

    def records(self) -> Sequence[KeyRecord]:
        """All of them, the oldest first."""
        ...

    def put_key(self, record: KeyRecord) -> None:
        """Writes one, in place of an earlier one of that id."""
        ...

    def keys_version(self) -> int:
        """A number that changes with every write, whoever wrote."""
        ...
