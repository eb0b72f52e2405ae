"""The analyst's tools, offered to an MCP client: what it may ask and compute, and what it may not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mcp
import pytest
from mcp.client.stdio import StdioServerParameters

from interlock.app import Interlock
from interlock.core.errors import SandboxRefused

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def analyst(tmp_path: Path) -> Path:
    root = tmp_path / "analyst"
    shutil.copytree(
        ROOT / "examples" / "analyst", root, ignore=shutil.ignore_patterns(".interlock", "data", "__pycache__")
    )
    subprocess.run([sys.executable, str(root / "make_shop.py")], check=True)
    return root


async def isolates(root: Path) -> bool:
    """Whether this host can isolate as the example demands; where it cannot, starting refuses, which is what it should do."""
    try:
        async with Interlock.from_file(root):
            return True
    except SandboxRefused:
        return False


@pytest.mark.requirement("TL-02", "TL-07", "TL-11")
async def test_it_asks_and_computes_and_learns_nothing_else(analyst: Path):
    if not await isolates(analyst):
        pytest.skip("this host denies the namespaces that the example demands")
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "interlock.cli.main", "mcp", "serve", "analyst", "--workspace", str(analyst)],
    )

    async def asked(client: mcp.Client, tool: str, **arguments: Any) -> Any:
        reply = await client.call_tool(tool, arguments)
        return json.loads(getattr(reply.content[0], "text", "{}"))

    async with mcp.Client(server) as client:
        months = await asked(
            client,
            "sql_shop",
            sql="SELECT STRFTIME('%m', placed_on) AS month, SUM(total_usd) FROM orders GROUP BY month",
        )
        count = await asked(client, "sql_shop", sql="SELECT COUNT(*) FROM orders")
        email = await asked(client, "sql_shop", sql="SELECT email FROM orders")
        computed = await asked(client, "code_run", code="sum(range(10))")
        outside = await asked(client, "code_run", code="open('/etc/shadow').read()")
        network = await asked(
            client, "code_run", code="import socket; socket.create_connection(('169.254.169.254', 80), 1)"
        )

    assert len(months["rows"]) == 9
    assert count["rows"] == [[150]]
    assert email["error"]["code"] == "query_refused"
    assert "45" in json.dumps(computed)
    assert "Error" in json.dumps(outside)
    assert "Error" in json.dumps(network)
