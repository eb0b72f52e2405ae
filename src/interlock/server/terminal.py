"""Whether a process still has the terminal that it was started from: SIGHUP means two things. Above: reload, workers. Below: nothing."""

from __future__ import annotations

import os


class Terminal:
    """Looked at when it is made, and again when a SIGHUP comes: from a closed terminal it means the end, from anybody else that files have changed."""

    def __init__(self) -> None:
        self._was_there = _there()

    def closed(self) -> bool:
        return self._was_there and not _there()


def _there() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
