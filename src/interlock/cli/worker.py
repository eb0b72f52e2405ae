"""`interlock worker`: works on due tasks beside other workers and servers, until it is told to stop. Above: main. Below: app, put together there."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .options import parser, say, workspace_path

if TYPE_CHECKING:
    from interlock.app import Interlock

STOP_S = 30.0
"""How long tasks under way have to come to their next step; what is cut off then goes on elsewhere."""


MOST_AT_ONCE = 100_000


def options() -> argparse.ArgumentParser:
    """What `interlock worker` takes."""
    made = parser(
        "worker", "Takes due tasks of this workspace's store and works on them, until it is told to stop.", json=False
    )
    made.add_argument("--concurrency", type=many, metavar="N", help="tasks at once (default: workers.concurrency, 32)")
    made.add_argument(
        "--health",
        type=address,
        metavar="A",
        help="answer GET /healthz and /readyz at [HOST:]PORT (default: nowhere)",
    )
    made.add_argument("-m", "--model", default="", metavar="M", help="stands in for every model that the files name")
    return made


def many(text: str) -> int:
    """A whole number of one or more; for argparse."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_AT_ONCE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_AT_ONCE}")
    return int(text)


def run(arguments: Sequence[str]) -> int:
    """Works until ctrl-C or SIGTERM; 0 after an orderly end."""
    given = options().parse_args(arguments)
    root = workspace_path(given.workspace)
    from interlock.server.serve import run as run_loop

    run_loop(lambda: work(root, given))
    return 0


def address(text: str) -> str:
    """`[HOST:]PORT`; for argparse."""
    port = text.rpartition(":")[2]
    if not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not [HOST:]PORT")
    return text


@asynccontextmanager
async def answering(
    il: Interlock, at: str | None, working: asyncio.Task[int], told: asyncio.Event
) -> AsyncGenerator[None]:
    """Tells whoever asks at `at` how this worker is, where an address is given."""
    if not at:
        yield
        return
    from interlock.server.probe import Standing, probed

    def standing() -> Standing:
        ledger = il.ledger_health().state
        status = "stopping" if told.is_set() else "ended" if working.done() else ledger
        return Standing(status, lives=told.is_set() or not working.done(), ready=status == "ok")

    async with probed(at, standing) as port:
        say(f"  health   /healthz and /readyz at port {port}")
        yield


async def work(root: Path, given: argparse.Namespace) -> None:
    """Opens the workspace, then takes turns with whoever works on the same store."""
    from interlock.app import Interlock
    from interlock.app.stores import name_of
    from interlock.server.serve import quiet_collector

    async with Interlock.from_file(root, model=given.model) as il, AsyncExitStack() as watched:
        told = asyncio.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, told.set)
        il.looks.start()
        for warning in await il.know_prices():
            say(f"remark: {warning}")
        say(f"interlock works on tasks of {il.workspace.name}: {', '.join(il.contracts) or 'none'}")
        say(f"  ledger   {name_of(il.workspace)}")
        say("ctrl-C stops it; what is under way is let go at its next step")
        working = asyncio.create_task(il.work(concurrency=given.concurrency or 0))
        await watched.enter_async_context(answering(il, given.health, working, told))
        watched.enter_context(quiet_collector())
        beside = [asyncio.create_task(il.webhooks().run())] if il.workspace.settings.webhooks else []
        stopping = asyncio.create_task(told.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        il.agents.stop()
        await asyncio.wait({working}, timeout=STOP_S)
        for each in (*beside, stopping, working):
            each.cancel()
        ended = await asyncio.gather(working, return_exceptions=True)
        await asyncio.gather(*beside, return_exceptions=True)
    taken = ended[0]
    if isinstance(taken, Exception):
        raise taken
    say(
        f"stopped; it took {taken} tasks"
        if isinstance(taken, int)
        else "stopped; tasks that were cut off go on elsewhere"
    )
