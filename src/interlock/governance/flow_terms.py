"""What a tool's contract says of its values, for the information-flow policy. Above: flow. Below: msgspec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct


class Argument(Struct, frozen=True):
    """One argument."""

    role: Literal["authority", "text", "plain"] = "authority"
    """`authority`: decides what happens to whom, so it has to be known · `text`: is read by somebody · `plain`: decides nothing that matters."""
    kind: str = "name"
    """`email`, `account`, `url`, `amount`, `date`, `file`, `name` or `name:…`, `id:…`: what it has to be known *as*."""


class Field(Struct, frozen=True):
    """A field of a tool's output that the tool's owner vouches for."""

    path: str
    """Keys joined by dots; `*` for every element or key."""
    kind: str
    label: str = ""
    """For `id:…`: the sibling field by which people name the object."""
    rank: str = ""
    """For `id:…`: the sibling field by which an object may be singled out (`the largest`)."""


class ToolTerms(Struct, frozen=True):
    """One tool."""

    effect: Literal["read", "write"]
    wants: tuple[str, ...] = ()
    """Beginnings of words by which a request asks for it; empty: whoever may use the contract may use it."""
    arguments: Mapping[str, Argument] = {}
    vouches: str = ""
    """A kind: where the request names what is read (all arguments stand in it), the one value of that kind in the output is trusted."""
    returns: tuple[Field, ...] = ()
    """What of its output is trusted; all the rest is somebody else's words."""


class Terms(Struct, frozen=True):
    """The contracts of all tools of an agent."""

    tools: Mapping[str, ToolTerms]
