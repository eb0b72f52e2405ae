"""What `mcp:` in interlock.yaml may say: MCP servers whose tools agents may use. Above: schema, app. Below: blocks."""

from __future__ import annotations

from pydantic import Field, model_validator

from interlock.core.events import Effect

from .blocks import Address, Block, Name, Seconds, SecretText, Texts


class McpServer(Block):
    """One server: a command that speaks over its standard streams, or an address that speaks streamable HTTP."""

    command: Texts = ()
    """Program and arguments."""
    env: dict[str, SecretText] = Field(default_factory=dict[str, SecretText])
    """Its environment, beside PATH and HOME; it inherits nothing else."""
    reads: Texts = ()
    """Files and folders, from the workspace's, that a command sees beside its own program; read-only."""
    network: bool = False
    """A command may reach what `egress` allows."""
    outside: bool = False
    """A command runs outside of the sandbox, as the user that runs Interlock; every call's event says so."""
    url: Address = ""
    headers: dict[str, SecretText] = Field(default_factory=dict[str, SecretText])
    tools: Texts = ()
    """Names as the server gives them; empty for every one that is pinned."""
    effects: dict[str, Effect] = Field(default_factory=dict[str, Effect])
    """What repeating a tool's call does; `once`, the careful one, where nothing is said."""
    timeout_s: Seconds = 30.0

    @model_validator(mode="after")
    def _one_place(self) -> McpServer:
        if bool(self.command) == bool(self.url):
            raise ValueError("expected either command or url")
        if (self.url or self.outside) and (self.reads or self.network):
            raise ValueError("reads and network are for a command in the sandbox")
        if self.url and self.outside:
            raise ValueError("outside is for a command; a server at an address runs where it runs")
        return self


class Mcp(Block):
    servers: dict[Name, McpServer] = Field(default_factory=dict[str, McpServer])
    offer: Texts = ()
    """Agents whose tools `interlock serve` offers to MCP clients at /mcp/NAME."""
