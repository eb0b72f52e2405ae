"""DBOS as the engine of a task: legs are its steps, waits are its messages. Needs the package `dbos` (3.4 was tried).

Above: a team's own DBOS workflow. Below: `core.engine`. Source: docs.dbos.dev/python/reference/contexts (`run_step_async`, `recv_async`), read 2026-11-21.

    @DBOS.workflow()
    async def support(key: str, text: str) -> dict[str, Any]:
        return await carry(agents, build(), clock, "support_reply", {"text": text}, caller=Caller("acme"), key=key)

A decision or signal for a task that waits is heard when its time has come, or at once after `DBOS.send(workflow_id, None, topic=TOPIC)`.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import Any

from interlock.core.errors import InvalidRequest

TOPIC = "interlock"


class DbosEngine:
    """`core.engine.Engine`; to be used inside of a DBOS workflow."""

    def __init__(self, dbos: Any) -> None:
        self._dbos = dbos

    async def step(self, name: str, key: str, perform: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        async def performed() -> dict[str, Any]:
            return await perform()

        return await self._dbos.run_step_async({"name": f"interlock.{name}:{key}"}, performed)

    async def wait(self, key: str, seconds: float) -> None:
        del key  # DBOS tells its calls apart by their order
        await self._dbos.recv_async(TOPIC, timeout_seconds=seconds)


def build() -> DbosEngine:
    """The engine of the process's DBOS. Raises InvalidRequest: the package is not installed."""
    try:
        return DbosEngine(importlib.import_module("dbos").DBOS)
    except ModuleNotFoundError as missing:
        raise InvalidRequest("the package dbos is not installed", hint="pip install dbos") from missing
