"""Getting the on-device tier ready, with a word about it: the first time it has to learn, which takes seconds.

Above: `run`, `batch`. Below: app.
"""

from __future__ import annotations

import asyncio

from interlock.app import Interlock

from .options import console, say

PATIENCE_S = 1.0
"""After so long it is said what is being waited for, where no terminal shows it."""


async def warmed(il: Interlock, workflow: str) -> str:
    """What the on-device tier of the workflow promises, once it is ready; empty without one."""
    if il.workspace.agent(workflow).contract.tier0 is None:
        return ""
    learns = f"the on-device tier learns from the examples of {workflow}"
    where = console(stderr=True)
    if where.is_terminal:
        with where.status(learns):
            return await il.warm(workflow)
    warming = asyncio.create_task(il.warm(workflow))
    ready, _ = await asyncio.wait({warming}, timeout=PATIENCE_S)
    if not ready:
        say(f"{learns}, once for as long as these stay the same")
    return await warming
