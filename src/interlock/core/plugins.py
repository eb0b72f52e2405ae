"""Finding a plug-in by the name that stands in the YAML: the name is the file's name.

First-party plug-ins are found the same way as third-party ones, which register an entry point in the group
`interlock.<kind>`.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from types import ModuleType
from typing import Literal

Kind = Literal["providers", "verifiers", "moderators", "detectors", "kms"]
"""What can be plugged in."""


def find(kind: Kind, name: str) -> ModuleType | None:
    """The plug-in's module, or `None` when nobody offers that name."""
    package = f"interlock.plugins.{kind}"
    if name.isidentifier() and not name.startswith("_"):
        try:
            return importlib.import_module(f"{package}.{name}")
        except ModuleNotFoundError as missing:
            if missing.name not in (f"{package}.{name}", package):
                raise
    for entry in entry_points(group=f"interlock.{kind}"):
        if entry.name == name:
            return entry.load()
    return None


def names(kind: Kind) -> list[str]:
    """Every name that `find` would find, sorted."""
    return sorted({*own(kind), *(entry.name for entry in entry_points(group=f"interlock.{kind}"))})


def own(kind: Kind) -> set[str]:
    """Those that come with Interlock: told without asking every installed package for its entry points."""
    try:
        package = importlib.import_module(f"interlock.plugins.{kind}")
    except ModuleNotFoundError:
        return set()
    return {module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")}
