"""What decoding JSON from outside raises. Above: everything that reads what clients, vendors, models and tools write. Below: msgspec."""

from __future__ import annotations

from msgspec import MsgspecError

UNREADABLE = (MsgspecError, UnicodeDecodeError, RecursionError)
"""It is no JSON, or of another form; no UTF-8; or nested deeper than anybody reads."""
