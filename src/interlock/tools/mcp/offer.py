"""Our governed tools as an MCP server: the same walk, rules, limits and ledger as when an agent calls them.

Above: `app`. Below: `tools/call`, the official SDK. What needs a person's approval is refused with that reason: a call cannot wait for hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
from mcp import types
from mcp.server import Server as SdkServer
from mcp.server.context import ServerRequestContext
from mcp.server.stdio import stdio_server
from msgspec.structs import replace

from interlock.core.caller import Caller
from interlock.core.ids import Ids
from interlock.tools.call import Grant, ToolDesk, ToolRequest
from interlock.tools.verdict import modified

from .source import KEY_META

Server = SdkServer[Any]
CallerOf = Callable[[ServerRequestContext[Any, Any]], Caller]
NeedsPerson = Callable[[str, Any], str]
"""(tool, arguments) → the rule that makes a person's approval necessary; empty for none."""


class Offer:
    """One contract's tools, offered."""

    def __init__(
        self,
        workflow: str,
        grants: Mapping[str, Grant],
        desk: ToolDesk,
        ids: Ids,
        caller_of: CallerOf,
        needs_person: NeedsPerson,
    ) -> None:
        self._workflow, self._grants, self._desk, self._ids = workflow, grants, desk, ids
        self._caller_of, self._needs_person = caller_of, needs_person
        self._names = {name.replace(".", "_"): name for name in grants}
        """By the name that clients see: models take no dots."""

    def server(self) -> Server:
        """An SDK server; run it over any transport."""
        return SdkServer(
            f"interlock/{self._workflow}",
            instructions="Every call is checked against a policy and recorded; a refusal says what to do instead.",
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def _list(
        self, _context: ServerRequestContext[Any, Any], _page: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[self._shown(wire, self._grants[name]) for wire, name in self._names.items()]
        )

    def _shown(self, wire: str, grant: Grant) -> types.Tool:
        tool = grant.tool
        hints = types.ToolAnnotations(
            read_only_hint=tool.effect == "none",
            idempotent_hint=tool.effect in ("none", "idempotent"),
            destructive_hint=tool.effect == "once" and not tool.reversible_by,
        )
        return types.Tool(name=wire, description=tool.description, input_schema=tool.schema, annotations=hints)

    async def _call(
        self, context: ServerRequestContext[Any, Any], asked: types.CallToolRequestParams
    ) -> types.CallToolResult:
        name = self._names.get(asked.name, asked.name)
        arguments: Any = asked.arguments or {}
        grant = self._grants.get(name)
        if grant is not None:
            arguments = modified(grant.rules, arguments)
        rule = self._needs_person(name, arguments)
        if rule:
            return _refusal(
                "needs_approval",
                f"{name} needs a person's approval ({rule})",
                "Run it inside a task, where a person is asked.",
            )
        caller = replace(self._caller_of(context), workflow=self._workflow, task=self._ids.new("tsk"), step=1)
        given = (context.meta or {}).get(KEY_META) if isinstance(context.meta, Mapping) else None
        # Two clients that choose the same key must not meet, so theirs is only a part of ours.
        key = f"{caller.tenant}:{caller.key_id}:{given}" if isinstance(given, str) and given else f"{caller.task}:1"
        reply = await self._desk.call(caller, ToolRequest(name, arguments, key), self._grants)
        if "error" in reply.content:
            error = reply.content["error"]
            return _refusal(error["code"], error["message"], error["hint"])
        result = reply.content["result"]
        text = result if isinstance(result, str) else msgspec.json.encode(result).decode()
        structured = cast("dict[str, Any]", result) if isinstance(result, dict) else None
        return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=structured)


async def over_stdio(server: Server) -> None:
    """Serves one client over standard input and output until it goes away."""
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


def _refusal(code: str, message: str, hint: str) -> types.CallToolResult:
    told = msgspec.json.encode({"error": {"code": code, "message": message, "hint": hint}}).decode()
    return types.CallToolResult(content=[types.TextContent(text=told)], is_error=True)
