"""Authorisation of everything that is not a model call: the key's role is checked, and the action is written to the audit log before it is done.

Above: the cold faces. Below: auth, asgi, `app.auditing`.
"""

from __future__ import annotations

from starlette.requests import Request

from interlock.app.auditing import Auditing
from interlock.core.audit import Action
from interlock.core.caller import Caller
from interlock.core.roles import Right

from .asgi import authorization
from .auth import Access, Keys


class Admission:
    """Lets in, or refuses."""

    def __init__(self, keys: Keys, auditing: Auditing) -> None:
        self._keys, self.auditing = keys, auditing

    async def access(
        self, request: Request, right: Right, action: Action | None = None, target: str = "", detail: str = ""
    ) -> Access:
        """Who asks; with an `action`, it stands in the audit when this returns.

        Raises:
            NotAuthorised, NotPermitted: it is refused. StoreUnavailable: it cannot be written down, so it is not to be done.
        """
        access = self._keys.access(authorization(request), right)
        if action is not None:
            await self.auditing.note(access.caller, access.role, action, target, detail)
        return access

    async def caller(
        self, request: Request, right: Right, action: Action | None = None, target: str = "", detail: str = ""
    ) -> Caller:
        """The caller alone."""
        return (await self.access(request, right, action, target, detail)).caller
