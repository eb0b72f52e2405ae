"""What `store_prompts` leaves of content: nothing, or every text redacted. Above: the stores. Below: bodies. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from interlock.core.store import StorePrompts

from .bodies import mapped
from .rows import encode


def scrubbed(content: bytes, policy: StorePrompts, redact: Callable[[str], str]) -> bytes | None:
    """Content (JSON) as `policy` lets it stand: nothing of it, or every text in it passed through `redact`."""
    return None if policy == "none" else encode(redacted(msgspec.json.decode(content), redact)).encode()


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """`value` with every text in it, at any depth, passed through `redact`; keys stay."""
    return mapped(value, redact)
