"""On-device parts as the ports have them: one engine per contract.

Above: compose. Below: ondevice, config. numpy and onnxruntime are loaded when an engine is first asked, not before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.config.workspace import Agent, Workspace
from interlock.core.errors import ConfigError, Fault

if TYPE_CHECKING:
    from interlock.ondevice.embed import MiniLM
    from interlock.ondevice.engine import Engine

OUT_OF_SCOPE = "out_of_scope"
FOLDER = "tier0"
"""Beside the store: what was fitted, so that the next start reads it."""


class Model:
    """The embedding model, loaded once and shared."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: MiniLM | None = None

    def __call__(self) -> MiniLM:
        """Raises ConfigError, with the command that installs it, where the model is not on this machine."""
        with self._lock:
            if self._loaded is None:
                from interlock.ondevice.embed import MiniLM, ModelAbsent

                try:
                    self._loaded = MiniLM.load()
                except ModelAbsent as absent:
                    raise ConfigError([Fault("", 0, 0, "on-device tier", str(absent))]) from absent
            return self._loaded


def embedding(model: Model) -> Callable[[Sequence[str]], Sequence[bytes]]:
    """`PluginEnv.embed_texts` with the model of this machine, which is loaded by the first text."""

    def embed(texts: Sequence[str]) -> Sequence[bytes]:
        return [row.astype("<f4").tobytes() for row in model().embed(texts)]

    return embed


def engines(workspace: Workspace, model: Model) -> dict[str, Engine]:
    """The engine of each contract that has a tier 0; nothing is fitted yet."""
    agents = {name: agent for name, agent in workspace.agents.items() if agent.contract.tier0 and agent.intents}
    return {name: _engine(agent, workspace.store.parent / FOLDER, model) for name, agent in agents.items()}


def _engine(agent: Agent, folder: Path, model: Model) -> Engine:
    from interlock.ondevice.engine import Engine, Recipe
    from interlock.ondevice.passages import Article

    tier0 = agent.contract.tier0
    assert tier0 is not None, "engines() chose it"
    recipe = Recipe(
        examples={name: texts for name, texts in agent.intents.items() if name != OUT_OF_SCOPE},
        out_of_scope=agent.intents.get(OUT_OF_SCOPE, ()),
        promise=tier0.promise,
        articles=[Article(each.id, each.title, each.text) for each in agent.articles],
        about=_about(agent),
    )
    return Engine(recipe, model, folder)


def _about(agent: Agent) -> dict[str, list[str]]:
    """Articles by the intents that their front matter names."""
    found: dict[str, list[str]] = {}
    for article in agent.articles:
        for intent in article.intents:
            found.setdefault(intent, []).append(article.id)
    return found
