"""`interlock mcp pin | list | serve`: MCP servers' tools approved, shown; an agent's tools offered. Above: main. Below: app."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from .options import parser, print_json, say, workspace_path

OK, NOT_ALL_WELL = 0, 1


def options() -> argparse.ArgumentParser:
    """What `interlock mcp` takes."""
    made = parser("mcp", "Approves what MCP servers say of their tools, and offers an agent's tools to MCP clients.")
    made.add_argument("verb", choices=("pin", "list", "serve"), help="what to do")
    made.add_argument("names", nargs="*", metavar="NAME", help="servers (pin, list); the agent (serve)")
    return made


def run(arguments: Sequence[str]) -> int:
    """Pins go to mcp.lock.json; `serve` speaks over standard input and output."""
    taking = options()
    given = taking.parse_args(arguments)
    if given.verb == "serve":
        if len(given.names) != 1:
            taking.error("serve takes the name of one agent")
        from interlock.app.offering import serve_over_stdio

        asyncio.run(serve_over_stdio(workspace_path(given.workspace), given.names[0]))
        return OK
    from interlock.config.load import load

    workspace = load(workspace_path(given.workspace))
    if given.verb == "pin":
        from interlock.app.mcp import pin

        changes = asyncio.run(pin(workspace, given.names))
        return _told(changes, as_json=given.json)
    from interlock.tools.mcp import pins

    return _listed(pins.read(workspace.root), given.names, as_json=given.json)


def _told(changes: dict[str, list[str]], *, as_json: bool) -> int:
    if as_json:
        print_json({"pinned": changes})
        return OK
    for server, lines in changes.items():
        say(f"{server}: {'nothing changed' if not lines else ''}")
        for line in lines:
            say(f"  {line}")
    say("Written to mcp.lock.json; look at the change before you commit it.")
    return OK


def _listed(pins: object, names: list[str], *, as_json: bool) -> int:
    import msgspec

    plain = msgspec.to_builtins(pins)
    chosen = {server: tools for server, tools in plain.items() if not names or server in names}
    if as_json:
        print_json(chosen)
        return OK
    for server, tools in chosen.items():
        for name, tool in tools.items():
            print(
                f"{server}.{name}  {tool['digest']}  {tool['description'].splitlines()[0] if tool['description'] else ''}"
            )
    if not chosen:
        say("Nothing is pinned yet: interlock mcp pin")
        return NOT_ALL_WELL
    return OK
