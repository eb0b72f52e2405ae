"""Every tool of a workspace, wherever it comes from, and what has to be closed behind them.

Above: compose. Below: databases, egress, mcp, `tools/load`.
"""

from __future__ import annotations

from collections.abc import Mapping

from interlock.agents.compile import built_in
from interlock.config.workspace import Workspace
from interlock.core.errors import ConfigError, Fault
from interlock.core.ids import Ids
from interlock.core.time import Clock
from interlock.tools.define import Tool
from interlock.tools.load import load_tools

from . import egress
from .credentials import Lending
from .databases import Databases
from .mcp import McpTools
from .sandbox import Sandboxed
from .session_tools import SessionTools


class Toolbox:
    """The tools by name."""

    def __init__(self, workspace: Workspace, clock: Clock, ids: Ids) -> None:
        """Raises ConfigError: a file or an extra is missing or wrong, or two tools share a name."""
        settings = workspace.settings
        self._databases = Databases(workspace, clock)
        self.lending = Lending()
        self.egress = egress.policy_of(settings.egress, ids, self.lending)
        self.sandboxed = Sandboxed(workspace, clock, self.egress, egress.proxy_of)
        self.remembering = SessionTools()
        self._mcp = McpTools(workspace, self.sandboxed)
        file = workspace.tools_file
        own = self.sandboxed.isolated(load_tools(file), file) if file else {}
        fetching = egress.fetch_tools(settings.egress, self.egress, workspace.root, clock)
        self.tools = _joined(
            workspace,
            built_in(workspace),
            self.remembering.tools,
            own,
            self._databases.tools,
            fetching,
            self._mcp.tools,
            self.sandboxed.tools,
        )

    async def prove(self, workspace: Workspace) -> None:
        """Where a contract names a tool that runs in the sandbox, the host must prove the configured level before anything begins.

        Raises:
            SandboxRefused: it cannot.
        """
        named = {use.name for agent in workspace.agents.values() for use in agent.contract.tools}
        inside = {
            *self.sandboxed.tools,
            *self._mcp.inside,
            *(each.name for each in self.tools.values() if each.isolated),
        }
        if named & inside:
            await self.sandboxed.start(named)

    async def close(self) -> None:
        """Ends connections to databases and servers, and the sandbox."""
        await self._mcp.close()
        await self.sandboxed.close()
        await self._databases.close()


def _joined(workspace: Workspace, *sources: Mapping[str, Tool]) -> dict[str, Tool]:
    found: dict[str, Tool] = {}
    for source in sources:
        for name, tool in source.items():
            if name in found:
                raise ConfigError(
                    [Fault(str(workspace.root), 0, 0, name, "two tools share this name", "Rename one of them.")]
                )
            found[name] = tool
    return found
