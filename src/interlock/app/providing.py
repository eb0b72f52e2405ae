"""The provider plug-ins that a workspace names, built. Above: compose. Below: config, `core.plugins`."""

from __future__ import annotations

from collections.abc import Iterable

from interlock.config.schema import Settings
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


def usable(settings: Settings) -> set[str]:
    """Dialects of providers that have the key they need: no call reaches the others, so their plug-ins stay unloaded."""
    return {each.dialect for each in settings.providers.values() if each.api_key or not each.needs_key}


def unchanged(now: Workspace, before: Workspace) -> frozenset[str]:
    """Providers of which the files say what they said before."""
    ours, theirs = now.settings, before.settings
    if ours.resilience != theirs.resilience:
        return frozenset()
    return frozenset(name for name, said in ours.providers.items() if theirs.providers.get(name) == said)
