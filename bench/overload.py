"""What happens when a vendor cannot keep up, is slow for some, or is gone: a real `interlock serve`, with everything on, over real sockets.

Ten times as many calls as the vendor can work on (open loop: they come whether or not others were answered), calls to a vendor with a heavy tail with and without
hedging, and a full outage of two vendors. Counts are the vendor's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench.gateway_ground import free_port, process
from interlock.core.ports import HttpRequest
from interlock.core.time import Deadline, SystemClock
from interlock.net.client import PooledClient
from interlock.net.pool import PoolLimits

COMMAND = "python -m bench overload"
KEY = "il-bench"
SERVERS, SECONDS = 40, 0.8
CAPACITY = SERVERS / SECONDS
TIMES = 10
WORKSPACE = """\
workspace: bench
tenant: bench
store: interlock.db
providers:
  limited: {{dialect: openai, base_url: "http://127.0.0.1:{vendor}/limited/v1", api_key: k}}
  tail: {{dialect: openai, base_url: "http://127.0.0.1:{vendor}/tail/v1", api_key: k}}
  tail2: {{dialect: openai, base_url: "http://127.0.0.1:{vendor}/tail2/v1", api_key: k}}
  down: {{dialect: openai, base_url: "http://127.0.0.1:{vendor}/down/v1", api_key: k}}
  down2: {{dialect: openai, base_url: "http://127.0.0.1:{vendor}/down2/v1", api_key: k}}
models:
  limited: [limited/m]
  tail: [tail/m, tail2/m]
  down: [down/m, down2/m]
resilience: {{hedging: {{enabled: {hedged}}}}}
server: {{host: 127.0.0.1, port: {port}, api_key: {key}}}
"""


class Clients:
    """Calls to one server, each with how long it took."""

    def __init__(self, port: int) -> None:
        self._clock = SystemClock()
        self._http = PooledClient(self._clock, limits=PoolLimits(connections=4_000, keepalive_s=2.0))
        self._url = f"http://127.0.0.1:{port}/v1/chat/completions"
        self._headers = (("content-type", "application/json"), ("authorization", f"Bearer {KEY}"))
        self.ended: list[tuple[int, float, float]] = []
        """(status, seconds, when it ended)"""

    async def call(self, model: str) -> None:
        """One call; its status and time are kept."""
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Where is it?"}]}).encode()
        began = time.monotonic()
        got = await self._http.request(
            HttpRequest("POST", self._url, self._headers, body), Deadline.after(self._clock, 60)
        )
        now = time.monotonic()
        self.ended.append((got.status, now - began, now))

    async def open_loop(self, model: str, rate: float, seconds: float) -> None:
        """Calls at `rate` per second, whatever becomes of them; returns when all have ended."""
        began, calls = time.monotonic(), list[asyncio.Task[None]]()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            calls.append(asyncio.ensure_future(self.call(model)))
        await asyncio.gather(*calls)

    async def closed_loop(self, model: str, at_once: int, calls: int) -> None:
        """So many calls, so many at a time."""

        async def one() -> None:
            for _ in range(calls // at_once):
                await self.call(model)

        await asyncio.gather(*(one() for _ in range(at_once)))

    def p99_s(self, status: int = 200) -> float:
        """Of the calls with that status."""
        times = sorted(seconds for got, seconds, _ in self.ended if got == status)
        return times[int(len(times) * 0.99)] if times else 0.0

    async def close(self) -> None:
        await self._http.close()


Work = Callable[[Clients, Any], Awaitable[dict[str, float]]]


def run(quick: bool) -> list[dict[str, Any]]:
    """Goodput and waits under overload, the tail with and without hedging, and what a full outage costs upstream."""
    seconds, calls = (6.0, 400) if quick else (20.0, 2_000)
    over = served(overload, seconds, hedged=False)
    plain = served(tail, calls, hedged=False)
    hedged = served(tail, calls, hedged=True)
    down = served(outage, 400, hedged=True)
    return [
        figure(
            "goodput at ten times the load ÷ the vendor's capacity",
            over["goodput"],
            "ratio",
            over["goodput"] >= 0.95,
            ">= 0.95",
        ),
        figure(
            "p99 of calls let in ÷ the vendor's own time",
            over["p99_s"] / SECONDS,
            "ratio",
            over["p99_s"] / SECONDS <= 20,
            "<= 20",
        ),
        figure("p99 of calls turned away", over["shed_p99_s"] * 1e3, "ms", None, ""),
        figure("share turned away with 429 and Retry-After", over["shed"], "share", None, ""),
        figure(
            "p99 on a heavy tail, hedged ÷ not",
            hedged["p99_s"] / plain["p99_s"],
            "ratio",
            hedged["p99_s"] <= plain["p99_s"] / 2,
            "<= 0.5",
        ),
        figure(
            "upstream calls on it ÷ client calls, hedged", hedged["sent"], "ratio", hedged["sent"] <= 1.05, "<= 1.05"
        ),
        figure(
            "upstream calls ÷ client calls in a full outage of both vendors",
            down["sent"],
            "ratio",
            down["sent"] <= 1.1,
            "<= 1.1",
        ),
    ]


def figure(name: str, value: float, unit: str, ok: bool | None, goal: str) -> dict[str, Any]:
    return {"figure": name, "value": round(value, 3), "unit": unit, "goal": goal or None, "ok": ok, "command": COMMAND}


def served(work: Work, amount: Any, *, hedged: bool) -> dict[str, float]:
    """What `work` finds at a server of its own with vendors of its own; `amount`: seconds or calls of it."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interlock-bench-")))
        vendor_port, port = free_port(), free_port()
        vendor = ["-m", "bench.overload_vendor", str(vendor_port), str(SERVERS), str(SECONDS)]
        stack.enter_context(process(vendor, folder, port=vendor_port))
        text = WORKSPACE.format(vendor=vendor_port, port=port, key=KEY, hedged=str(hedged).lower())
        (folder / "interlock.yaml").write_text(text)
        serve = ["-c", "import sys; from interlock.cli.main import main; sys.exit(main())", "serve"]
        stack.enter_context(process([*serve, "--workspace", str(folder)], folder, port=port))
        return asyncio.run(counted(port, vendor_port, work, amount))


async def counted(port: int, vendor_port: int, work: Work, amount: Any) -> dict[str, float]:
    """`work`'s findings, with `sent`: the vendor's calls ÷ the clients'."""
    clients = Clients(port)
    found = await work(clients, amount)
    http, clock = PooledClient(SystemClock()), SystemClock()
    got = await http.request(HttpRequest("GET", f"http://127.0.0.1:{vendor_port}/count"), Deadline.after(clock, 5))
    found["sent"] = sum(json.loads(got.body).values()) / len(clients.ended)
    await http.close()
    await clients.close()
    return found


async def overload(clients: Clients, seconds: float) -> dict[str, float]:
    """A quiet start, then ten times the capacity; measured from when the limit has had two seconds to follow."""
    await clients.closed_loop("limited", 2, 20)
    began = time.monotonic()
    clients.ended.clear()
    await clients.open_loop("limited", TIMES * CAPACITY, seconds)
    inside = [each for each in clients.ended if began + 2.0 <= each[2] <= began + seconds]
    good = sum(status == 200 for status, _, _ in inside) / (seconds - 2.0) / CAPACITY
    shed = sum(status == 429 for status, _, _ in clients.ended) / len(clients.ended)
    other = {status for status, _, _ in clients.ended} - {200, 429}
    assert not other, f"answered with {other}"
    return {"goodput": good, "p99_s": clients.p99_s(), "shed": shed, "shed_p99_s": clients.p99_s(429)}


async def tail(clients: Clients, calls: int) -> dict[str, float]:
    """A vendor that is slow for one call in fifty."""
    await clients.closed_loop("tail", 20, calls)
    return {"p99_s": clients.p99_s()}


async def outage(clients: Clients, calls: int) -> dict[str, float]:
    """Nobody answers."""
    await clients.closed_loop("down", 50, calls)
    assert {status for status, _, _ in clients.ended} <= {502, 503, 429}
    return {}
