"""A Redis of the test's own, on a socket in its folder."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from interlock.core.caller import Secret


class Server:
    """`redis-server` without persistence; killed, paused and started again at will."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("no redis-server on this machine")
        self._program = program
        self._socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = Secret(f"unix://{self._socket}")

    def start(self) -> None:
        line = [self._program, "--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(line, cwd=self._socket.parent, stdout=subprocess.DEVNULL)
        for _ in range(6_000):
            try:
                if Redis(unix_socket_path=str(self._socket)).ping():
                    return
            except RedisError:
                time.sleep(0.01)
        raise AssertionError("redis-server did not start")

    def client(self) -> Redis:
        return Redis(unix_socket_path=str(self._socket), decode_responses=True)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)
