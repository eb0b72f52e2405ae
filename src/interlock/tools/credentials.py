"""The credentials that tools are lent: named in the contract, fetched outside, short-lived where the issuer allows it, rotated without a restart.

Above: `call`, `app`. Below: core. A model never sees one: what a tool returns or raises is searched for the credentials it was lent, and they are
taken out before the result goes anywhere. Source of the token request: RFC 6749 section 4.4 (client credentials).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

from msgspec import Struct

from interlock.core.caller import Secret
from interlock.core.errors import ToolError
from interlock.core.time import Clock

EARLY_S = 60.0
"""A token is fetched anew this long before it runs out, or at half of its life where that is shorter."""
SHORTEST = 8
"""Credentials shorter than this are not searched for in results: they would be found everywhere."""


class Lent(Struct, frozen=True):
    """One credential as it is now."""

    secret: Secret
    life_s: float = float("inf")
    """How long it is good for, from now."""


Issue = Callable[[], Awaitable[Lent]]
"""Fetches a credential. Raises ToolError: it cannot be had now."""


class Broker:
    """Lends credentials; each is fetched once and kept for as long as it is good."""

    def __init__(self, issuers: Mapping[str, Issue], clock: Clock) -> None:
        self._issuers = issuers
        self._clock = clock
        self._held: dict[str, tuple[Secret, float]] = {}
        self._fetching: dict[str, asyncio.Lock] = {}

    async def lend(self, names: Iterable[str]) -> dict[str, Secret]:
        """The credentials of these names.

        Raises:
            ToolError: `credential_unavailable`: one is not declared, or its issuer does not answer.
        """
        return {name: await self._one(name) for name in names}

    async def _one(self, name: str) -> Secret:
        issue = self._issuers.get(name)
        if issue is None:
            raise ToolError("credential_unavailable", f"the workspace declares no credential {name!r}")
        async with self._fetching.setdefault(name, asyncio.Lock()):
            held = self._held.get(name)
            if held is not None and self._clock.monotonic_s() < held[1]:
                return held[0]
            lent = await issue()
            good_s = max(0.0, lent.life_s - min(EARLY_S, lent.life_s / 2))
            self._held[name] = (lent.secret, self._clock.monotonic_s() + good_s)
            return lent.secret


def hidden(value: Any, lent: Mapping[str, Secret]) -> Any:
    """`value` (plain JSON values) with every lent credential taken out, in keys too; itself where there is none in it."""
    known = {secret.reveal(): name for name, secret in lent.items() if len(secret.reveal()) >= SHORTEST}
    return _without(value, known) if known else value


def _without(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for secret, name in known.items():
            if secret in value:
                value = value.replace(secret, f"[credential {name}]")
        return value
    if isinstance(value, list):
        return [_without(each, known) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {_without(key, known): _without(each, known) for key, each in pairs}
    return value
