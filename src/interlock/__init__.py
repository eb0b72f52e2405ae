"""Interlock: the production layer between AI agents and their models and tools.

The names below are all that a program needs. Each is loaded when it is first used, so that `import interlock` costs a few milliseconds.
Above: programs that use the package. Below: every room, through `interlock.app`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interlock.core.errors import InterlockError as InterlockError

__version__ = "0.1.0"

# Public name -> module that defines it.
_HOMES = {
    "InterlockError": "interlock.core.errors",
}

__all__ = ["InterlockError", "__version__"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'interlock' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
