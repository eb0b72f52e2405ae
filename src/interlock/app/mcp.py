"""MCP servers of a workspace: their pinned tools, the connections behind them, and pinning.

Above: toolbox, the CLI. Below: config, `tools/mcp`. The SDK is loaded only where a workspace names a server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.config.jsonschema import SchemaInvalid, Validator
from interlock.config.mcp import McpServer
from interlock.config.workspace import Workspace
from interlock.core.errors import ConfigError, Fault
from interlock.core.ids import SystemIds
from interlock.core.time import SystemClock
from interlock.tools.define import Tool

if TYPE_CHECKING:
    from interlock.tools.mcp.link import Link

    from .sandbox import Sandboxed


class McpTools:
    """The tools of every server that is pinned."""

    def __init__(self, workspace: Workspace, sandboxed: Sandboxed) -> None:
        """Raises ConfigError: the extra `mcp` is not installed, or the file of pins is torn. Nothing is connected here."""
        self._links: list[Link] = []
        self.tools: dict[str, Tool] = {}
        self.inside: set[str] = set()
        """Names of tools whose server runs in the sandbox."""
        servers = workspace.settings.mcp.servers
        if not servers:
            return
        try:
            from interlock.tools.mcp import pins
            from interlock.tools.mcp.source import ServerTools
        except ModuleNotFoundError as missing:
            raise _fault(
                workspace.root, f"{missing.name} is not installed", "pip install 'interlock[mcp]'"
            ) from missing
        pinned = pins.read(workspace.root)
        for name, server in servers.items():
            link = link_of(name, server, workspace.root, sandboxed)
            self._links.append(link)
            made = ServerTools(link, pinned.get(name, {}), server.tools, server.effects, _check).tools()
            self.tools.update(made)
            self.inside |= made.keys() if server.command and not server.outside else set()

    async def close(self) -> None:
        for link in self._links:
            await link.close()


async def pin(workspace: Workspace, names: list[str]) -> dict[str, list[str]]:
    """Asks the servers what they say of their tools and writes it down; returns what differs from before, by server.

    Raises:
        ConfigError: there is no such server. ToolError: it cannot be reached.
    """
    from interlock.tools.mcp import pins

    servers = workspace.settings.mcp.servers
    unknown = [name for name in names if name not in servers]
    if unknown:
        raise _fault(workspace.root, f"no server {unknown[0]!r}", f"Servers: {', '.join(sorted(servers)) or 'none'}.")
    known = pins.read(workspace.root)
    changes: dict[str, list[str]] = {}
    sandboxed = _sandboxed(workspace)
    for name in names or sorted(servers):
        link = link_of(name, servers[name], workspace.root, sandboxed)
        try:
            told = await link.tools()
        finally:
            await link.close()
            await sandboxed.close()  # it is made anew where the next server needs one
        wanted = servers[name].tools
        kept = {each: tool for each, tool in told.items() if not wanted or each in wanted}
        changes[name] = pins.differences(known.get(name, {}), kept)
        known[name] = {each: tool.sealed() for each, tool in kept.items()}
    pins.write(workspace.root, {name: known[name] for name in known if name in servers})
    return changes


def _sandboxed(workspace: Workspace) -> Sandboxed:
    """A sandbox for the time of pinning: a server is no more trusted then than later."""
    from . import egress
    from .credentials import Lending
    from .sandbox import Sandboxed

    clock = SystemClock()
    return Sandboxed(
        workspace, clock, egress.policy_of(workspace.settings.egress, SystemIds(clock), Lending()), egress.proxy_of
    )


def link_of(name: str, server: McpServer, root: Path, sandboxed: Sandboxed) -> Link:
    """The connection to a server, not yet made; a command runs in the sandbox unless it is declared `outside`."""
    from interlock.tools.mcp.link import Link, ServerAddress

    def revealed(values: Mapping[str, Any]) -> dict[str, str]:
        return {key: value.reveal() for key, value in values.items()}

    address = ServerAddress(
        name, server.command, revealed(server.env), str(root), server.url, revealed(server.headers), server.timeout_s
    )
    inside = bool(server.command) and not server.outside
    return Link(address, sandboxed.starter(server, root) if inside else None)


def _check(schema: Mapping[str, Any]) -> Callable[[Any], list[str]]:
    """What is wrong with arguments, by the server's own schema; a schema that is none lets only the server judge."""
    try:
        return Validator(dict(schema)).faults
    except SchemaInvalid:
        return _nothing


def _nothing(_: Any) -> list[str]:
    return []


def _fault(root: Path, message: str, hint: str) -> ConfigError:
    return ConfigError([Fault(str(root / "interlock.yaml"), 1, 1, "mcp.servers", message, hint)])
