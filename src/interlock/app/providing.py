"""The provider plug-ins that a workspace names, built. Above: compose. Below: config, `core.plugins`."""

from __future__ import annotations

from collections.abc import Iterable

from interlock.config.workspace import Workspace
from interlock.core import plugins
from interlock.core.ports import PluginEnv, Provider


def providers_of(dialects: Iterable[str], env: PluginEnv) -> dict[str, Provider]:
    """By dialect; `config.load` has checked that each exists."""
    built: dict[str, Provider] = {}
    for dialect in set(dialects):
        module = plugins.find("providers", dialect)
        assert module is not None, f"config.load checked that the provider plug-in {dialect!r} exists"
        built[dialect] = module.build(env)
    return built


def unchanged(now: Workspace, before: Workspace) -> frozenset[str]:
    """Providers of which the files say what they said before."""
    ours, theirs = now.settings, before.settings
    if ours.resilience != theirs.resilience:
        return frozenset()
    return frozenset(name for name, said in ours.providers.items() if theirs.providers.get(name) == said)
