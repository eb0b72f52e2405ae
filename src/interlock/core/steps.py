"""The seam by which somebody else's code keeps its steps in our log: an agent of another framework, or a plain function.

Above: agents implement it, plug-ins for frameworks and a team's own code use it. Below: errors, events. The code runs again from its beginning after a crash, and what it had
done is given to it again; so what it does between two steps must follow from them alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from .errors import InterlockError
from .events import CallKind, Effect


class StepInDoubt(InterlockError):
    """A step was begun before a crash and must not be repeated unless somebody knows that it did not happen."""

    code = "step_in_doubt"


class Steps(Protocol):
    """The steps of one task, held by this process."""

    task: str
    """Its id in the ledger."""

    async def step(
        self,
        name: str,
        perform: Callable[[str], Awaitable[Any]],
        *,
        kind: CallKind = "tool",
        effect: Effect = "once",
        arguments: Any = None,
    ) -> Any:
        """What `perform` returned, which JSON can hold: announced before, recorded before this returns, and from then on given again.

        Steps of one name are told apart by their order. `perform` is given an idempotency key, the same whenever the step is tried again. An error that it
        raises is recorded and raised; the next run tries again. `effect` says what to do when a crash left it unknown whether it happened.

        Raises:
            StepInDoubt: it is `once` or `reconcile`, was begun, and nobody knows whether it happened: a person has to say. Fenced: another process has taken the task over.
        """
        ...

    async def settle(self, step: int, *, done: bool, who: str, result: Any = None) -> None:
        """What a person says of a step in doubt: it happened and gave `result`, or it did not and is to be done. Raises InvalidRequest: it is in no doubt."""
        ...
