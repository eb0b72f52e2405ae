"""A workspace's gateway behind HTTP. Above: cli. Below: app, serve."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from interlock.app import Interlock
from interlock.app.taskdesk import TaskDesk
from interlock.core.caller import Caller, Secret
from interlock.core.ids import SystemIds
from interlock.core.time import Clock, SystemClock
from interlock.gateway.batch import BatchWorker

from .admit import Admission
from .audit import AuditFace
from .auth import Keys, load_or_make_key
from .batch_lines import Lines
from .batches import BatchesFace
from .dashboard import Dashboard
from .files import FilesFace
from .health import health_of
from .keys import KeysFace
from .message_batches import MessageBatchesFace
from .serve import Face, Parts, ServerSettings, serve
from .sessions import SessionsFace
from .tasks import TasksFace
from .workers import Worker

if TYPE_CHECKING:
    from interlock.app.telemetry import Watching

KEY_FILE = "server.key"
_log = logging.getLogger("interlock.server")


class Opened(Struct, frozen=True):
    """What whoever started the server wants to know."""

    url: str
    key: Secret
    key_file: Path | None
    """Where the key stands, when the server keeps one of its own."""
    key_is_new: bool
    names: tuple[str, ...]
    """What may stand in `model`."""
    enter: Callable[[], str] = lambda: ""
    """Makes the address that opens the dashboard once; empty where the dashboard is not installed."""


async def serve_workspace(
    il: Interlock, settings: ServerSettings, opened: Callable[[Opened], None], *, worker: Worker | None = None
) -> None:
    """Serves the gateway of an open `Interlock` until it is told to stop, and goes on with tasks that are due meanwhile: answered
    questions, approvals that ran out, tasks of workers that died. Of several workers the first does the latter.

    Raises:
        CannotListen: the address cannot be opened.
    """
    key, key_file, is_new = _key(il)
    files = il.workspace.settings
    caller = Caller(files.tenant, key_id="server", versions=il.workspace.versions)
    clock = SystemClock()
    il.limiting.watch()
    keys = Keys({key: caller}, il.limiting.book, clock, il.workspace.versions)
    further, running = _further(il, keys)
    desk = TaskDesk(il.agents, il.reader)
    schedules = il.tasking.schedules()
    admission = Admission(keys, il.auditing)
    tasks = TasksFace(desk, keys, admission, clock, caller, [each.secret for each in files.webhooks], schedules)
    waiting = waiting_of(il, keys, clock)
    watching = il.watching()
    dashboard = Dashboard(il, desk, keys, clock)
    parts = Parts(
        gateway=il.gateway,
        keys=keys,
        ids=SystemIds(clock),
        clock=clock,
        health=lambda: health_of(il, watching.sent),
        models=il.served_models,
        embeddings=il.gateway.embeddings,
        kept=il.kept_responses,
        more=(
            KeysFace(admission, il.limiting, clock),
            AuditFace(admission),
            tasks,
            SessionsFace(il.sessions, keys),
            dashboard,
            *waiting.faces,
            *_watched(watching, keys),
            *further,
        ),
    )
    names = tuple(il.served_names())
    lead = worker is None or worker.number == 0
    if lead:
        await il.auditing.note(caller, "admin", "server.started", il.workspace.name, f"policy {caller.versions.policy}")
    working: list[asyncio.Task[object]] = [asyncio.create_task(il.work())] if lead and files.workers.serve else []
    working.append(asyncio.create_task(waiting.worker.keep_working()))
    alerting = il.alerting()
    beside: list[asyncio.Task[None]] = [asyncio.create_task(alerting.run() if lead else alerting.follow())]
    judging = il.judging()
    if lead and judging.wanted:
        beside.append(asyncio.create_task(judging.run()))
    if lead and files.schedules:
        beside.append(asyncio.create_task(schedules.run()))
    if lead and files.webhooks:
        beside.append(asyncio.create_task(il.webhooks().run()))
    if lead and watching.sent is not None:
        beside.append(asyncio.create_task(watching.run()))
    if lead and il.retaining is not None:
        beside.append(asyncio.create_task(il.retaining.run()))
    for each in beside:
        each.add_done_callback(_ended)
    sock, parent = (worker.sock, worker.parent) if worker else (None, None)
    try:
        told = functools.partial(Opened, key=key, key_file=key_file, key_is_new=is_new, names=names)
        async with running:
            await serve(
                parts,
                settings,
                lambda url: opened(told(url, enter=_entrance(dashboard, url))),
                sock=sock,
                parent=parent,
            )
    finally:
        il.agents.stop()
        waiting.worker.stop()
        for each in beside:
            each.cancel()  # what is under way is given back, and goes on at the next start
        await asyncio.gather(*beside, return_exceptions=True)
        # Lines of batches under way are waited for. A task in the middle of a call is cut off there: the call settles, and the task
        # goes on at the next start.
        for each in working:
            await asyncio.wait({each}, timeout=settings.shutdown_s)
            each.cancel()
            await asyncio.gather(each, return_exceptions=True)


def _ended(task: asyncio.Task[None]) -> None:
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


def _entrance(dashboard: Dashboard, url: str) -> Callable[[], str]:
    return lambda: url + dashboard.address() if dashboard.there else ""


def _further(il: Interlock, keys: Keys) -> tuple[tuple[Face, ...], AbstractAsyncContextManager[None]]:
    """Faces that not every workspace has, and what has to be open while they are served."""
    if not il.workspace.settings.mcp.offer:
        return (), nullcontext()
    from .mcp import McpFace

    face = McpFace(il, keys)
    return (face,), face.running()


class Waiting(Struct, frozen=True):
    """Files and batches, as faces and as work."""

    faces: tuple[FilesFace, BatchesFace, MessageBatchesFace]
    worker: BatchWorker


def waiting_of(il: Interlock, keys: Keys, clock: Clock) -> Waiting:
    """The faces for files and batches of an open `Interlock`, and the worker that answers them."""
    ids = SystemIds(clock)
    worker = il.waiting.worker(Lines(il.gateway, il.gateway.embeddings, ids, clock))
    files = FilesFace(il.waiting.log, keys, ids, clock, il.waiting.max_file_bytes)
    batches = BatchesFace(il.waiting.log, keys, ids, clock, worker.wake)
    messages = MessageBatchesFace(il.waiting.log, keys, ids, clock, worker.wake)
    return Waiting((files, batches, messages), worker)


def settings_of(il: Interlock, host: str = "", port: int | None = None) -> ServerSettings:
    """Where to listen: what was asked for, else what the files say."""
    said = il.workspace.settings.server
    crowd = il.workspace.settings.resilience.admission
    return ServerSettings(
        host=host or said.host,
        port=said.port if port is None else port,
        max_concurrent=max(ServerSettings().max_concurrent, crowd.max_concurrent + crowd.max_waiting),
    )


def _key(il: Interlock) -> tuple[Secret, Path | None, bool]:
    """The key of the files, else one of the server's own, made on the first start."""
    configured = il.workspace.settings.server.api_key
    if configured:
        return configured, None, False
    path = il.workspace.store.parent / KEY_FILE
    key, is_new = load_or_make_key(path)
    return key, path, is_new
