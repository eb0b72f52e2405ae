"""What the files say of verifiers and learned routes, checked: names, settings, and the route's own file.

Above: load, app. Below: files, tree, `core.routes`. A route file is made by `interlock route train`; its content takes part in the version `route`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from interlock.core import plugins
from interlock.core.errors import Fault
from interlock.core.routes import FORMAT, LearnedRoute

from .checks import Draft
from .faults import dotted, place
from .files import Files
from .names import nearest
from .schema import Settings
from .tree import Mark, Node, fault_at

AT_LEAST = "at_least"
"""A key that every verifier takes beside its own settings."""
MAX_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class RouteFile:
    """A learned route as it stands in a file."""

    route: LearnedRoute
    version: str
    """12 hex digits of its content."""


class RouteInvalid(ValueError):
    """The bytes are no learned route; the message says what is wrong."""


def route_of(data: bytes) -> RouteFile:
    """Raises RouteInvalid: these bytes are no route, or one of another format."""
    if len(data) > MAX_BYTES:
        raise RouteInvalid(f"larger than {MAX_BYTES:,} bytes")
    try:
        route = msgspec.json.decode(data, type=LearnedRoute)
    except msgspec.DecodeError as error:
        raise RouteInvalid(f"no learned route: {error}") from error
    if route.format != FORMAT:
        raise RouteInvalid(f"a route of format {route.format}; this version reads format {FORMAT}, so train it again")
    return RouteFile(route, version_of(route))


def version_of(route: LearnedRoute) -> str:
    """12 hex digits of the content."""
    return hashlib.blake2b(msgspec.json.encode(route), digest_size=6).hexdigest()


def read_route(files: Files, name: str, mark: Mark, key: str) -> RouteFile | None:
    """The route at path `name` of the workspace; `None` where none is named, or where it is at fault and that was noted."""
    if not name:
        return None
    path: Path | None = files.inside(name, mark, key)
    if path is None:
        return None
    try:
        return route_of(path.read_bytes())
    except OSError as error:
        message, hint = f"cannot be read: {error.strerror}", "Make it with `interlock route train --out`."
    except RouteInvalid as error:
        message, hint = str(error), "Make it with `interlock route train --out`."
    files.findings.faults.append(fault_at(mark, key, f"{name}: {message}", hint))
    return None


def wrong_verifiers(settings: Settings, node: Node, drafts: Collection[Draft]) -> list[Fault]:
    """Verifiers that are not there, and settings that they do not take."""
    found = _wrong(settings.routing.verifiers, node, ("routing", "verifiers"), "")
    for draft in drafts:
        found += _wrong(draft.contract.verifiers or {}, draft.node, ("verifiers",), "agent")
    return found


def check_facts(settings: Settings, drafts: Collection[Draft]) -> set[str]:
    """Names under which conditions find the scores of checks: `check_arithmetic`."""
    named = {*settings.routing.verifiers, *(name for draft in drafts for name in draft.contract.verifiers or {})}
    return {f"check_{name}" for name in named}


def _wrong(named: Mapping[str, Mapping[str, Any]], node: Node, where: tuple[str, ...], prefix: str) -> list[Fault]:
    found: list[Fault] = []
    for name, options in named.items():
        loc = (*where, name)
        module = plugins.find("verifiers", name)
        if module is None:
            hint = nearest(name, plugins.names("verifiers"))
            found.append(fault_at(place(node, loc), dotted(prefix, loc), f"no verifier {name!r}", hint))
            continue
        own = {key: value for key, value in options.items() if key != AT_LEAST}
        try:
            module.build(msgspec.convert(own, module.Settings))
            share = msgspec.convert(options.get(AT_LEAST, 0.5), float, strict=False)
            if not 0 <= share <= 1:
                raise ValueError(f"{AT_LEAST}: expected a share between 0 and 1")
        except ValueError as error:  # msgspec's ValidationError is one, and so is what a verifier says of its settings
            takes = ", ".join([*module.Settings.__struct_fields__, AT_LEAST])
            message = str(error).partition(" - at `$.")[0]
            found.append(fault_at(place(node, loc), dotted(prefix, loc), message, f"It takes {takes}."))
    return found
