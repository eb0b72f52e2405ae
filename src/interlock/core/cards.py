"""What may stand in `model` of a request, with what it is able to do.

Above: the faces list these, `app` makes them. Below: nothing.
"""

from __future__ import annotations

from msgspec import Struct


class ModelCard(Struct, frozen=True, omit_defaults=True):
    """An alias or a model as a list of models shows it."""

    id: str
    """As it stands in `model`."""
    owned_by: str = "interlock"
    """The provider; `interlock` for an alias."""
    tiers: dict[str, tuple[str, ...]] = {}
    """Of an alias: the models of each tier, smallest tier first."""
    context_window: int = 0
    """Tokens of input and output together; of an alias, what every model behind it takes. Zero where nobody knows."""
    max_output: int = 0
    """Output tokens of one answer, likewise."""
    simulated: bool = False
    embeds: bool = False
    """It makes embeddings; other models answer chats."""
