"""Tools that a contract may list and nobody has to write: to wait for time, for a signal, for a task of another workflow.

Above: `compile`, app's toolbox. Below: `contract`, the tools' definitions. Their functions are never called by a task: it waits. Called from elsewhere they refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

from msgspec import Meta

from interlock.core.errors import InvalidRequest
from interlock.tools.define import Parameter, Tool, make

from .contract import Await, Input

SLEEP, WAIT = "task.sleep", "task.wait"
CHILD = "agent."
"""Before the name of a workflow."""
DAY_S = 86_400.0
_TYPES: dict[str, Any] = {"string": str, "number": float, "integer": int, "boolean": bool}
_Span = Annotated[float, Meta(gt=0, le=366 * DAY_S)]


def sleep(seconds: _Span) -> dict[str, Any]:
    """Waits for some time. The task holds nothing meanwhile.

    Args:
        seconds: for how long, at most 366 days.
    """
    _only_in_tasks(SLEEP, seconds)


def wait(name: str, timeout_s: _Span = DAY_S) -> dict[str, Any]:
    """Waits until somebody sends the task a signal of this name; one that came before counts.

    Args:
        name: of the signal.
        timeout_s: for how long, at most 366 days.
    """
    _only_in_tasks(WAIT, name, timeout_s)


def waiting_tools() -> dict[str, Tool]:
    """`task.sleep` and `task.wait`."""
    return {each.name: each for each in (make(sleep, name=SLEEP, effect="none"), make(wait, name=WAIT, effect="none"))}


def child_tool(workflow: str, inputs: Mapping[str, Input]) -> Tool:
    """`agent.WORKFLOW`: its arguments are the workflow's inputs, its result is the answer."""
    name = f"{CHILD}{workflow}"

    def begin(**given: Any) -> dict[str, Any]:
        _only_in_tasks(name, given)

    properties = {each: {"type": field.type} for each, field in inputs.items()}
    return Tool(
        name=name,
        function=begin,
        parameters=tuple(Parameter(n, _TYPES[field.type], field.required) for n, field in inputs.items()),
        schema={
            "type": "object",
            "properties": properties,
            "required": [each for each, field in inputs.items() if field.required],
            "additionalProperties": False,
        },
        effect="idempotent",
        description=f"Has the agent {workflow} do this as a task of its own, and gives its answer.",
    )


def awaits_of(shares: Mapping[str, float]) -> dict[str, Await]:
    """Of tools and their shares of the budget, those that are waited for."""
    found: dict[str, Await] = {}
    for name, share in shares.items():
        if name == SLEEP:
            found[name] = Await("timer")
        elif name == WAIT:
            found[name] = Await("signal")
        elif name.startswith(CHILD):
            found[name] = Await("child", name.removeprefix(CHILD), share)
    return found


def _only_in_tasks(name: str, *_given: object) -> NoReturn:
    raise InvalidRequest(f"{name} waits, so only a task can call it", param="name")
