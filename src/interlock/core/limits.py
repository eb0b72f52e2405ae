"""Rate limits and budgets by period: what is declared, which window an instant falls into, what still fits. Values and decisions.

Above: gateway (which reserves and settles), storage (which keeps the counts that processes and replicas share), config, server.
Below: caller, errors. Every amount is a whole number, money in nano-dollars, at its place in a `Vector`.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, Protocol

from msgspec import Struct, structs

from .caller import Caller
from .time import NS_PER_S

Dimension = Literal["key", "tenant", "user", "workflow", "model"]
Period = Literal["second", "minute", "hour", "day", "month"]
OnLoss = Literal["open", "closed"]
Scope = Literal["machine", "global"]

REQUESTS, INPUT, OUTPUT, TOKENS, MONEY, CONCURRENCY = range(6)
AMOUNTS = ("requests", "input_tokens", "output_tokens", "tokens", "nano_usd", "concurrency")
Vector = tuple[int, int, int, int, int, int]
"""Requests, input tokens, output tokens, both together, nano-dollars, calls under way."""
NOTHING: Vector = (0, 0, 0, 0, 0, 0)

PERIOD_S: Mapping[Period, int] = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "month": 30 * 86_400}
"""Seconds of a rolling period; a calendar month has its own length."""
GRAINS = 20
"""Parts of a rolling period. What was used counts until its whole part has left the period: up to a twentieth longer."""
UNBOUNDED_NS = 1 << 62


def vector(requests: int, input_tokens: int, output_tokens: int, nano_usd: int) -> Vector:
    """What a call has used, each amount at its place; it is under way no more."""
    return (requests, input_tokens, output_tokens, input_tokens + output_tokens, nano_usd, 0)


class Limit(Struct, frozen=True, omit_defaults=True):
    """One declared limit: at most so much, for each of something, in each period. `None` does not limit that amount."""

    name: str
    """As errors and headers name it."""
    per: tuple[Dimension, ...] = ()
    """One count for each value of these; none: one count for everything."""
    only: Mapping[Dimension, str] = {}
    """Calls that it looks at, by a pattern such as `gpt-4*` for each dimension; default: all."""
    period: Period | None = None
    """`None` for a limit on concurrency alone."""
    rolling: bool = False
    """The last so many seconds, instead of the clock's own minute, hour, day or month (UTC)."""
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    nano_usd: int | None = None
    concurrency: int | None = None
    on_store_loss: OnLoss = "closed"
    """What happens to calls while the store of its count cannot be reached: they go on uncounted, or are refused."""
    scope: Scope = "machine"
    """Counted by the processes of this machine together, or by every replica on the shared Redis."""

    def subject(self, caller: Caller, model: str) -> str | None:
        """Whose count a call belongs to; `None` where the limit does not look at it.

        Keys and users are told apart by tenant; workflows and models are those of the whole workspace unless `tenant` stands beside them.
        """
        for dimension, pattern in self.only.items():
            if not fnmatch.fnmatchcase(_value(dimension, caller, model), pattern):
                return None
        parts = [f"{dimension}={_value(dimension, caller, model)}" for dimension in self.per]
        if "tenant" not in self.per and ("user" in self.per or "key" in self.per):
            parts.append(f"tenant={caller.tenant}")
        return "\n".join(parts)

    def split(self) -> tuple[Limit, ...]:
        """The same as limits of one kind each: what is counted in a period, and what is counted while it runs."""
        if self.concurrency is None or self.period is None:
            return (self,)
        return (
            structs.replace(self, concurrency=None),
            Limit(
                name=self.name,
                per=self.per,
                only=self.only,
                concurrency=self.concurrency,
                on_store_loss=self.on_store_loss,
                scope=self.scope,
            ),
        )

    @property
    def caps(self) -> tuple[tuple[int, int], ...]:
        """(place in a `Vector`, the most of it)."""
        most = (self.requests, self.input_tokens, self.output_tokens, self.tokens, self.nano_usd, self.concurrency)
        return tuple((place, maximum) for place, maximum in enumerate(most) if maximum is not None)


def _value(dimension: Dimension, caller: Caller, model: str) -> str:
    return model if dimension == "model" else caller.key_id if dimension == "key" else getattr(caller, dimension)


# --- Time -------------------------------------------------------------------------------------------------------


class Window(Struct, frozen=True):
    """One window of a calendar period, or one part of a rolling one."""

    number: int
    ends_ns: int
    """The first instant (ns since the epoch) that is not in it."""
    counts_until_ns: int
    """Until when its count is held against the limit."""


def window_at(limit: Limit, now_ns: int) -> Window:
    """The window that `now_ns` (since the Unix epoch) falls into."""
    if limit.period is None:
        return Window(0, UNBOUNDED_NS, UNBOUNDED_NS)
    if limit.rolling:
        whole_ns = PERIOD_S[limit.period] * NS_PER_S
        grain_ns = whole_ns // GRAINS
        number = now_ns // grain_ns
        ends_ns = (number + 1) * grain_ns
        return Window(number, ends_ns, ends_ns + whole_ns)
    if limit.period == "month":
        month = datetime.fromtimestamp(now_ns // NS_PER_S, UTC)
        number = month.year * 12 + month.month - 1
        after = datetime((number + 1) // 12, (number + 1) % 12 + 1, 1, tzinfo=UTC)
        ends_ns = int(after.timestamp()) * NS_PER_S
        return Window(number, ends_ns, ends_ns)
    length_ns = PERIOD_S[limit.period] * NS_PER_S
    number = now_ns // length_ns
    return Window(number, (number + 1) * length_ns, (number + 1) * length_ns)


def tag_of(limit: Limit, subject: str, number: int) -> int:
    """A number (1 to 2^62) that stands for one window of one count, the same in every process."""
    text = "\0".join((identity(limit), subject, str(number)))
    return (int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 2) | 1


def identity(limit: Limit) -> str:
    """What makes two declarations one count: not how much is allowed, so that a changed maximum keeps what was used."""
    only = ",".join(f"{name}={pattern}" for name, pattern in sorted(limit.only.items()))
    period = f"{limit.period or 'running'}{'~' if limit.rolling else ''}"
    return f"{limit.name}|{'+'.join(limit.per)}|{only}|{period}"


# --- What still fits --------------------------------------------------------------------------------------------


class Standing(Struct, frozen=True):
    """How one amount of one limit stands, for whoever is told no."""

    limit: Limit
    place: int
    """In a `Vector`."""
    used: int
    """Used or reserved."""
    maximum: int
    asked: int
    reset_s: float
    """Seconds until the present window ends."""
    at_ns: int
    """When it was asked, since the epoch."""

    @property
    def remaining(self) -> int:
        return max(0, self.maximum - self.used)


def lacking(caps: Sequence[tuple[int, int]], used: Sequence[int], ask: Sequence[int]) -> int:
    """The place of the first amount that does not fit, or -1."""
    for place, most in caps:
        if used[place] + ask[place] > most and ask[place]:
            return place
    return -1


def output_that_fits(left: Sequence[int | None], input_tokens: int, nano_usd_of_input: int, rate: int) -> int | None:
    """Output tokens that fit into what is `left` (by place; `None`: unlimited); `None` where nothing bounds them.

    `rate`: nano-dollars per million output tokens.
    """
    bounds: list[int] = []
    output, tokens, money = left[OUTPUT], left[TOKENS], left[MONEY]
    if output is not None:
        bounds.append(output)
    if tokens is not None:
        bounds.append(tokens - input_tokens)
    if money is not None and rate:
        bounds.append((money - nano_usd_of_input) * 1_000_000 // rate)
    return min(bounds) if bounds else None


# --- Ports ------------------------------------------------------------------------------------------------------


class Cells(Protocol):
    """Counts that the processes of one machine see of each other. A process writes its own rows only, so nobody waits for a lock.

    A row is seven numbers of `values` from an offset on: the tag, then a `Vector`.
    """

    @property
    def values(self) -> memoryview:
        """This process's own rows (format `q`)."""
        ...

    @property
    def alone(self) -> bool:
        """No other process counts here now."""
        ...

    def claim(self, tag: int, until_ns: int, now_ns: int) -> int:
        """Offset of the row for `tag`, with what is known of it already; zero where there is no room left."""
        ...

    def find(self, tag: int) -> int:
        """Offset of the row for `tag`, zero where there is none."""
        ...

    def release(self, tag: int) -> None:
        """Gives a row back whose amounts are all zero."""
        ...

    def elsewhere(self, tag: int, place: int, *, running: bool) -> int:
        """The sum of one amount over the rows of all other processes; with `running`, of living ones only."""
        ...


class Ask(Struct, frozen=True):
    """One reservation at one shared count."""

    limit: Limit
    subject: str
    window: Window
    amounts: Vector


class Answered(Struct, frozen=True):
    """What the shared store said: every count was reserved, or none was."""

    refused: int = -1
    """Place in the list of asks of the first that did not fit; -1 where all did."""
    used: tuple[int, ...] = ()
    """What was used or reserved there before, by place."""
    lost: str = ""
    """Why the store could not be asked; empty when it could."""


class SharedCounts(Protocol):
    """Counts that all replicas share. One round trip each; settling is queued and tried again until it is done."""

    async def reserve(self, asks: Sequence[Ask], hold_s: float) -> tuple[str, Answered]:
        """(id of the reservation, what came of it). Never raises for a store that is away; `hold_s` bounds what runs."""
        ...

    def settle(self, reservation: str, asks: Sequence[Ask], used: Vector, *, counted: bool) -> None:
        """Puts the truth in place of what was reserved. `counted`: False where the store could not be asked before."""
        ...
