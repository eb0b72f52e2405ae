"""A sandbox worker, put together: the local sandbox behind mutual TLS. Above: the CLI. Below: config, the sandbox wing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from interlock.config.sandbox import SandboxSettings
from interlock.core.errors import ConfigError, Fault
from interlock.core.time import Clock
from interlock.sandbox.local import LocalSandbox
from interlock.sandbox.remote.worker import PassOn, Worker

from .sandbox import options_of


class WorkerDoor(Struct, frozen=True):
    """Where a worker listens, and whom it lets in."""

    host: str
    port: int
    ca: Path
    """PEM file of the authority that signed the gateways' certificates."""
    certificate: Path
    key: Path
    clients: frozenset[str] = frozenset()
    """Names one of which a gateway's certificate must bear; empty for any that the authority has signed."""
    own_kernel: bool = False
    """This machine is there for foreign code alone, so that a layer which its kernel does not have may be missing."""


async def serve(
    settings: SandboxSettings,
    door: WorkerDoor,
    clock: Clock,
    listening: Callable[[str, int], None],
    stop: asyncio.Event,
) -> None:
    """Proves the level, listens, and serves until `stop`; then ends what is under way.

    Raises:
        SandboxRefused: this host proves less than `min_level`. ConfigError: a certificate cannot be used. OSError: the port cannot be had.
    """
    tls = _Certificates(door)
    options = msgspec.structs.replace(options_of(settings), own_kernel=door.own_kernel)
    sandbox = LocalSandbox(options, clock, egress=PassOn())
    try:
        level = await sandbox.start()
        missing = "".join(f", without {layer}" for layer in sandbox.missing)
        worker = Worker(sandbox, level, most=2 * settings.max_in_flight, allowed=door.clients)
        server = await asyncio.start_server(
            worker.serve, door.host, door.port, ssl=tls.context, limit=1 << 18, backlog=256
        )
        async with server:
            port = server.sockets[0].getsockname()[1]
            listening(f"{level}{missing}", port)
            await stop.wait()
        await worker.close()
    finally:
        await sandbox.close()


class _Certificates:
    """The worker's side of mutual TLS; renewed files are used from the next connection on."""

    def __init__(self, door: WorkerDoor) -> None:
        self._door = door
        self._seen = self._times()
        self._newest = self.context = self._load()
        self.context.sni_callback = self._chosen

    def _chosen(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Asked in each handshake; files that are torn are left for the next one."""
        try:
            seen = self._times()
            if seen != self._seen:
                self._newest, self._seen = self._load(), seen
        except ConfigError:
            pass
        connection.context = self._newest

    def _times(self) -> tuple[int, ...]:
        try:
            return tuple(each.stat().st_mtime_ns for each in (self._door.ca, self._door.certificate, self._door.key))
        except OSError as missing:
            raise self._fault(missing) from missing

    def _load(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.verify_mode = ssl.CERT_REQUIRED
        try:
            made.load_verify_locations(self._door.ca)
            made.load_cert_chain(self._door.certificate, self._door.key)
        except (OSError, ssl.SSLError) as wrong:
            raise self._fault(wrong) from wrong
        return made

    def _fault(self, wrong: Exception) -> ConfigError:
        words = f"the certificates cannot be used: {wrong}"
        return ConfigError(
            [Fault(str(self._door.certificate), 0, 0, "sandbox-worker", words, "PEM files: --ca, --cert, --key.")]
        )
