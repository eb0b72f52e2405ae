"""A worker in this process, behind real mutual TLS, and the sandbox that speaks to it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from interlock.app.sandbox_worker import WorkerDoor, serve
from interlock.config.sandbox import SandboxSettings
from interlock.core.egress import EgressProxy
from interlock.core.sandbox import Level
from interlock.core.time import SystemClock
from interlock.sandbox.remote.client import RemoteSandbox, WorkerAddress

from .certificates import Authority


class Distant:
    """A worker at work."""

    def __init__(self, folder: Path, port: int, level: str) -> None:
        self.port = port
        self.level = level
        self._folder = folder

    def sandbox(
        self,
        *,
        client: str = "gateway",
        min_level: Level = "namespaces",
        egress: EgressProxy | None = None,
        here: str | None = None,
    ) -> RemoteSandbox:
        """A gateway's view of it."""
        address = WorkerAddress(
            f"https://localhost:{self.port}",
            str(self._folder / "authority.pem"),
            str(self._folder / f"{client}.pem"),
            str(self._folder / f"{client}.key"),
        )
        return RemoteSandbox(address, min_level, egress=egress, here=here)


@asynccontextmanager
async def working(folder: Path, *, clients: tuple[str, ...] = (), **settings: object) -> AsyncGenerator[Distant]:
    """A worker on a free port; its folder holds the certificates of `localhost` and `gateway`."""
    authority = Authority(folder)
    certificate, key = authority.signs("localhost")
    authority.signs("gateway")
    door = WorkerDoor("127.0.0.1", 0, authority.path, certificate, key, frozenset(clients))
    told: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    stop = asyncio.Event()
    made = SandboxSettings.model_validate({"spares": 0, **settings})
    task = asyncio.create_task(serve(made, door, SystemClock(), lambda *at: told.put_nowait(at), stop))
    ready = asyncio.create_task(told.get())
    try:
        await asyncio.wait([ready, task], return_when="FIRST_COMPLETED")
        if task.done():
            task.result()
        level, port = await ready
        yield Distant(folder, port, level)
    finally:
        stop.set()
        ready.cancel()
        await asyncio.gather(task, return_exceptions=True)
