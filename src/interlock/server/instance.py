"""A running Interlock behind the door: which key opens it, what it says about itself, and what a person is told at the start.

Above: cli (`interlock serve`). Below: serve, auth; the instance is handed in, opened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from interlock.core.caller import Caller, Secret
from interlock.core.ids import SystemIds
from interlock.core.time import SystemClock

from .auth import Keys, load_or_make_key
from .serve import CHAT_COMPLETIONS, Parts, ServerSettings, is_loopback, serve

if TYPE_CHECKING:
    from interlock.app import Interlock

KEY_FILE = "server.key"
"""Lies beside the store. Made when the workspace names no key of its own."""


async def serve_instance(il: Interlock, say: Callable[[str], None], *, host: str = "", port: int | None = None) -> None:
    """Serves `il` until it is told to stop. `host` and `port` stand in for the workspace's `server:` section.

    `say` gets the lines that a person should see: the address, the key, what to be careful about.

    Raises:
        CannotListen: the port is taken, or the address is not this machine's.
    """
    files = il.workspace.settings.server
    settings = ServerSettings(host=host or files.host, port=files.port if port is None else port)
    key, about_key = _key(il)
    clock = SystemClock()
    caller = Caller(il.workspace.settings.tenant, key_id="server", versions=il.workspace.versions)
    parts = Parts(
        gateway=il.gateway,
        keys=Keys({key: caller}),
        ids=SystemIds(clock),
        clock=clock,
        health=lambda: health_of(il),
        models=il.served_names,
    )

    def started(address: str) -> None:
        say(f"Serving {il.workspace.settings.workspace} at {address} — {CHAT_COMPLETIONS}, /v1/models, /healthz")
        say(f'OpenAI clients: base_url="{address}/v1", api_key: {about_key}')
        if not is_loopback(settings.host):
            say("Other machines can reach this address, and it speaks no TLS: put a TLS proxy in front of it.")

    await serve(parts, settings, started)


def health_of(il: Interlock) -> dict[str, Any]:
    """The parts' states; `status` is `ok`, `degraded` (serving, with something amiss) or `down` (calls are refused)."""
    ledger = il.ledger_health()
    breakers = dict(il.breakers())
    amiss = ledger.state != "ok" or any(state != "closed" for state in breakers.values())
    status = "down" if ledger.state == "full" else "degraded" if amiss else "ok"
    return {"status": status, "ledger": msgspec.to_builtins(ledger), "breakers": breakers}


def _key(il: Interlock) -> tuple[Secret, str]:
    """The key, and how to speak of it: shown once, when it has just been made."""
    configured = il.workspace.settings.server.api_key
    if configured:
        return configured, "the one in server.api_key"
    path = Path(il.workspace.store).parent / KEY_FILE
    key, new = load_or_make_key(path)
    return key, f"{key.reveal()} (new, kept in {path})" if new else f"the one in {path}"
