"""Where sync tools run: a bounded number of daemon threads, so that a tool that hangs never keeps the process from ending.

Above: `tools/call`. Below: the standard library. A thread cannot be killed: after a timeout it keeps its place until the function
returns, and the bound then refuses further calls instead of piling threads up.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any


class Threads:
    """Runs sync functions off the event loop, at most `limit` at a time; used from one event loop."""

    def __init__(self, limit: int = 32) -> None:
        self._free = asyncio.Semaphore(limit)

    async def run(self, function: Callable[..., Any], **arguments: Any) -> Any:
        """The function's result or exception. Waits for a free place; cancelling leaves the thread to end by itself."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def deliver(result: Any, failed: BaseException | None) -> None:
            self._free.release()
            if not done.done():
                if failed is None:
                    done.set_result(result)
                else:
                    done.set_exception(failed)

        def work() -> None:
            result, failed = None, None
            try:
                result = context.run(function, **arguments)
            except BaseException as caught:  # noqa: BLE001 - whatever the tool raises belongs to the waiting call
                failed = RuntimeError(f"the tool raised {caught!r}") if isinstance(caught, StopIteration) else caught
            try:
                loop.call_soon_threadsafe(deliver, result, failed)
            except RuntimeError:
                return  # the loop has closed: nobody waits any more

        try:
            threading.Thread(target=work, name="interlock-tool", daemon=True).start()
        except RuntimeError:
            self._free.release()
            raise
        return await done
