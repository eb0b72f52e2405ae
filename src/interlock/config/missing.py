"""What to do about a tool that a contract names and nothing defines, wherever tools come from. Above: checks, workspace. Below: schema, names."""

from __future__ import annotations

from collections.abc import Collection

from .names import nearest
from .schema import Settings


def tool_hint(settings: Settings, name: str, known: Collection[str]) -> str:
    """One sentence: the declaration or the command that brings the tool, else the nearest name there is."""
    source, _, rest = name.partition(".")
    if name == "web.fetch":
        return "It is there when `egress.allow` names a host (docs/egress.md)."
    if source == "sql" and rest not in settings.databases:
        return f"Declare it under `databases.{rest or 'NAME'}` (docs/sql.md)."
    if source in settings.mcp.servers:
        return f"Nothing of that name is pinned: `interlock mcp pin {source}` asks the server, `interlock mcp list` shows (docs/mcp.md)."
    return nearest(name, known) or "Define it with @tool in tools.py beside interlock.yaml (docs/tools.md)."
