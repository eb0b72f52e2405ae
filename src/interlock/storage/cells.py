"""Counts that the processes of one machine share without a lock: a mapped file each, written by its owner and read by the others.

Above: `app` hands these to the gateway as `core.limits.Cells`. Below: core.

Beside the store's file stand `STORE.limits`, which says in one number which generation of processes counts here, and one file per
process, locked while it lives. Rows come first (eight words: tag, six amounts, until when they count), then a log of the rows that
were taken into use, then a head. The kernel keeps the pages of a killed process; whoever starts next takes its counts over. A loss
of power may lose the last half minute.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import threading
from pathlib import Path

from interlock.core.errors import StoreUnavailable
from interlock.core.limits import UNBOUNDED_NS

WORDS = 8
UNTIL = 7
_HEAD_WORDS = 8
_CHANGES, _SEEN = 0, 1
GRACE_NS = 5_000_000_000
"""How long a row is left alone after its time: a call that is under way may still be settled in it."""
JOIN_WAIT_S = 5.0
_PAUSE_S = 0.005


class MappedCells:
    """`core.limits.Cells` of this process. Everything but `open`, `refresh` and `close` is free of system calls."""

    def __init__(self, control: _Mapped, own: _Mapped, rows: int) -> None:
        self._control = control
        self._own = own
        self._rows = rows
        self._log = rows * WORDS
        self._head = self._log + rows
        self._taken: dict[int, int] = {}
        self._free: list[int] = []
        self._next = WORDS  # row 0 is nobody's: what finds no room is written there
        self._peers: tuple[_Peer, ...] = ()
        self._generation = 0
        self._fence = threading.Lock()
        self.values = own.words
        self.alone = True

    @classmethod
    def open(cls, store: Path, *, rows: int = 32_768, seen_wait_s: float = 1.0) -> MappedCells:
        """Takes part in counting beside `store`, with what dead processes have counted.

        Returns once every living process counts with this one, or after `seen_wait_s`.

        Raises:
            StoreUnavailable: the files cannot be made, or another process holds them for too long.
        """
        path = store.with_name(f"{store.name}.limits")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            control = _Mapped(path, _HEAD_WORDS, fresh=False)
            try:
                control.lock(JOIN_WAIT_S)
                own = _Mapped(
                    path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}"), _size(rows), fresh=True
                )
                own.lock(0.0)
                cells = cls(control, own, rows)
                cells._join()
            finally:
                control.unlock()
        except OSError as error:
            raise StoreUnavailable(
                f"{path}: the counts of limits could not be opened: {error}.",
                hint="Free space on that disk, or see that this user may write there.",
            ) from error
        cells._wait_until_seen(seen_wait_s)
        return cells

    def claim(self, tag: int, until_ns: int, now_ns: int) -> int:
        known = self._taken.get(tag)
        if known is not None:
            return known
        if self._free:
            at = self._free.pop()
        elif self._next < self._log:
            at, self._next = self._next, self._next + WORDS
        else:
            self.sweep(now_ns)
            if not self._free:
                return 0
            at = self._free.pop()
        self._put(at, (tag, 0, 0, 0, 0, 0, 0, until_ns))
        return at

    def find(self, tag: int) -> int:
        return self._taken.get(tag, 0)

    def release(self, tag: int) -> None:
        at = self._taken.pop(tag, 0)
        if at:
            self.values[at] = 0
            self._free.append(at)

    def sweep(self, now_ns: int) -> None:
        """Frees the rows whose time is long over."""
        for tag, at in tuple(self._taken.items()):
            if self.values[at + UNTIL] + GRACE_NS < now_ns:
                self.release(tag)

    def elsewhere(self, tag: int, place: int, *, running: bool) -> int:
        # What this process has written must be seen by the others before it reads theirs: taking a lock is a full barrier.
        with self._fence:
            peers = self._peers
        total = 0
        for peer in peers:
            if not (running and peer.dead):
                total += peer.amount(tag, place)
        return total

    def refresh(self) -> None:
        """Looks who else counts here; to be called a few times per second, off the request path."""
        generation = self._control.words[0]
        if generation != self._generation:
            self._look_round(generation)
        for peer in self._peers:
            peer.dead = peer.dead or not _is_held(peer.mapped.path)

    def close(self) -> None:
        """What was counted stays for the next start."""
        for peer in self._peers:
            peer.mapped.close()
        self._peers = ()
        self._own.close()
        self._control.close()

    # --- inside ---

    def _join(self) -> None:
        """Under the control file's lock: takes over what the dead have counted, then makes itself known."""
        for path in self._others():
            wreck = _Mapped.of_the_dead(path)
            if wreck is not None:
                self._take_over(wreck)
                wreck.close(remove=True)
        self._control.words[0] += 1
        self._look_round(self._control.words[0])

    def _take_over(self, wreck: _Mapped) -> None:
        words = wreck.words
        rows = (len(words) - _HEAD_WORDS) // (WORDS + 1)
        for at in range(WORDS, rows * WORDS, WORDS):
            tag, until_ns = words[at], words[at + UNTIL]
            if not tag or until_ns == UNBOUNDED_NS:  # what ran in a dead process runs no more
                continue
            mine = self.claim(tag, until_ns, 0)
            for word in range(1, UNTIL) if mine else ():
                self.values[mine + word] += words[at + word]

    def _look_round(self, generation: int) -> None:
        known = {peer.mapped.path: peer for peer in self._peers}
        peers: list[_Peer] = []
        for path in self._others():
            try:
                peers.append(known.pop(path, None) or _Peer(_Mapped(path, 0, fresh=False)))
            except OSError:
                continue  # it was taken over a moment ago; the generation has changed again by then
        self._peers = tuple(peers)
        self.alone = not peers
        for gone in known.values():
            gone.mapped.close()
        self._generation = generation
        self.values[self._head + _SEEN] = generation

    def _others(self) -> list[Path]:
        folder, name = self._control.path.parent, self._control.path.name
        return sorted(path for path in folder.glob(f"{name}.*") if path != self._own.path)

    def _wait_until_seen(self, wait_s: float) -> None:
        pause = threading.Event()
        for _ in range(int(wait_s / _PAUSE_S)):
            self.refresh()  # another that starts at the same moment waits for this one
            if all(peer.seen >= self._generation or peer.dead for peer in self._peers):
                return
            pause.wait(_PAUSE_S)

    def _put(self, at: int, row: tuple[int, ...]) -> None:
        values = self.values
        values[at] = 0
        for word in range(1, WORDS):
            values[at + word] = row[word]
        values[at] = row[0]
        self._taken[row[0]] = at
        changes = values[self._head + _CHANGES]
        values[self._log + changes % self._rows] = at
        values[self._head + _CHANGES] = changes + 1


class _Peer:
    """The rows of another process."""

    def __init__(self, mapped: _Mapped) -> None:
        self.mapped = mapped
        self.dead = False
        self._words = mapped.words
        self._rows = (len(mapped.words) - _HEAD_WORDS) // (WORDS + 1)
        self._log = self._rows * WORDS
        self._head = self._log + self._rows
        self._known = 0
        self._at: dict[int, int] = {}

    @property
    def seen(self) -> int:
        return self._words[self._head + _SEEN]

    def amount(self, tag: int, place: int) -> int:
        if self._words[self._head + _CHANGES] != self._known:
            self._learn()
        at = self._at.get(tag)
        return self._words[at + 1 + place] if at is not None and self._words[at] == tag else 0

    def _learn(self) -> None:
        changes = self._words[self._head + _CHANGES]
        if changes - self._known > self._rows // 2:
            self._at = {self._words[at]: at for at in range(WORDS, self._log, WORDS) if self._words[at]}
        else:
            for change in range(self._known, changes):
                at = self._words[self._log + change % self._rows]
                self._at[self._words[at]] = at
            if len(self._at) > 2 * self._rows:  # tags of rows that were given to others meanwhile
                self._at = {tag: at for tag, at in self._at.items() if self._words[at] == tag}
        self._known = changes


class _Mapped:
    """A file of 64-bit words in memory."""

    def __init__(self, path: Path, words: int, *, fresh: bool) -> None:
        """`words`: how many to allocate; 0 takes the file as it is. `fresh`: it must not be there yet."""
        self.path = path
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if words else 0) | (os.O_EXCL if fresh else 0)
        self._file = os.open(path, flags, 0o600)
        try:
            if words and os.fstat(self._file).st_size < words * 8:
                os.posix_fallocate(self._file, 0, words * 8)
            self._map = mmap.mmap(self._file, os.fstat(self._file).st_size)
        except (OSError, ValueError) as error:
            os.close(self._file)
            raise error if isinstance(error, OSError) else OSError(f"{path} is empty") from error
        self.words = memoryview(self._map).cast("q")

    @classmethod
    def of_the_dead(cls, path: Path) -> _Mapped | None:
        """The file at `path`, locked, when its process is gone; else `None`."""
        try:
            found = cls(path, 0, fresh=False)
        except FileNotFoundError:
            return None
        except OSError:  # its process died before it had any room
            path.unlink(missing_ok=True)
            return None
        try:
            found.lock(0.0)
        except OSError:
            found.close()
            return None
        return found

    def lock(self, wait_s: float) -> None:
        pause = threading.Event()
        for left in range(int(wait_s / _PAUSE_S), -1, -1):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if not left:
                    raise
            pause.wait(_PAUSE_S)

    def unlock(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self, *, remove: bool = False) -> None:
        if remove:
            self.path.unlink(missing_ok=True)
        self.words.release()
        self._map.close()
        os.close(self._file)


def _size(rows: int) -> int:
    return rows * WORDS + rows + _HEAD_WORDS


def _is_held(path: Path) -> bool:
    """Whether the process that owns the file at `path` lives."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(file)
