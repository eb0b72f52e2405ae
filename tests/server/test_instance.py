"""An instance behind the door: its key, its health, and what a person is told."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from interlock.core.caller import Secret, Versions
from interlock.ledger.health import Health
from interlock.server.instance import health_of, serve_instance

from .door import ASK, Door, FakeGateway, post


def instance(folder: Path, key: str = "", state: Any = "ok", breaker: str = "closed") -> Any:
    """What `serve_instance` uses of an opened `Interlock`."""
    return SimpleNamespace(
        gateway=FakeGateway(),
        workspace=SimpleNamespace(
            store=folder / "deep" / "interlock.db",
            versions=Versions(route="abc"),
            settings=SimpleNamespace(
                workspace="shop",
                tenant="acme",
                server=SimpleNamespace(host="127.0.0.1", port=0, api_key=Secret(key)),
            ),
        ),
        served_names=lambda: ["support"],
        ledger_health=lambda: Health(state=state, open=1, queued=2, queued_bytes=3, oldest_s=0.5),
        breakers=lambda: {"openai/m": breaker},
    )


@pytest.mark.parametrize(
    ("state", "breaker", "status"),
    [("ok", "closed", "ok"), ("behind", "closed", "degraded"), ("ok", "open", "degraded"), ("full", "closed", "down")],
)
def test_health_says_in_a_word_how_it_is(tmp_path: Path, state: str, breaker: str, status: str) -> None:
    health = health_of(instance(tmp_path, state=state, breaker=breaker))
    assert health["status"] == status
    assert health["ledger"]["queued"] == 2
    assert health["breakers"] == {"openai/m": breaker}


async def served(il: Any, key: str) -> tuple[list[str], int]:
    """Serves until one call has been answered; what was said and the call's status."""
    said: list[str] = []
    opened = asyncio.Event()

    def say(line: str) -> None:
        said.append(line)
        opened.set()

    server = asyncio.ensure_future(serve_instance(il, say))
    await opened.wait()
    found = re.search(r"http://127\.0\.0\.1:(\d+)", said[0])
    assert found
    door = Door(int(found[1]), il.gateway)
    shown = re.search(r"il-[\w-]{20,}", "\n".join(said))
    status, _, _ = await (await door.send(post(ASK, key=key or (shown[0] if shown else "")))).reply()
    os.kill(os.getpid(), signal.SIGINT)
    await server
    door.close()
    return said, status


async def test_a_workspace_without_a_key_gets_one_that_is_shown_once_and_works(tmp_path: Path) -> None:
    il = instance(tmp_path)
    said, status = await served(il, "")
    assert status == 200
    assert "new, kept in" in said[1]
    key = (tmp_path / "deep" / "server.key").read_text().strip()
    again, status = await served(il, key)
    assert status == 200
    assert key not in "\n".join(again)
    assert "server.key" in again[1]


async def test_a_workspaces_own_key_opens_the_door_and_is_not_shown(tmp_path: Path) -> None:
    il = instance(tmp_path, key="il-of-the-workspace-itself-12345")
    said, status = await served(il, "il-of-the-workspace-itself-12345")
    assert status == 200
    assert "il-of" not in "\n".join(said)
    caller, _ = il.gateway.asked[0]
    assert (caller.tenant, caller.key_id, caller.versions.route) == ("acme", "server", "abc")
    assert (await served(il, "il-another"))[1] == 401
