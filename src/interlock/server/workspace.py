"""A workspace's gateway behind HTTP. Above: cli. Below: edition, reload, serve."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from interlock.app import Interlock
from interlock.core.caller import Secret

from .admit import Admission
from .dashboard import Dashboard
from .door import Door
from .edition import Edition
from .reload import Reloading
from .reload_face import ReloadFace
from .serve import Face, ServerSettings, serve_door
from .workers import Worker


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
    il: Interlock,
    settings: ServerSettings,
    opened: Callable[[Opened], None],
    *,
    worker: Worker | None = None,
    files: Path | None = None,
) -> None:
    """Serves the gateway of an open `Interlock` until it is told to stop, and goes on with tasks that are due meanwhile: answered
    questions, approvals that ran out, tasks of workers that died. Of several workers the first does the latter.

    `files` (default: the workspace's folder) are read anew on SIGHUP and when an admin asks; see `reload`.

    Raises:
        CannotListen: the address cannot be opened.
    """
    lead = worker is None or worker.number == 0
    reloading: list[Reloading] = []

    def faces(admission: Admission) -> tuple[Face, ...]:
        return (ReloadFace(admission, lambda: reloading[0]),)

    def edition(of: Interlock) -> Edition:
        return Edition(of, lead=lead, shutdown_s=settings.shutdown_s, more=faces)

    first = edition(il)
    door = Door(first.faces())
    board, number = (None, 0) if worker is None else (worker.board, worker.number)
    reloading.append(Reloading(first, door, files or il.workspace.root, edition, board=board, worker=number))
    if lead:
        await il.auditing.note(
            first.caller, "admin", "server.started", il.workspace.name, f"policy {first.caller.versions.policy}"
        )
    names = tuple(il.served_names())
    dashboard = first.dashboard
    told = functools.partial(Opened, key=first.key, key_file=first.key_file, key_is_new=first.key_is_new, names=names)

    def started(url: str) -> None:
        reloading[0].listen(worker.round if worker else 0)
        opened(told(url, enter=_entrance(dashboard, url)))

    try:
        await first.begin()
        sock, parent = (worker.sock, worker.parent) if worker else (None, None)
        await serve_door(door, settings, started, sock=sock, parent=parent)
    finally:
        await reloading[0].finish()


def _entrance(dashboard: Dashboard, url: str) -> Callable[[], str]:
    return lambda: url + dashboard.address() if dashboard.there else ""


def settings_of(
    il: Interlock, host: str = "", port: int | None = None, tls: tuple[str, str] = ("", "")
) -> ServerSettings:
    """Where to listen: what was asked for, else what the files say. `tls`: certificate and key."""
    said = il.workspace.settings.server
    crowd = il.workspace.settings.resilience.admission
    return ServerSettings(
        host=host or said.host,
        port=said.port if port is None else port,
        tls_cert=tls[0] or (str(il.workspace.root / said.tls_cert) if said.tls_cert else ""),
        tls_key=tls[1] if tls[0] else (str(il.workspace.root / said.tls_key) if said.tls_key else ""),
        max_concurrent=max(ServerSettings().max_concurrent, crowd.max_concurrent + crowd.max_waiting),
    )
