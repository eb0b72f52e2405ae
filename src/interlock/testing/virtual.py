"""An event loop whose time passes only when everybody waits: an hour of waits takes milliseconds, and always the same ones.

`run(main)` runs a coroutine function in it; it is given the loop's clock. Sleeps, timeouts and timers are the real ones of asyncio, so that
what is tested is the code as it runs.

Above: tests and benches, the project's own and its users'. Below: the standard library.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Instead of waiting it moves the loop's time on."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everybody waits, and nothing is due: what is awaited never comes")
        if not ready and timeout:
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on virtual time. Without sockets and threads, whose events would come in real time."""

    def __init__(self) -> None:
        self._ticks = _Selector()
        super().__init__(self._ticks)

    def time(self) -> float:
        return self._ticks.now_s


class VirtualClock:
    """The loop's time as a `Clock`."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def wall_ns(self) -> int:
        return 1_790_000_000_000_000_000 + int(self._loop.time() * 1e9)

    def monotonic_s(self) -> float:
        return 1_000.0 + self._loop.time()


def run(main: Callable[[VirtualClock], Awaitable[T]]) -> T:
    """What `main(clock)` returns, run to its end on virtual time."""

    async def whole() -> T:
        loop: Any = asyncio.get_running_loop()
        return await main(VirtualClock(loop))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(whole())
