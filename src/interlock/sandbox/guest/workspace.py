"""Files of a job: placed before it, sent back after it; regular files only. Above: runner. Below: frames.

The names that come in were checked outside; those that go out are checked there again.
"""

from __future__ import annotations

import json
import os
import stat

from . import frames

Seen = dict[str, tuple[int, int, int]]
_PRIVATE = ".tmp"
JOB_FD = 3


class Writer:
    """Writes the files of a job as they come in, piece by piece."""

    def __init__(self) -> None:
        self._fd = -1

    def begin(self, path: str) -> None:
        self.end()
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def data(self, body: bytes) -> None:
        view = memoryview(body)
        while view:
            view = view[os.write(self._fd, view) :]

    def end(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def snapshot() -> Seen:
    """Regular files of the workspace by path: inode, size, time of change."""
    found: Seen = {}
    for folder, folders, names in os.walk("."):
        if folder == "." and _PRIVATE in folders:
            folders.remove(_PRIVATE)
        for name in names:
            path = os.path.normpath(os.path.join(folder, name))
            try:
                seen = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(seen.st_mode):
                found[path] = (seen.st_ino, seen.st_size, seen.st_mtime_ns)
    return found


def changed(before: Seen) -> list[str]:
    """Paths of files that are new or were written since `before`."""
    return sorted(path for path, seen in snapshot().items() if before.get(path) != seen)


def send(fd: int, path: str) -> None:
    """One file as frames; one that is gone or no regular file any more is left out."""
    try:
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        size = os.fstat(source).st_size
        frames.send(fd, frames.FILE, json.dumps({"path": path, "size": size, "kind": "file"}).encode())
        while size:
            part = os.read(source, min(size, frames.CHUNK))
            if not part:
                break
            frames.send(fd, frames.DATA, part)
            size -= len(part)
    finally:
        os.close(source)
