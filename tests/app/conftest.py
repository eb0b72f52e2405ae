"""Workspaces on disk around the two documents of the configuration's acceptance, with vendors on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents import CONTRACT, POLICY

SCHEMA = """\
{"type": "object", "required": ["sku", "quantity"], "additionalProperties": false,
 "properties": {"sku": {"type": "string"}, "quantity": {"type": "integer", "minimum": 1}}}
"""
TOOLS = """\
import asyncio
from pathlib import Path

from interlock import ToolContext, ToolError, tool


def note(ctx, line):
    with (Path(ctx.workspace) / "calls.txt").open("a") as file:
        file.write(line + "\\n")


@tool(name="inventory.lookup", effect="none")
async def lookup(sku: str, ctx: ToolContext) -> dict[str, int]:
    note(ctx, f"lookup {sku}")
    if sku == "SLOW":
        await asyncio.sleep(30)
    if sku == "BROKEN":
        raise ToolError("unavailable", "the stock system is down", retryable=True)
    return {"stock": 3}


@tool(name="payments.create_intent", effect="idempotent")
def create_intent(amount_usd: float, ctx: ToolContext) -> dict[str, str]:
    note(ctx, f"pay {amount_usd}")
    return {"intent": "pi_1"}
"""


class Folder:
    """A workspace that holds the documents as they were written; what a test needs besides stands in other files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def provider(self, name: str, base_url: str) -> None:
        """Points a built-in provider to a vendor on this machine."""
        self.write(f"policies/{name}.yaml", f"providers:\n  {name}: {{base_url: '{base_url}', api_key: test-key}}\n")

    def calls(self) -> list[str]:
        """Which tools ran, in order."""
        path = self.root / "calls.txt"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def contract_folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.write("interlock.yaml", "workspace: documents\ntenant: acme\n")
    folder.write("agents/agent_contract.yaml", CONTRACT)
    folder.write("schemas/OrderDraft.json", SCHEMA)
    folder.write("tools.py", TOOLS)
    return folder


@pytest.fixture
def policy_folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.write("interlock.yaml", POLICY)
    return folder
