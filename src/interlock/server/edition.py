"""One version of a workspace's files, being served: its faces, and the work that goes on beside the calls.

Above: workspace, reload. Below: app, serve. Several may stand side by side for a while: what began with one ends with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.app import Interlock
from interlock.app.taskdesk import TaskDesk
from interlock.core.caller import Caller, Secret
from interlock.core.ids import SystemIds
from interlock.core.time import SystemClock

from .admit import Admission
from .audit import AuditFace
from .auth import Keys, load_or_make_key
from .batching import waiting_of
from .dashboard import FOLDER, Dashboard
from .dashboard.sessions import Sessions as Visits
from .door import Served
from .health import health_of
from .keys import KeysFace
from .serve import Face, Parts, served
from .sessions import SessionsFace
from .tasks import TasksFace
from .visits import VisitsFace

if TYPE_CHECKING:
    from interlock.app.telemetry import Watching

KEY_FILE = "server.key"
More = Callable[[Admission], tuple[Face, ...]]
_log = logging.getLogger("interlock.server")


class Edition:
    """Made inside an open `Interlock`; `begin` and `end` frame what it does beside answering."""

    def __init__(self, il: Interlock, *, lead: bool, shutdown_s: float, more: More = lambda _: ()) -> None:
        """`lead`: it does what only one process of a server may do. `more`: further faces, behind its own admission."""
        self.il, self._lead, self._shutdown_s = il, lead, shutdown_s
        files, clock = il.workspace.settings, SystemClock()
        self.key, self.key_file, self.key_is_new = _key(il)
        self.caller = Caller(files.tenant, key_id="server", versions=il.workspace.versions)
        self.keys = keys = Keys({self.key: self.caller}, il.limiting.book, clock, il.workspace.versions)
        further, self._running = _further(il, keys)
        desk = TaskDesk(il.agents, il.reader)
        self._schedules = il.tasking.schedules()
        self.admission = Admission(keys, il.auditing)
        secrets = [each.secret for each in files.webhooks]
        tasks = TasksFace(desk, keys, self.admission, clock, self.caller, secrets, self._schedules)
        self._waiting = waiting_of(il, keys, clock)
        self._watching = watching = il.watching()
        self.dashboard = Dashboard(il, desk, keys, clock)
        visits = Visits(il.workspace.store.parent / FOLDER, clock)
        self.parts = Parts(
            gateway=il.gateway,
            keys=keys,
            ids=SystemIds(clock),
            clock=clock,
            health=lambda: health_of(il, watching.sent),
            models=il.served_models,
            embeddings=il.gateway.embeddings,
            kept=il.kept_responses,
            more=(
                KeysFace(self.admission, il.limiting, clock),
                AuditFace(self.admission),
                tasks,
                SessionsFace(il.sessions, keys),
                VisitsFace(self.admission, visits),
                self.dashboard,
                *self._waiting.faces,
                *_watched(watching, keys),
                *further,
                *more(self.admission),
            ),
        )
        self._working: list[asyncio.Task[object]] = []
        self._beside: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()
        self._holding: asyncio.Task[None] | None = None

    def faces(self) -> Served:
        """What answers for it."""
        return served(self.parts)

    async def begin(self) -> None:
        """Goes on with tasks that are due, and with whatever else is done beside the calls."""
        il, lead, files = self.il, self._lead, self.il.workspace.settings
        held = asyncio.Event()
        self._holding = asyncio.create_task(self._hold(held))  # what it opens has to be closed by the same task
        opening = asyncio.create_task(held.wait())
        await asyncio.wait({self._holding, opening}, return_when=asyncio.FIRST_COMPLETED)
        opening.cancel()
        if self._holding.done():
            self._holding.result()
        il.looks.start()
        if lead and files.workers.serve:
            self._working.append(asyncio.create_task(il.work()))
        self._working.append(asyncio.create_task(self._waiting.worker.keep_working()))
        alerting, judging = il.alerting(), il.judging()
        if not lead:
            alerting.follow(il.looks)
        beside = [il.tasking.speak(), *([alerting.run()] if lead else [])]
        beside += [judging.run()] if lead and judging.wanted else []
        beside += [self._schedules.run()] if lead and files.schedules else []
        beside += [il.webhooks().run()] if lead and files.webhooks else []
        beside += [self._watching.run()] if lead and self._watching.sent is not None else []
        beside += [il.retaining.run()] if lead and il.retaining is not None else []
        self._beside += [asyncio.create_task(each) for each in beside]
        for each in self._beside:
            each.add_done_callback(_stopped)

    async def end(self, patience_s: float | None = None) -> None:
        """Ends what goes on beside the calls. A task in the middle of a call is cut off there after a while: the call settles, and the task goes
        on with whoever takes it next.
        """
        self.il.agents.stop()
        self._waiting.worker.stop()
        for each in self._beside:
            each.cancel()  # what is under way is given back, and goes on elsewhere
        await asyncio.gather(*self._beside, return_exceptions=True)
        for each in self._working:  # lines of batches under way are waited for
            await asyncio.wait({each}, timeout=self._shutdown_s if patience_s is None else patience_s)
            each.cancel()
            await asyncio.gather(each, return_exceptions=True)

    async def close(self) -> None:
        """After its last request."""
        self._ended.set()
        if self._holding is not None:
            await asyncio.gather(self._holding, return_exceptions=True)

    async def _hold(self, held: asyncio.Event) -> None:
        async with self._running:
            held.set()
            await self._ended.wait()


def _stopped(task: asyncio.Task[None]) -> None:
    """What runs beside the calls ends with the server; when it ends by itself, that is told."""
    if not task.cancelled() and (failed := task.exception()) is not None:
        _log.error("what ran beside the calls has stopped", exc_info=failed)


def _watched(watching: Watching, keys: Keys) -> tuple[Face, ...]:
    """The face for scrapers, where its library is installed."""
    exposition = watching.exposition()
    if exposition is None:
        return ()
    from .metrics import MetricsFace

    open_to_all = watching.settings.metrics.open
    return (MetricsFace(keys, watching.instruments, exposition, needs_key=not open_to_all),)


def _further(il: Interlock, keys: Keys) -> tuple[tuple[Face, ...], AbstractAsyncContextManager[None]]:
    """Faces that not every workspace has, and what has to be open while they are served."""
    if not il.workspace.settings.mcp.offer:
        return (), nullcontext()
    from .mcp import McpFace

    face = McpFace(il, keys)
    return (face,), face.running()


def _key(il: Interlock) -> tuple[Secret, Path | None, bool]:
    """The key of the files, else one of the server's own, made on the first start."""
    configured = il.workspace.settings.server.api_key
    if configured:
        return configured, None, False
    path = il.workspace.store.parent / KEY_FILE
    key, is_new = load_or_make_key(path)
    return key, path, is_new
