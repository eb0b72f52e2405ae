"""Names of files that come out of a sandbox, and where they may go. Above: wire, call. Below: the file system."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MAX_DEPTH, MAX_PATH_BYTES, MAX_PART_BYTES = 16, 1024, 255


def checked(path: str) -> str:
    """`path`, if it is a plain relative one.

    Raises:
        ValueError: it is absolute, climbs, is too long or too deep, or holds characters that no file name needs.
    """
    parts = path.split("/")
    if (
        not path
        or len(os.fsencode(path) if path.isprintable() else b"") not in range(1, MAX_PATH_BYTES + 1)
        or "\\" in path
        or len(parts) > MAX_DEPTH
        or any(part in ("", ".", "..") or len(os.fsencode(part)) > MAX_PART_BYTES for part in parts)
    ):
        raise ValueError(f"not the plain relative path of a file: {path[:100]!r}")
    return path


class Folder:
    """A folder of the host that files are written to, never through a link."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._file = -1

    def begin(self, path: str) -> None:
        """Opens the file of a checked path; one that exists is replaced."""
        self.end()
        *folders, name = path.split("/")
        at = os.dup(self._root)
        try:
            for folder in folders:
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o755, dir_fd=at)
                inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                os.close(at)
                at = inner
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(name, flags, 0o644, dir_fd=at)
        finally:
            os.close(at)

    def data(self, part: bytes) -> None:
        view = memoryview(part)
        while view:
            view = view[os.write(self._file, view) :]

    def end(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def close(self) -> None:
        self.end()
        os.close(self._root)
