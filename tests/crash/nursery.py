"""Processes to kill, forked from one that has imported everything: a life costs milliseconds instead of an interpreter's start.

Run as `python -m tests.crash.nursery DESCRIPTOR`; on that socket it is told what to live, with the pipe to speak on, and answers with the process's id. Each life says
`ready`, then `done` or why it broke.
"""

import asyncio
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tests.crash.worker import Told, main

ROOT = Path(__file__).parents[2]
MOST_BYTES = 65_536
LONGEST_S = 180.0
"""A life that neither ends nor is ended in that time hangs."""


class Victim:
    """One life."""

    def __init__(self, process: int, voice: int) -> None:
        self._voice, self._said = voice, b""
        self._handle = -1
        with suppress(ProcessLookupError):  # over already
            self._handle = os.pidfd_open(process)

    def ready(self) -> bool:
        """Once it works; False where it ended before."""
        while b"ready\n" not in self._said:
            if not self._hear():
                return False
        return True

    def send(self, number: signal.Signals) -> None:
        if self._handle >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> bool:
        """Ends it; True when it had finished by then."""
        self.send(signal.SIGKILL)
        return self.over()

    def over(self) -> bool:
        """When it has ended: True when it had finished, False when it was killed."""
        while self._hear():
            pass
        os.close(self._voice)
        if self._handle >= 0:
            os.close(self._handle)
        assert b"broke" not in self._said, self._said.decode()
        return b"done\n" in self._said

    def _hear(self) -> bytes:
        assert select.select([self._voice], [], [], LONGEST_S)[0], "a life hangs"
        heard = os.read(self._voice, MOST_BYTES)
        self._said += heard
        return heard


class Nursery:
    """A context manager: the process that forks lives as long as the block."""

    def __enter__(self) -> Self:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.crash.nursery", str(theirs.fileno())]
        self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
        theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.close()
        self._process.wait(90)

    def start(self, told: Told) -> Victim:
        mine, theirs = os.pipe()
        socket.send_fds(self._line, [msgspec.json.encode(told)], [theirs])
        os.close(theirs)
        return Victim(int(self._line.recv(100)), mine)


def serve(line: socket.socket) -> None:
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        told, voices, _, _ = socket.recv_fds(line, MOST_BYTES, 1)
        if not told:
            return
        process = os.fork()
        if not process:
            line.close()
            live(msgspec.json.decode(told, type=Told), voices[0])
        os.close(voices[0])
        line.send(str(process).encode())


def live(told: Told, voice: int) -> None:
    """In the child: from here to the end of the process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(voice, 1)
    with (Path(told.outside) / "workers.log").open("a") as log:
        os.dup2(log.fileno(), 2)
    try:
        asyncio.run(main(told))
    except BaseException:  # noqa: BLE001 - whatever it is, the one who watches has to know
        print("broke", traceback.format_exc(), flush=True)
    os._exit(0)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
