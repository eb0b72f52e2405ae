"""A small MCP server made with the official SDK; `words` lets a test change what it says of itself."""

import json
import os
import sys
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer

words = json.loads(os.environ.get("SHOP_WORDS", "{}"))
server = MCPServer("shop")
LOG = Path(os.environ["SHOP_LOG"]) if "SHOP_LOG" in os.environ else None


@server.tool(description=words.get("stock", "How many of an article are in stock."))
def stock(sku: str) -> dict[str, int]:
    return {"count": len(sku)}


@server.tool(description="Orders articles.")
async def order(sku: str, count: int, ctx: Context) -> str:
    meta = dict(ctx.request_context.meta or {})
    if LOG:
        LOG.write_text(json.dumps({"meta": meta, "env": sorted(os.environ)}))
    return f"ordered {count} of {sku}"


@server.tool()
def broken() -> str:
    raise ValueError("the warehouse is closed")


if __name__ == "__main__":
    if sys.argv[1:] == ["http"]:
        server.run("streamable-http", port=int(os.environ["SHOP_PORT"]))
    else:
        server.run("stdio")
