"""Reserve before, settle after: a limit is never overrun and never leaks.

Above: the gateway and the agents. Below: errors. One `Budget` belongs to one task and lives in one process; its state is
rebuilt from the log, so it only ever falls.
"""

from __future__ import annotations

from operator import add, sub

from msgspec import Struct, structs

from .errors import LimitReached


class Spend(Struct, frozen=True, omit_defaults=True):
    """What was or would be used. Every field has a limit of the same name in `Limits`, with `max_` before it."""

    steps: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0

    def __add__(self, other: Spend) -> Spend:
        return Spend(*map(add, structs.astuple(self), structs.astuple(other)))

    def __sub__(self, other: Spend) -> Spend:
        return Spend(*map(sub, structs.astuple(self), structs.astuple(other)))


class Limits(Struct, frozen=True, omit_defaults=True):
    """A task's quality budget; `None` means no limit of that kind."""

    max_steps: int | None = None
    max_model_calls: int | None = None
    max_tool_calls: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    max_cost_nano_usd: int | None = None
    max_seconds: float | None = None
    max_depth: int | None = None
    """Of tasks that its tasks begin, and theirs."""

    def tightest(self, other: Limits) -> Limits:
        """The smaller of both, limit by limit."""
        pairs = zip(structs.astuple(self), structs.astuple(other), strict=True)
        return Limits(*(b if a is None else a if b is None else min(a, b) for a, b in pairs))


class Budget:
    """What one task may still use. `reserve` before a call, `settle` on every way out of it."""

    __slots__ = ("_reserved", "_spent", "limits")

    def __init__(self, limits: Limits, spent: Spend | None = None) -> None:
        self.limits = limits
        self._spent = spent or Spend()
        self._reserved = Spend()

    @property
    def spent(self) -> Spend:
        """Settled use; reservations in flight are not in it."""
        return self._spent

    @property
    def committed(self) -> Spend:
        """Settled use and reservations in flight."""
        return self._spent + self._reserved

    def left(self, field: str) -> int | None:
        """How much of one field of `Spend` may still be reserved; `None` where it has no limit."""
        maximum: int | None = getattr(self.limits, f"max_{field}")
        return None if maximum is None else max(0, maximum - getattr(self.committed, field))

    def reserve(self, ask: Spend) -> Spend:
        """`ask`, now held back from everybody else.

        Raises:
            LimitReached: one limit would be exceeded; nothing was reserved.
        """
        held = self.committed
        for field in Spend.__struct_fields__:
            maximum: int | None = getattr(self.limits, f"max_{field}")
            asked: int = getattr(ask, field)
            if maximum is not None and asked and getattr(held, field) + asked > maximum:
                raise LimitReached(f"max_{field}", used=getattr(held, field), asked=asked, maximum=maximum)
        self._reserved = self._reserved + ask
        return ask

    def settle(self, reserved: Spend, used: Spend) -> None:
        """Gives the reservation back and counts what was really used."""
        self._reserved = self._reserved - reserved
        self._spent = self._spent + used
