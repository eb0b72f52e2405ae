"""Waits that take seconds, with a word about them: the on-device tier that learns, a task whose model is slow.

Above: `run`, `batch`. Below: app.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from interlock.app import Interlock

from .options import console, say

PATIENCE_S = 2.0
"""After so long it is said what is being waited for, where nothing else shows it."""
T = TypeVar("T")


async def warmed(il: Interlock, workflow: str) -> str:
    """What the on-device tier of the workflow promises, once it is ready; empty without one."""
    if il.workspace.agent(workflow).contract.tier0 is None:
        return ""
    learns = f"the on-device tier learns from the examples of {workflow}"
    where = console(stderr=True)
    if where.is_terminal:
        with where.status(learns):
            return await il.warm(workflow)
    return await announced(il.warm(workflow), f"{learns}, once for as long as these stay the same")


async def announced(work: Coroutine[object, object, T], said: str) -> T:
    """The result of `work`; `said` is printed when it takes longer than a person waits without a word."""
    working = asyncio.create_task(work)
    done, _ = await asyncio.wait({working}, timeout=PATIENCE_S)
    if not done:
        say(said)
    return await working
