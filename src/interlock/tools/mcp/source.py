"""A server's pinned tools as tools of ours: governed, recorded, refused when the server has changed its words.

Above: `app`. Below: pins, link, `tools/define`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from interlock.core.errors import ToolError
from interlock.core.events import Effect
from interlock.tools.define import Tool, ToolContext

from .link import Link
from .pins import Pinned, differences

KEY_META = "interlock/idempotency-key"
Check = Callable[[Mapping[str, Any]], Callable[[Any], list[str]]]
"""From a JSON Schema to what is wrong with a value."""


class ServerTools:
    """The tools of one server that a workspace allows."""

    def __init__(
        self,
        link: Link,
        pinned: Mapping[str, Pinned],
        allowed: Sequence[str],
        effects: Mapping[str, Effect],
        check: Check,
    ) -> None:
        """`allowed`: names as the server gives them; empty for all that are pinned. A tool without an entry in `effects` is `once`."""
        self._link = link
        self._pinned = {name: tool for name, tool in pinned.items() if not allowed or name in allowed}
        self._effects = effects
        self._check = check
        self._changed: dict[str, str] = {}
        self._looked_at = 0
        """Generation of the connection over which the server was last asked."""
        self._looking = asyncio.Lock()

    def tools(self) -> dict[str, Tool]:
        """By our name, `SERVER.TOOL`."""
        made = [self._tool(pinned) for pinned in self._pinned.values()]
        return {tool.name: tool for tool in made}

    def _tool(self, pinned: Pinned) -> Tool:
        async def call(arguments: dict[str, Any], ctx: ToolContext) -> Any:
            await self._unchanged(pinned.name)
            meta: dict[str, Any] = {KEY_META: ctx.idempotency_key}
            if ctx.traceparent:
                meta["traceparent"] = ctx.traceparent
            try:
                return await self._link.call(pinned.name, arguments, meta)
            finally:
                for line in self._link.stains():
                    ctx.note(line)

        return Tool(
            name=f"{self._link.address.name}.{pinned.name}",
            function=call,
            parameters=(),
            schema=dict(pinned.schema),
            effect=self._effects.get(pinned.name, "once"),
            description=pinned.description,
            takes_ctx=True,
            checker=self._check(pinned.schema),
        )

    async def _unchanged(self, name: str) -> None:
        """Asks the server once per connection what it says of its tools, and compares.

        Raises:
            ToolError: `description_changed`.
        """
        async with self._looking:
            if self._looked_at != self._link.generation or not self._link.generation:
                told = await self._link.tools()
                lines = differences(self._pinned, {each: told[each] for each in told if each in self._pinned})
                self._looked_at = self._link.generation
                self._changed = {line.partition(":")[0]: line for line in lines}
        why = self._changed.get(name)
        if why:
            raise ToolError(
                "description_changed",
                f"{self._link.address.name} says otherwise than it was approved: {why}",
                hint=f"A person has to look at it: interlock mcp pin {self._link.address.name}",
            )
