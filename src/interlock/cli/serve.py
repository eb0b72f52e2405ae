"""`interlock serve`: the gateway over HTTP, until it is told to stop. Above: main. Below: server and app, put together there."""

from __future__ import annotations

import argparse
import asyncio
import gc
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from .options import parser, say, workspace_path

if TYPE_CHECKING:
    from interlock.app import Interlock
    from interlock.config.workspace import Workspace
    from interlock.server.board import Board
    from interlock.server.workers import Worker
    from interlock.server.workspace import Opened

MOST_WORKERS = 256


def options() -> argparse.ArgumentParser:
    """What `interlock serve` takes."""
    made = parser("serve", "Offers the gateway over HTTP to clients of OpenAI's and Anthropic's dialects.", json=False)
    made.add_argument("--host", metavar="H", help="address to listen at (default: server.host, 127.0.0.1)")
    made.add_argument("--port", type=int, metavar="P", help="port, 0 for a free one (default: server.port, 8787)")
    made.add_argument(
        "--workers", type=count, metavar="N", help="processes that share the port (default: server.workers, 1)"
    )
    made.add_argument("--tls-cert", default="", metavar="FILE", help="PEM file of the certificate: listen with TLS")
    made.add_argument("--tls-key", default="", metavar="FILE", help="PEM file of its key, unless it is in the same one")
    made.add_argument("-m", "--model", default="", metavar="M", help="stands in for every model that the files name")
    return made


def count(text: str) -> int:
    """A whole number of one or more; for argparse."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_WORKERS}")
    return int(text)


def run(arguments: Sequence[str]) -> int:
    """Serves until ctrl-C or SIGTERM; 0 after an orderly end."""
    given = options().parse_args(arguments)
    root = workspace_path(given.workspace)
    gc.disable()  # hardly anything that is loaded from now on goes again; the server sets its own pace once it is open
    try:
        return _run(given, root)
    finally:
        gc.enable()


def _run(given: argparse.Namespace, root: Path) -> int:
    from interlock.config.load import load

    workspace = load(root)
    said = workspace.settings.server
    workers = given.workers or said.workers
    if workers > 1:
        return run_several(
            root, given, given.host or said.host, said.port if given.port is None else given.port, workers
        )
    from interlock.server.serve import run as run_loop

    run_loop(lambda: serve(workspace, given, root))
    return 0


def run_several(root: Path, given: argparse.Namespace, host: str, port: int, workers: int) -> int:
    """The same in `workers` processes behind one port."""
    from interlock.cli.main import explain
    from interlock.core.errors import InterlockError
    from interlock.server.followed import Followed
    from interlock.server.serve import ServerSettings
    from interlock.server.serve import run as run_loop
    from interlock.server.workers import Supervisor, shared_sockets

    followed = Followed(root)

    def main(worker: Worker) -> int:
        try:
            run_loop(lambda: serve(followed.now(worker.board), given, root, worker))
        except InterlockError as error:
            return explain(error)
        return 0

    def renew(board: Board) -> bool:
        try:
            followed.look(board)
        except InterlockError as error:
            explain(error)
            say("the new files are refused; what was there before goes on")
            return False
        return True

    import_module("interlock.server.workspace")  # loaded once, here, and shared by all workers
    gc.enable()
    sockets = shared_sockets(host, port, workers)
    return Supervisor(main, sockets, shutdown_s=ServerSettings().shutdown_s, say=say, renew=renew).run()


async def serve(workspace: Workspace, given: argparse.Namespace, root: Path, worker: Worker | None = None) -> None:
    """Opens the workspace, then the door."""
    from interlock.app import Interlock
    from interlock.server.serve import is_loopback
    from interlock.server.workspace import serve_workspace, settings_of

    first = worker is None or (worker.number == 0 and not worker.restarts)
    async with Interlock(workspace, model=given.model) as il:
        port = worker.sock.getsockname()[1] if worker else given.port
        settings = settings_of(il, given.host or "", port, (given.tls_cert, given.tls_key))
        if first and not is_loopback(settings.host):
            open_air = "" if settings.tls_cert else ", and reads it off the wire where no proxy adds TLS (--tls-cert)"
            say(
                f"remark: {settings.host} can be reached from other machines; whoever has the key can spend your money{open_air}"
            )
        pricing: list[asyncio.Task[None]] = []

        def opened(door: Opened) -> None:
            if first:
                announce(il, door)
            pricing.append(asyncio.create_task(priced(il, aloud=first)))

        await serve_workspace(il, settings, opened, worker=worker, files=root)
        await asyncio.gather(*pricing)
    if worker is None or worker.number == 0:
        say("stopped; every call under way has ended and is in the ledger")


async def priced(il: Interlock, *, aloud: bool) -> None:
    """Beside the first calls instead of in them; a model without a price is under no limit in dollars, which is told at once."""
    for warning in await il.know_prices():
        if aloud:
            say(f"remark: {warning}")


def announce(il: Interlock, opened: Opened) -> None:
    """What whoever started it needs to know."""
    from interlock.app.stores import name_of

    names = opened.names
    listed = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    say(f"interlock serves {il.workspace.name} at {opened.url}/v1")
    say(f"  key      {told(opened)}")
    say(f"  models   {listed + '; ' if listed else ''}any model or provider/model works")
    say(f"  ledger   {name_of(il.workspace)}")
    entrance = opened.enter()
    say(f"  pages    {entrance or 'none; pip install ' + repr('interlock[dashboard]') + ' shows them at /ui'}")
    if entrance:
        say("           (opens the dashboard once, within an hour; later sign in at /ui with the key)")
    for warning in il.warnings:
        say(f"  remark   {warning}")
    model = names[0] if names else "gpt-4o-mini"
    say(f"  try      curl {opened.url}/v1/chat/completions -H 'authorization: Bearer KEY' \\")
    say(f"""             -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "hello"}}]}}'""")
    say("ctrl-C stops it")


def told(opened: Opened) -> str:
    """The key when it is new, otherwise where it stands."""
    if opened.key_file is None:
        return "server.api_key of interlock.yaml"
    if opened.key_is_new:
        return f"{opened.key.reveal()}   (new, shown once; kept in {opened.key_file})"
    return f"the one in {opened.key_file}"
