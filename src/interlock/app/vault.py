"""The keys of a workspace, for people: how they stand, and what changes them. Every change stands in the audit before it is made.

Above: cli. Below: sealing, auditing, stores.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from msgspec import Struct

from interlock.config.load import load
from interlock.config.workspace import Workspace
from interlock.core.audit import Action
from interlock.core.caller import Caller
from interlock.core.errors import InvalidRequest
from interlock.core.sealing import TEXTS, KeyEntry, KeyKind
from interlock.core.time import Clock
from interlock.storage.sealing.keyring import Keyring

from .auditing import Auditing, login
from .sealing import keyring_of
from .stores import open_store

Kind = Literal["content", "tokens"]
_KINDS: dict[Kind, tuple[KeyKind, ...]] = {"content": TEXTS, "tokens": ("tokens",)}
"""What people call one kind: all that seals texts, users' keys and those of cached answers among it."""


class Vault(Struct, frozen=True):
    """How the keys stand."""

    keyring: str
    masters: tuple[str, ...]
    """Names of the master keys at hand; the first one wraps."""
    keys: tuple[KeyEntry, ...]
    """Without what they are."""
    elsewhere: int
    """Keys that a master key wraps which is not the first one at hand: `rewrap` is still to be run, or the key is missing."""


class VaultDesk:
    """One workspace's keyring. Every method may raise KeyMissing and StoreUnavailable."""

    def __init__(self, workspace: Workspace, keyring: Keyring, clock: Clock) -> None:
        self._workspace, self._keyring, self._clock = workspace, keyring, clock

    def shown(self) -> Vault:
        found = self._keyring.status()
        first = found.masters[:1]
        living = [each for each in found.keys if not each.destroyed_ns]
        elsewhere = sum(each.master not in first for each in living)
        return Vault(str(self._keyring.path), found.masters, found.keys, elsewhere)

    def rotate(self, tenant: str, kind: Kind) -> int:
        """New data keys, for one tenant or for each that has one; how many. What was sealed before stays readable."""
        self._note("vault.rotated", tenant or "every tenant", kind)
        return sum(self._keyring.rotate(tenant, each) for each in _KINDS[kind])

    def rewrap(self) -> int:
        """Every data key under the first master key; how many were under another one. No content is touched."""
        self._note("vault.rewrapped", "", "")
        return self._keyring.rewrap()

    def destroy(self, tenant: str, kind: Kind) -> int:
        """Destroys the tenant's keys of a kind for good; how many."""
        self._note("vault.destroyed", tenant, kind)
        return self._keyring.destroy(tenant, _KINDS[kind])

    def _note(self, action: Action, target: str, detail: str) -> None:
        store = open_store(self._workspace)
        try:
            at_hand = Caller(self._workspace.settings.tenant, key_id=f"os:{login()}")
            Auditing(store.audit, self._clock).noted(at_hand, "admin", action, target, detail)
        finally:
            store.close()


@contextmanager
def open_vault(path: Path | None, clock: Clock) -> Generator[VaultDesk]:
    """That of the workspace at `path`. Raises ConfigError; InvalidRequest: it has none."""
    workspace = load(path or Path())
    keyring = keyring_of(workspace)
    if keyring is None:
        raise InvalidRequest(
            "this workspace stores texts as they are: interlock.yaml has no `encryption`",
            hint="Add `encryption: {master_key: ${INTERLOCK_MASTER_KEY}}`; docs/data-life.md says what that does.",
        )
    yield VaultDesk(workspace, keyring, clock)
