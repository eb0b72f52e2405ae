"""How it is set up and how it stands: versions, settings without secrets, health; and who did what. Above: face, templates. Below: values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from msgspec import Struct, structs

from interlock.core.audit import Action, Deed, Entry
from interlock.core.errors import InvalidRequest
from interlock.core.time import NS_PER_S

ACTIONS: tuple[str, ...] = get_args(Action)
DAY_NS = 86_400 * NS_PER_S


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


class Wanted(Struct, frozen=True):
    """Which entries of the audit; empty fields do not filter."""

    who: str = ""
    """Part of the name."""
    action: str = ""
    target: str = ""
    """Its beginning, such as a task's id."""
    since: str = ""
    """A day, UTC, such as 2026-11-21."""
    until: str = ""
    """The last day."""

    def fits(self) -> Callable[[Deed], bool]:
        """Whether an entry is one of them. Raises InvalidRequest."""
        first, last = _day(self.since, "since"), _day(self.until, "until")
        if self.action and self.action not in ACTIONS:
            raise InvalidRequest(f"action is one of {', '.join(ACTIONS)}", param="action")

        def fits(deed: Deed) -> bool:
            named = self.who.casefold() in deed.who.casefold() and deed.target.startswith(self.target)
            timely = deed.at_ns >= first and (not last or deed.at_ns < last + DAY_NS)
            return named and timely and self.action in ("", deed.action)

        return fits


class AuditPage(Struct, frozen=True):
    """Some entries, the newest first."""

    entries: tuple[Entry, ...]
    before: int
    """Where to look on; zero: these were the last."""
    asked: Wanted = Wanted()
    next: dict[str, str] = {}
    """The query of the next page; empty on the last one."""
    actions: tuple[str, ...] = ACTIONS


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


def wanted_of(query: Mapping[str, str]) -> Wanted:
    """The filters in a query."""
    return Wanted(**{name: query.get(name, "").strip()[:200] for name in Wanted.__struct_fields__})


def audit_page(wanted: Wanted, entries: Sequence[Entry], left: int, limit: int) -> AuditPage:
    """The page of `limit` entries; `left`: before which place nobody has looked yet."""
    before = entries[limit - 1].seq if len(entries) > limit else left
    following = {name: value for name, value in structs.asdict(wanted).items() if value} | {"before": str(before)}
    return AuditPage(tuple(entries[:limit]), before, wanted, following if before else {})


def _day(text: str, name: str) -> int:
    """The beginning of a day in nanoseconds; zero for none."""
    if not text:
        return 0
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{name} is a day, such as 2026-11-21", param=name) from None
    return (day - dt.date(1970, 1, 1)).days * DAY_NS
