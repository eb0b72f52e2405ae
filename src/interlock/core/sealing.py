"""Encryption at rest under per-tenant keys: the ports to keys, and the form of sealed and of unreadable content.

Above: storage seals and opens; app hands in the keys; ledger and agents look whether content can be read. Below: errors.

A data key per tenant seals texts; a master key of the workspace wraps the data keys (envelope encryption). What belongs to a user is sealed under a key of that user, which derives
from the tenant's. Destroying a key makes whatever it sealed unreadable wherever a copy of it lies (NIST SP 800-88r1, 2.6: cryptographic erase).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from .errors import StoreUnavailable

SEALED = "~sealed"
"""The only name in a JSON object that stands for sealed content; its value is the seal in base64."""
UNREADABLE = "~unreadable"
"""The only name in what a reader gets instead of content that it cannot open; its value says why."""
KeyKind = Literal["content", "tokens", "users", "answers"]
"""What a data key is for: texts at rest that are no user's · tokens that stand for personal data · the keys of users derive from it · cached answers, which do not say for
whom they were made."""
KINDS: tuple[KeyKind, ...] = ("content", "tokens", "users", "answers")
TEXTS: tuple[KeyKind, ...] = ("content", "users", "answers")
"""Those that seal what stands in stores."""


class KeyMissing(StoreUnavailable):
    """A key that is needed is not at hand: no master key was given, or not the one that wrapped it."""

    code = "key_missing"


class KeyDestroyed(StoreUnavailable):
    """The key was destroyed; what it sealed stays unreadable for good."""

    code = "key_destroyed"


class SealBroken(StoreUnavailable):
    """Sealed content was changed, cut, or stands in another place than the one that it was sealed for."""

    code = "seal_broken"


class MasterKey(Protocol):
    """What wraps data keys: a key at hand, or a service that keeps one and never gives it out.

    Raises from both methods:
        KeyMissing: it is not this one that wrapped, or the service refuses. StoreUnavailable: it cannot be reached.
    """

    @property
    def name(self) -> str:
        """Tells it from other master keys without telling what it is; at most 64 characters."""
        ...

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """`key` (32 bytes) made unreadable, bound to `about`."""
        ...

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes: ...


class KeyEntry(Struct, frozen=True, omit_defaults=True):
    """One data key as the keyring keeps it."""

    id: str
    """Sixteen hexadecimal digits; stands in front of whatever the key has sealed."""
    tenant: str
    kind: KeyKind
    version: int
    """From 1; the newest seals, all of them open."""
    created_ns: int
    master: str = ""
    """Name of the master key that wrapped it."""
    wrapped: str = ""
    """Base64; empty once it is destroyed."""
    destroyed_ns: int = 0
    left: str = ""
    """Of kind `users`, once a user was erased: what still derives from it, encrypted with this key, in base64."""


class DataKey(Struct, frozen=True):
    """One that can be used. Shows itself nowhere."""

    entry: KeyEntry
    secret: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.entry.id}, '***')"


class UserKey(Struct, frozen=True):
    """The key of one user. Shows itself nowhere."""

    key: str
    """Id of the data key that it derives from."""
    leaf: int
    """Which of that key's it is, of 64 bits; a user who was erased and comes again has another one."""
    secret: bytes

    def __repr__(self) -> str:
        return f"UserKey({self.key}/{self.leaf:016x}, '***')"


class Keys(Protocol):
    """The data keys of a workspace. Every method may raise StoreUnavailable: the keyring cannot be read or written."""

    @property
    def state(self) -> object:
        """Something that differs once keys have been added, rotated or destroyed, by whichever process."""
        ...

    def current(self, tenant: str, kind: KeyKind) -> DataKey:
        """The key that seals now; made where there is none. Raises KeyMissing."""
        ...

    def named(self, key: str) -> DataKey:
        """Raises KeyMissing, KeyDestroyed."""
        ...

    def of_user(self, tenant: str, user: str) -> UserKey:
        """The key that seals what belongs to `user` (not empty) now; made where there is none. Raises KeyMissing."""
        ...

    def leaf(self, key: str, leaf: int) -> UserKey:
        """One by what a seal says of it. Raises KeyMissing, KeyDestroyed."""
        ...

    def versions(self, tenant: str, kind: KeyKind) -> Sequence[DataKey]:
        """Those that are not destroyed, the newest first. Raises KeyMissing."""
        ...

    def destroyed(self, tenant: str, kind: KeyKind) -> bool:
        """Whether one of them was ever destroyed."""
        ...


def why_unreadable(content: Mapping[str, Any] | None) -> str:
    """Why content cannot be read; empty where it can."""
    if not content:
        return ""
    if SEALED in content:
        return "it is sealed, and this workspace has no `encryption`"
    return str(content.get(UNREADABLE, ""))
