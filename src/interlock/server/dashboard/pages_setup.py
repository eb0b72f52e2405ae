"""How it is set up and how it stands: versions, settings without secrets, health; and who did what. Above: face, templates. Below: values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from interlock.core.audit import Entry


class Setting(Struct, frozen=True):
    """One section."""

    name: str
    value: Any


class Versioned(Struct, frozen=True):
    """What decides one workflow's tasks."""

    workflow: str
    model: str
    contract: str
    prompt: str
    policy: str
    route: str


class ConfigPage(Struct, frozen=True):
    """The page."""

    health: dict[str, Any]
    warnings: tuple[str, ...]
    versions: tuple[Versioned, ...]
    settings: tuple[Setting, ...]
    contracts: tuple[Setting, ...]


class AuditPage(Struct, frozen=True):
    """Some entries, the newest first."""

    entries: tuple[Entry, ...]
    before: int
    """Where the next page begins; zero: these were the last."""


def config_page(
    health: Mapping[str, Any],
    warnings: Sequence[str],
    versions: Sequence[Versioned],
    settings: Mapping[str, Any],
    contracts: Mapping[str, Any],
) -> ConfigPage:
    """The page."""
    single = {name: value for name, value in settings.items() if not isinstance(value, dict | list)}
    said = [Setting("in general", single)] if single else []
    said += [Setting(name, value) for name, value in settings.items() if name not in single and value not in ([], {})]
    each = tuple(Setting(name, value) for name, value in contracts.items())
    return ConfigPage(dict(health), tuple(warnings), tuple(versions), tuple(said), each)


def audit_page(entries: Sequence[Entry], limit: int) -> AuditPage:
    """The page."""
    more = entries[limit - 1].seq if len(entries) > limit else 0
    return AuditPage(tuple(entries[:limit]), more)
