"""From `encryption:` to keys, and to stores that hold what tenants say sealed.

Above: stores, caches, sessions, waiting, guarding, compose, vault. Below: config, `core.plugins`, storage. A workspace without the section stores texts as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import msgspec

from interlock.config.encryption import EncryptionSettings
from interlock.config.names import nearest
from interlock.config.workspace import Workspace
from interlock.core import plugins
from interlock.core.batches import Blobs
from interlock.core.caller import Secret
from interlock.core.errors import ConfigError, Fault
from interlock.core.events import Settled
from interlock.core.sealing import KeyMissing, MasterKey
from interlock.core.store import Store
from interlock.core.time import SystemClock

if TYPE_CHECKING:
    from interlock.storage import Folder
    from interlock.storage.sealing.envelope import Envelope
    from interlock.storage.sealing.keyring import Keyring

Seal = Callable[[Settled, bytes], bytes]
"""A settled call's content as JSON, sealed as JSON."""


def keyring_of(workspace: Workspace) -> Keyring | None:
    """The workspace's keyring, not looked into yet; `None` where it has no `encryption`.

    Raises:
        ConfigError: a master key is none, or its file or plug-in is not there.
    """
    said = workspace.settings.encryption
    if said is None:
        return None
    from interlock.storage.sealing.keyring import Keyring  # `cryptography`, which only those who seal need

    return Keyring(workspace.root / said.keyring, _masters(workspace, said), SystemClock())


def ready(workspace: Workspace) -> None:
    """Rather not start than run without being able to seal, or to read what was sealed. Raises ConfigError, KeyMissing, StoreUnavailable."""
    keyring = keyring_of(workspace)
    if keyring is not None:
        keyring.ready()


def known(workspace: Workspace, store: Store) -> None:
    """Notes in the store with which keyring it is sealed, once; a keyring that is lost and begun anew is told from that one.

    Raises:
        KeyMissing: it was sealed with another one.
    """
    keyring = keyring_of(workspace)
    if keyring is None:
        return
    now, before = keyring.current("", "content").entry.id, store.texts.get("", "keyring", "")
    if before is None:
        store.texts.put("", "keyring", "", now, SystemClock.wall_ns())
    elif all(each.id != before for each in keyring.status().keys):
        raise KeyMissing(
            f"{keyring.path} is not the keyring that this store is sealed with: the key {before} is not in it",
            hint="Put a copy of the right one there. If it is lost, so is what was sealed; point `store:` at a new store.",
        )


def envelope_of(workspace: Workspace) -> Envelope | None:
    """What seals and opens; `None` where nothing is sealed. Raises ConfigError."""
    keyring = keyring_of(workspace)
    if keyring is None:
        return None
    from interlock.storage.sealing.envelope import Envelope

    return Envelope(keyring)


def sealed_store(workspace: Workspace, store: Store) -> Store:
    """`store`, with every text of tenants sealed where the workspace says so."""
    envelope = envelope_of(workspace)
    if envelope is None:
        return store
    from interlock.storage.sealing.records import SealedStore

    return cast("Store", SealedStore(store, envelope))


def sealed_files(workspace: Workspace, folder: Folder) -> Blobs:
    """The folder of files, likewise."""
    envelope = envelope_of(workspace)
    if envelope is None:
        return folder
    from interlock.storage.sealing.files import SealedFolder

    return SealedFolder(folder, envelope)


def seal_of(workspace: Workspace) -> Seal | None:
    """What seals a call's content before it stands in the flight journal; `None` where nothing is sealed."""
    envelope = envelope_of(workspace)
    if envelope is None:
        return None
    from interlock.storage.sealing.records import place_of

    def seal(settled: Settled, body: bytes) -> bytes:
        caller = settled.caller
        return envelope.body(caller.tenant, place_of(caller.task, caller.step, settled), body, caller.user)

    return seal


def _masters(workspace: Workspace, said: EncryptionSettings) -> list[MasterKey]:
    """The one that wraps first; none where no key is at hand: then nothing can be sealed or opened, and it is said when it is tried."""
    found: list[MasterKey] = []
    if said.kms:
        found.append(_plugged(said))
    elif said.master_key_file:
        path = workspace.root / said.master_key_file
        try:
            found.append(_local(path.read_text(encoding="utf-8"), "encryption.master_key_file"))
        except (OSError, UnicodeDecodeError) as away:
            raise _fault("encryption.master_key_file", f"{path} cannot be read: {away}") from away
    elif said.master_key:
        found.append(_local(said.master_key.reveal(), "encryption.master_key"))
    found += [_local(each.reveal(), f"encryption.previous[{at}]") for at, each in enumerate(said.previous) if each]
    return found


def _local(text: str, key: str) -> MasterKey:
    from interlock.storage.sealing.master import LocalMaster, read_master

    try:
        return LocalMaster(read_master(text))
    except ValueError as wrong:
        raise _fault(key, str(wrong)) from wrong


def _plugged(said: EncryptionSettings) -> MasterKey:
    module = plugins.find("kms", said.kms)
    if module is None:
        raise _fault("encryption.kms", f"no plug-in {said.kms!r}", nearest(said.kms, plugins.names("kms")))
    options = {key: each.reveal() if isinstance(each, Secret) else each for key, each in said.options.items()}
    try:
        settings: Any = msgspec.convert(options, module.Settings)
    except msgspec.ValidationError as wrong:
        takes = f"It takes {', '.join(module.Settings.__struct_fields__)}."
        raise _fault("encryption.options", str(wrong), takes) from wrong
    return module.build(settings)


def _fault(key: str, message: str, hint: str = "") -> ConfigError:
    return ConfigError([Fault("", 0, 0, key, message, hint)])
