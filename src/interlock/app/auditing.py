"""Writes into the audit what somebody is about to do, before it is done.

Above: server, cli. Below: the store's chain (`core.audit`). What cannot be written is not done: the caller gets StoreUnavailable.
"""

from __future__ import annotations

import asyncio
import getpass
from collections import OrderedDict

from interlock.core.audit import Action, AuditStore, Deed
from interlock.core.caller import Caller
from interlock.core.time import NS_PER_S, Clock

AGAIN_S = 3600
"""Who reads the same content again within this time adds no entry: a program that polls its own task would fill the audit."""
REMEMBERED = 4096


def login() -> str:
    """The name of whoever runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


class Auditing:
    """One process's pen."""

    def __init__(self, store: AuditStore, clock: Clock) -> None:
        self.store = store
        self._clock = clock
        self._read: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    async def note(self, caller: Caller, role: str, action: Action, target: str = "", detail: str = "") -> None:
        """Writes an entry, off the event loop. Raises StoreUnavailable: then do not do it."""
        deed = self._deed(caller, role, action, target, detail)
        if action == "content.read" and self._lately(deed):
            return
        await asyncio.to_thread(self.store.append, [deed])
        if action == "content.read":
            self._remember(deed)

    def noted(self, caller: Caller, role: str, action: Action, target: str = "", detail: str = "") -> None:
        """The same, in place."""
        self.store.append([self._deed(caller, role, action, target, detail)])

    def _deed(self, caller: Caller, role: str, action: Action, target: str, detail: str) -> Deed:
        who = caller.user or caller.key_id
        return Deed(self._clock.wall_ns(), caller.tenant, who, role, action, target, detail)

    def _lately(self, deed: Deed) -> bool:
        read_ns = self._read.get((deed.tenant, deed.who, deed.target))
        return read_ns is not None and deed.at_ns - read_ns < AGAIN_S * NS_PER_S

    def _remember(self, deed: Deed) -> None:
        self._read[deed.tenant, deed.who, deed.target] = deed.at_ns
        self._read.move_to_end((deed.tenant, deed.who, deed.target))
        if len(self._read) > REMEMBERED:
            self._read.popitem(last=False)
