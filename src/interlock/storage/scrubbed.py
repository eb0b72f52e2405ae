"""What is left of content under a retention policy. Above: the stores. Below: rows. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from interlock.core.store import StorePrompts

from .rows import encode


def scrubbed(text: str, policy: StorePrompts, redact: Callable[[str], str]) -> str | None:
    """Content (JSON) as `policy` lets it stand: nothing of it, or every text in it passed through `redact`."""
    return None if policy == "none" else encode(redacted(msgspec.json.decode(text), redact))


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """`value` with every text in it, at any depth, passed through `redact`; keys stay."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [redacted(each, redact) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {key: redacted(each, redact) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value
