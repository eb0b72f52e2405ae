"""Several workers behind one port: forked from one process that has opened nothing yet, watched, started again when one dies.

Above: cli. Below: serve. Each worker has a listening socket of its own on the same address (SO_REUSEPORT), so the kernel spreads
connections; the sockets stay open here, so those that wait for a worker that died are taken by its successor. Limits, keys and the
ledger are shared through the workspace's files.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

from msgspec import Struct

from interlock.core.time import Clock, SystemClock

from .board import Board
from .serve import open_socket
from .terminal import Terminal

SETTLED_S = 10.0
"""A worker that lived this long is started again at once when it dies."""
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 10.0
STOP_GRACE_S = 10.0
"""How much longer than its own bound a worker may take to stop before it is killed."""
_WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Worker(Struct, frozen=True):
    """What one worker is given."""

    number: int
    """From 0; worker 0 also does the work that only one may do."""
    sock: socket.socket
    parent: int
    """A pipe that ends when the parent process does."""
    restarts: int
    """How often there was a worker of this number before."""
    board: Board
    """Where workers and the process that watches them tell each other their versions."""
    round: int
    """The last round of reloads before it was made."""


class _Place:
    """One worker's place: who is in it, and when it may be filled again."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.pid = 0
        self.started_s = 0.0
        self.restarts = -1
        self.round = 0
        self.wait_s = 0.0
        self.due_s = 0.0


class Supervisor:
    """Keeps the workers running until it is told to stop."""

    def __init__(
        self,
        main: Callable[[Worker], int],
        sockets: Sequence[socket.socket],
        *,
        shutdown_s: float,
        clock: Clock | None = None,
        say: Callable[[str], None] = lambda _: None,
        renew: Callable[[Board], bool] = lambda _: True,
    ) -> None:
        """`main` runs in each worker's own process and returns its exit code. `renew` looks at the files when a SIGHUP comes, and says whether the
        workers are to follow them.
        """
        self._main = main
        self._places = [_Place(number, sock) for number, sock in enumerate(sockets)]
        self._shutdown_s = shutdown_s
        self._clock = clock or SystemClock()
        self._say = say
        self._renew = renew
        self.board = Board(len(self._places))
        self._terminal = Terminal()
        self._pipe = os.pipe()

    def run(self) -> int:
        """Returns 0 after an orderly end, or a worker's own exit code where one could not even begin."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        gc.collect()
        gc.freeze()  # what was loaded so far stays shared with the workers
        try:
            return self._watch()
        finally:
            self._stop()
            while signal.sigtimedwait(_WATCHED, 0) is not None:
                pass  # told twice: that it has ended in order is what it has to say
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for end in self._pipe:
                os.close(end)

    def _watch(self) -> int:
        while True:
            now_s = self._clock.monotonic_s()
            for place in self._places:
                if not place.pid and place.due_s <= now_s:
                    self._start(place)
            due = [place.due_s for place in self._places if not place.pid]
            woken = signal.sigtimedwait(_WATCHED, max(0.0, min(due, default=now_s + 60.0) - now_s))
            if woken is not None and woken.si_signo == signal.SIGHUP and not self._terminal.closed():
                self._reload()
            elif woken is not None and woken.si_signo != signal.SIGCHLD:
                return 0
            if code := self._gather():
                return code

    def _reload(self) -> None:
        """Opens a round; each worker takes part for itself."""
        good = self._renew(self.board)
        self.board.ask(refused=not good)
        for place in self._places if good else ():
            if place.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(place.pid, signal.SIGHUP)

    def _gather(self) -> int:
        """Notes who has died; a code where a worker ended by itself before it had ever settled in."""
        for place in self._places:
            pid, status = (0, 0) if not place.pid else os.waitpid(place.pid, os.WNOHANG)
            if not pid:
                continue
            now_s = self._clock.monotonic_s()
            place.pid = 0
            lived_s = now_s - place.started_s
            code = os.waitstatus_to_exitcode(status)
            if code > 0 and lived_s < SETTLED_S and not place.restarts:
                return code  # it has said why; another try would say the same
            place.wait_s = 0.0 if lived_s >= SETTLED_S else min(LONGEST_WAIT_S, place.wait_s * 2 or FIRST_WAIT_S)
            place.due_s = now_s + place.wait_s
            ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            self._say(f"worker {place.number} {ended}; it is started again in {place.wait_s:.1f} s")
        return 0

    def _start(self, place: _Place) -> None:
        place.started_s = self._clock.monotonic_s()
        place.restarts += 1
        place.round = self.board.asked
        sys.stdout.flush()
        sys.stderr.flush()
        place.pid = os.fork()
        if not place.pid:
            self._become(place)

    def _become(self, place: _Place) -> NoReturn:
        """In the new process: nothing of the parent's way of listening stays."""
        code = 1
        try:
            for each in (signal.SIGTERM, signal.SIGINT):  # until the server listens to them itself
                signal.signal(each, _leave)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what it misses it finds on the board
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            os.close(self._pipe[1])
            for other in self._places:
                if other is not place:
                    other.sock.close()
            code = self._main(Worker(place.number, place.sock, self._pipe[0], place.restarts, self.board, place.round))
        except SystemExit:
            code = 0
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _stop(self) -> None:
        """Tells every worker, waits for as long as it may take, and kills what has not ended."""
        running = [place for place in self._places if place.pid]
        for place in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(place.pid, signal.SIGTERM)
        until_s = self._clock.monotonic_s() + self._shutdown_s + STOP_GRACE_S
        while running := [place for place in running if not os.waitpid(place.pid, os.WNOHANG)[0]]:
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0:
                break
            signal.sigtimedwait({signal.SIGCHLD}, min(left_s, 1.0))
        for place in running:
            os.kill(place.pid, signal.SIGKILL)
            os.waitpid(place.pid, 0)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Told to stop before the door was open: what was opened until then is closed on the way out."""
    raise SystemExit(0)


def shared_sockets(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` sockets on one address. Raises CannotListen where somebody else has it, sharing or not."""
    probe = open_socket(host, port)
    port = probe.getsockname()[1]
    probe.close()
    return [open_socket(host, port, shared=True) for _ in range(count)]
