"""An agent's governed tools for MCP clients: over standard streams, or as an app behind HTTP.

Above: the CLI, the server. Below: compose, `tools/mcp/offer`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from interlock.core.caller import Caller

from .compose import Interlock

if TYPE_CHECKING:
    from interlock.tools.mcp.offer import CallerOf, Server


def offered(il: Interlock, agent: str, caller_of: CallerOf) -> Server:
    """The SDK's server of one agent's tools.

    Raises:
        ConfigError: there is no such agent, or it cannot be run.
    """
    from interlock.agents import approve
    from interlock.tools.mcp.offer import Offer

    il.workspace.agent(agent)
    contract = il.contracts[agent]
    return Offer(
        agent,
        contract.grants,
        il.desk,
        il.ids,
        caller_of,
        lambda name, arguments: approve.rule_for(contract, name, arguments),
    ).server()


async def serve_over_stdio(path: Path, agent: str) -> None:
    """Serves one client over standard input and output until it goes away."""
    from interlock.tools.mcp.offer import over_stdio

    async with Interlock.from_file(path) as il:
        caller = Caller(il.workspace.settings.tenant, key_id="mcp", versions=il.workspace.versions)
        await over_stdio(offered(il, agent, lambda _: caller))
