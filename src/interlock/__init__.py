"""Interlock: the production layer between AI agents and their models and tools.

The names below are all that a program needs. Each is loaded when it is first used, so that `import interlock` costs a few milliseconds.
Above: programs that use the package. Below: every room, through `interlock.app`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interlock.app import Interlock
    from interlock.core.errors import (
        ConfigError,
        InterlockError,
        LimitReached,
        RequestRefused,
        Shed,
        ToolError,
        UpstreamError,
    )
    from interlock.tools.define import ToolContext, tool
    from interlock.tools.door import Door

__version__ = "0.1.0"

# Public name -> module that defines it. Type checkers read the imports above, programs this table; a test holds the two together.
_HOMES = {
    "ConfigError": "interlock.core.errors",
    "Door": "interlock.tools.door",
    "Interlock": "interlock.app",
    "InterlockError": "interlock.core.errors",
    "LimitReached": "interlock.core.errors",
    "RequestRefused": "interlock.core.errors",
    "Shed": "interlock.core.errors",
    "ToolContext": "interlock.tools.define",
    "ToolError": "interlock.core.errors",
    "UpstreamError": "interlock.core.errors",
    "tool": "interlock.tools.define",
}

__all__ = [
    "ConfigError",
    "Door",
    "Interlock",
    "InterlockError",
    "LimitReached",
    "RequestRefused",
    "Shed",
    "ToolContext",
    "ToolError",
    "UpstreamError",
    "__version__",
    "tool",
]


if not TYPE_CHECKING:  # a type checker shall call an unknown name an error, not an object

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'interlock' has no attribute {name!r}; it offers {', '.join(__all__)}")
        return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
