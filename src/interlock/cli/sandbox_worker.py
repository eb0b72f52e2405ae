"""`interlock sandbox-worker`: runs the foreign code of gateways elsewhere, on a machine of its own. Above: main. Below: app/sandbox_worker."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from interlock.core.errors import ConfigError

from .options import parser, say, workspace_path

PORT = 8790


def options() -> argparse.ArgumentParser:
    """What `interlock sandbox-worker` takes."""
    made = parser("sandbox-worker", "Runs foreign code for gateways elsewhere, behind mutual TLS.", json=False)
    made.add_argument("--host", default="0.0.0.0", metavar="H", help="address to listen at (default: every one)")  # noqa: S104 - nobody gets in without a certificate
    made.add_argument("--port", type=int, default=PORT, metavar="P", help=f"port, 0 for a free one (default: {PORT})")
    made.add_argument(
        "--ca", type=Path, required=True, metavar="PEM", help="authority that signed the gateways' certificates"
    )
    made.add_argument(
        "--cert",
        type=Path,
        required=True,
        metavar="PEM",
        help="this worker's certificate; renewed files are read again",
    )
    made.add_argument("--key", type=Path, required=True, metavar="PEM", help="its key")
    made.add_argument(
        "--client", action="append", default=[], metavar="NAME", help="let in only certificates with one of these names"
    )
    made.add_argument(
        "--own-kernel",
        action="store_true",
        help="this machine is there for foreign code alone: where its kernel has no landlock (gVisor), go on without it",
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """Serves until ctrl-C or SIGTERM; 0 after an orderly end."""
    given = options().parse_args(arguments)
    asyncio.run(serve(given))
    return 0


async def serve(given: argparse.Namespace) -> None:
    """Proves the level, then opens the door."""
    from interlock.app.sandbox_worker import WorkerDoor
    from interlock.app.sandbox_worker import serve as serve_worker
    from interlock.config.load import load
    from interlock.config.sandbox import SandboxSettings
    from interlock.core.time import SystemClock

    try:
        settings = load(workspace_path(given.workspace)).settings.sandbox
    except ConfigError:
        if given.workspace is not None:
            raise
        settings = SandboxSettings()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    door = WorkerDoor(
        given.host, given.port, given.ca, given.cert, given.key, frozenset(given.client), given.own_kernel
    )

    def listening(level: str, port: int) -> None:
        say(f"sandbox worker at {given.host}:{port}, level {level}")

    await serve_worker(settings, door, SystemClock(), listening, stop)
