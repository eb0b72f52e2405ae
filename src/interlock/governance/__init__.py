"""What may be kept, and in which form; what may be done, by whose word (`policy`). Below: core, config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .flow_memory import Memory
    from .flow_session import SessionPolicy, policy

__all__ = ["Memory", "SessionPolicy", "policy"]


def __getattr__(name: str) -> Any:
    """The names above, loaded when they are asked for: what is redacted on the way of a call needs none of them."""
    if name not in __all__:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{'flow_memory' if name == 'Memory' else 'flow_session'}"), name)
