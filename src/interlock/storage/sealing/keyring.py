"""The keyring: every tenant's data keys, wrapped, in one small file apart from the store and from its backups.

Above: envelope, `app`. Below: a `core.sealing.MasterKey`. Apart, since a backup that held the keys beside what they seal could not be made unreadable
by destroying keys. Processes that share the file see each other's changes within a fifth of a second; changes are made one at a time under a lock, and
a change replaces the file as a whole. The blocks of the file that was replaced are overwritten first, as far as the file system lets us.

Users' keys stand nowhere: they derive from one key of their tenant (leaves), and what is kept of an erased user is what the keys of all others derive from.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import struct
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct, structs

from interlock.core.errors import StoreUnavailable
from interlock.core.sealing import DataKey, KeyDestroyed, KeyEntry, KeyKind, KeyMissing, MasterKey, UserKey
from interlock.core.time import Clock

from .leaves import Leaves, number_of

KEY_BYTES = 32
USERS = 8192
"""Whose keys are at hand; working one out again takes 50 µs."""
READS = 5
LOOK_S = 0.2
"""Between two looks whether another process has changed the file."""
_list = msgspec.json.Decoder(list[KeyEntry])
Found = dict[str, KeyEntry]
State = tuple[int, int, int]


class Status(Struct, frozen=True):
    """What stands in a keyring, for people."""

    keys: tuple[KeyEntry, ...]
    """Without what they are."""
    masters: tuple[str, ...]
    """Names of the master keys at hand; the first one wraps."""


class Keyring:
    """`core.sealing.Keys` over one file. Safe to use from any thread and from several processes."""

    def __init__(self, path: Path, masters: Sequence[MasterKey], clock: Clock) -> None:
        """`masters`: the first one wraps, all of them unwrap; with none, nothing can be sealed or opened."""
        self.path = path
        self._masters = {each.name: each for each in masters}
        self._first = masters[0] if masters else None
        self._clock = clock
        self._look_s = 0.0
        self._lock = threading.Lock()
        self._seen: State | None = None
        self._entries: Found = {}
        self._newest: dict[tuple[str, str], KeyEntry] = {}
        self._open: dict[str, DataKey] = {}
        self._leaves: dict[str, tuple[KeyEntry, Leaves]] = {}
        self._users: dict[tuple[str, str | int], UserKey] = {}
        """By tenant and user, and by data key and number; another one in its place after each change."""

    @property
    def state(self) -> State | None:
        self._look()
        return self._seen

    def current(self, tenant: str, kind: KeyKind) -> DataKey:
        self._look()
        newest = self._newest.get((tenant, kind))
        return self._made(tenant, kind) if newest is None else self._unwrapped(newest)

    def named(self, key: str) -> DataKey:
        self._look()
        entry = self._entries.get(key)
        if entry is None:
            raise KeyMissing(
                f"no key {key} in {self.path}",
                hint="Point `encryption.keyring` at the keyring that it was sealed with.",
            )
        if entry.destroyed_ns:
            raise KeyDestroyed(f"the key {key} of {entry.tenant} was destroyed: its content is erased")
        return self._unwrapped(entry)

    def of_user(self, tenant: str, user: str) -> UserKey:
        self._look()
        known, kept = self._users.get((tenant, user)), self._users
        if known is not None:
            return known
        data = self.current(tenant, "users")
        leaves = self._left(data)
        number = next(
            each for again in range(len(leaves) + 1) if (each := number_of(data.entry.id, user, again)) in leaves
        )
        return _remembered(kept, (tenant, user), self._derived(leaves, data.entry.id, number))

    def leaf(self, key: str, leaf: int) -> UserKey:
        self._look()
        known, kept = self._users.get((key, leaf)), self._users
        if known is not None:
            return known
        return _remembered(kept, (key, leaf), self._derived(self._left(self.named(key)), key, leaf))

    def versions(self, tenant: str, kind: KeyKind) -> Sequence[DataKey]:
        self._look()
        ours = [each for each in self._entries.values() if (each.tenant, each.kind) == (tenant, kind)]
        living = [each for each in ours if not each.destroyed_ns]
        return [self._unwrapped(each) for each in sorted(living, key=lambda each: -each.version)]

    def destroyed(self, tenant: str, kind: KeyKind) -> bool:
        self._look()
        return any(each.destroyed_ns for each in self._entries.values() if (each.tenant, each.kind) == (tenant, kind))

    def ready(self) -> None:
        """Raises KeyMissing: something in it cannot be opened, or nothing could be sealed. StoreUnavailable: it cannot be read."""
        self._wrapping()
        self._look()
        for entry in self._entries.values():
            if not entry.destroyed_ns:
                self._unwrapped(entry)

    def status(self) -> Status:
        self._look()
        shown = sorted(self._entries.values(), key=lambda each: (each.tenant, each.kind, each.version))
        return Status(tuple(structs.replace(each, wrapped="", left="") for each in shown), tuple(self._masters))

    def rotate(self, tenant: str = "", kind: KeyKind = "content") -> int:
        """A new version for one tenant, or for each that has one; what is sealed from here on is sealed with it. How many there are.

        Raises:
            KeyMissing: there is no master key to wrap it.
        """
        with self._changing() as entries:
            having = {each.tenant for each in entries.values() if each.kind == kind and not each.destroyed_ns}
            tenants = [tenant] if tenant else sorted(having)
            for each in tenants:
                self._add(entries, each, kind)
        return len(tenants)

    def rewrap(self) -> int:
        """Wraps every key with the first master key; how many were wrapped with another. No sealed content is touched."""
        master, done = self._wrapping(), 0
        with self._changing() as entries:
            for key, entry in list(entries.items()):
                if entry.destroyed_ns or entry.master == master.name:
                    continue
                wrapped = master.wrap(self._unwrapped(entry).secret, _about(entry))
                entries[key] = structs.replace(entry, master=master.name, wrapped=_text(wrapped))
                done += 1
        return done

    def forget(self, tenant: str, users: Iterable[str]) -> int:
        """Destroys the keys of these users of the tenant for good, of every version; how many there could have been. Who comes again has another key.

        Raises:
            KeyMissing: the tenant's key is wrapped with a master key that is not at hand, or there is none to wrap it anew.
        """
        names, gone = list(users), 0
        with self._changing() as entries:
            for key, entry in list(entries.items()):
                if entry.tenant == tenant and entry.kind == "users" and not entry.destroyed_ns:
                    entries[key] = self._without(entry, names)
                    gone += len(names)
        return gone

    def destroy(self, tenant: str, kinds: Iterable[KeyKind]) -> int:
        """Destroys the tenant's keys of these kinds for good; how many there were. Needs no master key."""
        wanted, gone = frozenset(kinds), 0
        with self._changing() as entries:
            for key, entry in list(entries.items()):
                if entry.tenant == tenant and entry.kind in wanted and not entry.destroyed_ns:
                    entries[key] = structs.replace(
                        entry, master="", wrapped="", left="", destroyed_ns=self._clock.wall_ns()
                    )
                    gone += 1
        return gone

    # --- one key ----------------------------------------------------------------------------------------------------

    def _made(self, tenant: str, kind: KeyKind) -> DataKey:
        """The first one of a tenant; whichever process comes first makes it."""
        with self._changing() as entries:
            there = [
                each
                for each in entries.values()
                if (each.tenant, each.kind) == (tenant, kind) and not each.destroyed_ns
            ]
            entry = max(there, key=lambda each: each.version) if there else self._add(entries, tenant, kind)
        return self._unwrapped(entry)

    def _add(self, entries: Found, tenant: str, kind: KeyKind) -> KeyEntry:
        master = self._wrapping()
        last = max((each.version for each in entries.values() if (each.tenant, each.kind) == (tenant, kind)), default=0)
        bare = KeyEntry(secrets.token_hex(8), tenant, kind, last + 1, self._clock.wall_ns(), master.name)
        wrapped = master.wrap(secrets.token_bytes(KEY_BYTES), _about(bare))
        entries[bare.id] = made = structs.replace(bare, wrapped=_text(wrapped))
        return made

    def _unwrapped(self, entry: KeyEntry) -> DataKey:
        known = self._open.get(entry.id)
        if known is not None and known.entry == entry:
            return known
        master = self._masters.get(entry.master)
        if master is None:
            at_hand = ", ".join(self._masters) or "none"
            raise KeyMissing(
                f"the data key {entry.id} of {entry.tenant} is wrapped with master key {entry.master}; at hand: {at_hand}",
                hint="Give that master key as `encryption.master_key`, or among `encryption.previous`.",
            )
        secret = master.unwrap(base64.b64decode(entry.wrapped), _about(entry))
        opened = DataKey(entry, secret)
        self._open[entry.id] = opened
        return opened

    def _wrapping(self) -> MasterKey:
        if self._first is None:
            raise KeyMissing(
                "no master key is at hand, so nothing can be sealed",
                hint="Set `encryption.master_key` (e.g. ${INTERLOCK_MASTER_KEY}), `encryption.master_key_file` or `encryption.kms`.",
            )
        return self._first

    # --- one user's key ---------------------------------------------------------------------------------------------

    def _left(self, data: DataKey) -> Leaves:
        """What still derives from a data key of kind `users`."""
        entry = data.entry
        known = self._leaves.get(entry.id)
        if known is not None and known[0] == entry:  # else a user was erased since
            return known[1]
        if entry.left:
            sealed = base64.b64decode(entry.left)
            try:
                leaves = Leaves.decoded(AESGCM(data.secret).decrypt(sealed[:12], sealed[12:], _about(entry)))
            except (InvalidTag, struct.error) as damaged:
                raise self._unusable(damaged) from damaged
        else:
            leaves = Leaves.whole(data.secret)
        self._leaves[entry.id] = entry, leaves
        return leaves

    def _derived(self, leaves: Leaves, key: str, number: int) -> UserKey:
        secret = leaves.key(number)
        if secret is None:
            raise KeyDestroyed(f"the key {key}/{number:016x} of a user was destroyed: their content is erased")
        return UserKey(key, number, secret)

    def _without(self, entry: KeyEntry, users: Iterable[str]) -> KeyEntry:
        """The entry with another data key, with which what is left is encrypted: the one of before opens nothing any more."""
        leaves = self._left(self._unwrapped(entry))
        for user in users:
            numbers = (number_of(entry.id, user, again) for again in range(len(leaves) + 1))
            leaves = leaves.without(next(each for each in numbers if each in leaves))
        master, secret, nonce = self._wrapping(), secrets.token_bytes(KEY_BYTES), os.urandom(12)
        left = nonce + AESGCM(secret).encrypt(nonce, leaves.encoded(), _about(entry))
        wrapped = master.wrap(secret, _about(entry))
        return structs.replace(entry, master=master.name, wrapped=_text(wrapped), left=_text(left))

    # --- the file ---------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Reads the file again where it is another one than the one that was read; looks whether it is every so often."""
        now_s = self._clock.monotonic_s()
        if now_s < self._look_s:
            return
        state = self._state()
        self._look_s = now_s + LOOK_S
        if state == self._seen:
            return
        with self._lock:
            self._take(*self._read())

    def _state(self) -> State | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> tuple[Found, State | None]:
        for left in range(READS, 0, -1):
            try:
                with self.path.open("rb") as file:
                    found = os.fstat(file.fileno())
                    entries = _list.decode(file.read())
            except FileNotFoundError:
                return {}, None
            except msgspec.DecodeError as error:
                if left == 1:
                    raise self._unusable(error) from error
                continue  # it was replaced, and overwritten, between our opening and our reading
            except OSError as error:
                raise self._unusable(error) from error
            return {each.id: each for each in entries}, (found.st_ino, found.st_mtime_ns, found.st_size)
        raise AssertionError("the last reading returns or raises")

    def _take(self, entries: Found, state: State | None) -> None:
        living = sorted((each for each in entries.values() if not each.destroyed_ns), key=lambda each: each.version)
        self._newest = {(each.tenant, each.kind): each for each in living}
        open_ = {each.id: self._open[each.id] for each in living if each.id in self._open}
        self._open = {key: each for key, each in open_.items() if each.entry == entries[key]}
        self._leaves = {key: each for key, each in self._leaves.items() if entries.get(key) == each[0]}
        self._users = {}
        self._entries, self._seen = entries, state

    @contextmanager
    def _changing(self) -> Generator[Found]:
        """The entries, to be changed by one process at a time; written when the block ends without a fault."""
        with self._lock, self._alone():
            entries, _ = self._read()
            before = dict(entries)
            self._take(dict(entries), None)
            yield entries
            if entries != before:
                self._write(entries)
            self._take(*self._read())

    @contextmanager
    def _alone(self) -> Generator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, entries: Found) -> None:
        aside = self.path.with_name(self.path.name + ".part")
        try:
            _put(aside, msgspec.json.format(msgspec.json.encode(list(entries.values()))))
            old = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC) if self.path.exists() else -1
            aside.replace(self.path)
            _to_disk(self.path.parent)
            if old >= 0:
                _blank(old)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self.path}: the keyring cannot be used: {error}.",
            hint="See that it is there whole and may be read and written by this user alone; nothing was changed.",
        )


def _remembered(kept: dict[tuple[str, str | int], UserKey], name: tuple[str, str | int], made: UserKey) -> UserKey:
    """`kept` is the dictionary from before it was made: what was destroyed meanwhile does not get into the one that came after."""
    if len(kept) >= USERS:
        kept.clear()
    kept[name] = made
    return made


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _about(entry: KeyEntry) -> bytes:
    """What a wrapped key is bound to: it opens as this key of this tenant only."""
    return msgspec.json.encode(["interlock data key", entry.id, entry.tenant, entry.kind, entry.version])


def _put(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _blank(descriptor: int) -> None:
    """Overwrites the file that was replaced, whose name is gone."""
    try:
        os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
