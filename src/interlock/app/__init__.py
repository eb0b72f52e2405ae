"""The composition root: where concrete classes meet. Above: server, cli, programs. Below: every room.

The names are loaded when they are used: whoever only looks (`reading`) need not load what runs (`compose`).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .compose import Interlock
    from .reading import Reading, open_reading

__all__ = ["Interlock", "Reading", "open_reading"]

_HOMES = {"Interlock": "compose", "Reading": "reading", "open_reading": "reading"}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
