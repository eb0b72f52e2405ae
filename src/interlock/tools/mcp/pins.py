"""What was approved of an MCP server's tools: names, descriptions and schemas, word for word, in a file that stands in version control.

Above: source, `app`. Below: core. A server that later says something else about a tool is not believed: its descriptions are read by models, so a
changed word is a changed prompt. Source: modelcontextprotocol.io/specification, Tools; "tool poisoning" and "rug pull" in its security notes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from interlock.core.errors import ConfigError, Fault

FILE = "mcp.lock.json"


class Pinned(Struct, frozen=True):
    """One tool as it was approved."""

    name: str
    description: str
    schema: dict[str, Any]
    digest: str = ""

    def sealed(self) -> Pinned:
        """With its digest filled in."""
        return msgspec.structs.replace(self, digest=digest_of(self))


Pins = dict[str, dict[str, Pinned]]
"""By server, by the tool's name there."""


def digest_of(tool: Pinned) -> str:
    """16 hex digits that change with any word of the name, the description or the schema."""
    told = msgspec.json.encode([tool.name, tool.description, tool.schema], order="sorted")
    return hashlib.sha256(told).hexdigest()[:16]


def read(root: Path) -> Pins:
    """The pins of a workspace; none where the file is not there.

    Raises:
        ConfigError: the file is malformed, or a pin was changed by hand and its digest no longer fits.
    """
    path = root / FILE
    if not path.is_file():
        return {}
    try:
        pins = msgspec.json.decode(path.read_bytes(), type=Pins)
    except msgspec.MsgspecError as wrong:
        raise ConfigError(
            [Fault(str(path), 1, 1, "", f"not a file of pins: {wrong}", "Write it anew: interlock mcp pin")]
        ) from wrong
    torn = [
        Fault(
            str(path),
            1,
            1,
            f"{server}.{name}",
            "its digest does not fit its words",
            f"Look at it and run: interlock mcp pin {server}",
        )
        for server, tools in pins.items()
        for name, tool in tools.items()
        if tool.digest != digest_of(tool) or name != tool.name
    ]
    if torn:
        raise ConfigError(torn)
    return pins


def write(root: Path, pins: Mapping[str, Mapping[str, Pinned]]) -> Path:
    """Writes the pins, sorted and indented, so that a change shows as one in a review."""
    path = root / FILE
    ordered = {server: {name: pins[server][name].sealed() for name in sorted(pins[server])} for server in sorted(pins)}
    data = msgspec.json.format(msgspec.json.encode(ordered), indent=2)
    draft = path.with_suffix(".tmp")
    draft.write_bytes(data + b"\n")
    draft.replace(path)
    return path


def differences(pinned: Mapping[str, Pinned], told: Mapping[str, Pinned]) -> list[str]:
    """What a server says otherwise than it was approved, a line each."""
    found = [f"{name}: gone" for name in sorted(pinned.keys() - told.keys())]
    found += [f"{name}: new" for name in sorted(told.keys() - pinned.keys())]
    for name in sorted(pinned.keys() & told.keys()):
        if digest_of(pinned[name]) != digest_of(told[name]):
            what = "description" if pinned[name].description != told[name].description else "schema"
            found.append(f"{name}: its {what} changed")
    return found
