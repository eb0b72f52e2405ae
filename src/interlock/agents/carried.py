"""A task carried by another durable engine: each leg, from one wait to the next, is a step of that engine.

Above: whoever writes the engine's workflow. Below: `service`. The engine decides when and where; what has been done stands in our log with its fence, so a leg that the
engine runs once more goes on where the log ends, and repeats no effect that must not be repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from interlock.core.caller import Caller
from interlock.core.engine import Engine
from interlock.core.time import NS_PER_S, Clock

from .result import result_of
from .service import UNFINISHED, Agents

LONGEST_WAIT_S = 3_600.0
"""After so long a task that waits for a signal is looked at again, whether or not the engine was told."""
_AGAIN_S = 5.0
"""While another worker has the task."""


async def carry(
    agents: Agents, engine: Engine, clock: Clock, workflow: str, given: Mapping[str, Any], *, caller: Caller, key: str
) -> dict[str, Any]:
    """One task from its beginning to its end: its `TaskResult` as a JSON object. The same `key` is the same task.

    Raises:
        InvalidRequest: the workflow is unknown or the input does not fit it.
    """
    digest = hashlib.sha256(f"{caller.tenant}\n{workflow}\n{key}".encode()).hexdigest()

    async def begin() -> dict[str, Any]:
        task, _ = await agents.submit(workflow, given, caller=caller, digest=digest)
        return {"task": task}

    task = str((await engine.step("begin", key, begin))["task"])

    async def leg() -> dict[str, Any]:
        await agents.resume(task)
        result, row = result_of(await agents.state(task)), await agents.row(task)
        left_s = (row.wake_at_ns - clock.wall_ns()) / NS_PER_S if row and row.wake_at_ns > 1 else LONGEST_WAIT_S
        held = row is not None and bool(row.owner)
        wait_s = _AGAIN_S if held else min(max(left_s, 0.0), LONGEST_WAIT_S)
        return {"result": msgspec.to_builtins(result), "wait_s": wait_s}

    number = 0
    while True:
        told = await engine.step("leg", f"{task}:{number}", leg)
        if told["result"]["outcome"] not in UNFINISHED:
            return dict(told["result"])
        await engine.wait(f"{task}:{number}", float(told["wait_s"]))
        number += 1
