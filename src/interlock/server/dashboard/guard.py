"""Who asks: a browser with a session, or a program with a key. What changes something carries the session's token as well.

Above: face. Below: sessions, the server's keys.
"""

from __future__ import annotations

import asyncio
import hmac
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from interlock.app.auditing import Auditing
from interlock.core.audit import Action
from interlock.core.caller import Caller
from interlock.core.errors import InvalidRequest, NotAuthorised, NotPermitted, TooLarge
from interlock.core.roles import RIGHTS, Right, Role, holders
from interlock.core.tenancy import act_for
from interlock.server.asgi import authorization
from interlock.server.auth import Keys

from .refusals import Refusals
from .sessions import SESSION_S, Sessions

COOKIE = "interlock_ui"
MOST_BYTES = 1_000_000


class Visitor(Struct, frozen=True):
    """Whoever is let in."""

    caller: Caller
    csrf: str
    """Empty for a program, which no foreign page can make ask."""
    role: Role = "admin"
    vouched: bool = False
    """A provider says who it is: nobody types a name beside what they decide."""

    @property
    def who(self) -> str:
        """As it stands in the audit."""
        return self.caller.user or self.caller.key_id

    def may(self, right: Right) -> str:
        """Empty for whoever has it, else which roles do, for pages."""
        return "" if self.has(right) else holders(right)

    def has(self, right: Right) -> bool:
        return right in RIGHTS[self.role]

    def require(self, right: Right) -> None:
        """Raises NotPermitted."""
        if not self.has(right):
            raise NotPermitted(
                f"the role {self.role!r} has no right to {right!r}", hint=f"Roles that have it: {holders(right)}."
            )


class Guard:
    """The door of the dashboard; there is no way round it."""

    def __init__(self, sessions: Sessions, keys: Keys, auditing: Auditing, refusals: Refusals, tenant: str) -> None:
        """`tenant`: of the workspace, in whose audit attempts stand that were refused."""
        self._sessions, self._keys, self._auditing = sessions, keys, auditing
        self._refusals, self._tenant = refusals, tenant

    async def visitor(self, request: Request, right: Right = "figures") -> Visitor:
        """Who asks, for what `right` is needed for.

        Raises:
            NotAuthorised: no session and no key. NotPermitted: a role without it.
        """
        presented = authorization(request)
        if presented:
            access = self._keys.access(presented, "pages")
            visitor = Visitor(access.caller, "", access.role)
        else:
            visitor = await self._of_session(request)
            act_for(visitor.caller.tenant)
        visitor.require(right)
        return visitor

    async def note(self, visitor: Visitor, action: Action, target: str, detail: str = "") -> None:
        """An entry in the audit, before it is done. Raises StoreUnavailable: then it is not to be done."""
        await self._auditing.note(visitor.caller, visitor.role, action, target, detail)

    async def _of_session(self, request: Request) -> Visitor:
        secret = request.cookies.get(COOKIE, "")
        found = await asyncio.to_thread(self._sessions.find, secret) if secret else None
        if found is not None and found.key and not self._keys.still(found.key, found.role):
            await asyncio.to_thread(self._sessions.end, secret)  # revoked, run out, or another role since
            found = None
        if found is None:
            raise NotAuthorised(
                "the dashboard shows nothing without a session",
                hint="Open the one-time address that `interlock serve` printed, or sign in with the server's key.",
            )
        return Visitor(Caller(found.tenant, key_id=found.name), found.csrf, found.role, bool(found.subject))

    async def form(self, request: Request, visitor: Visitor) -> dict[str, str]:
        """The fields that a visitor sends.

        Raises:
            NotPermitted: they do not come from one of our own pages. TooLarge.
        """
        sent = await self.fields(request)
        if visitor.csrf and not hmac.compare_digest(sent.get("csrf", "").encode(), visitor.csrf.encode()):
            raise NotPermitted("this form is not one of this session's", hint="Load the page again and send it anew.")
        return sent

    async def fields(self, request: Request) -> dict[str, str]:
        """The fields of a form of our own origin. Raises NotPermitted, TooLarge, InvalidRequest."""
        origin = request.headers.get("origin", "")
        if origin and urlsplit(origin).netloc != request.headers.get("host", ""):
            raise NotPermitted("the form was sent by another site")
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise NotPermitted("the form was sent by another site")
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_BYTES:
                raise TooLarge(f"the form is larger than {MOST_BYTES} bytes")
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
        except ValueError as wrong:
            raise InvalidRequest(f"the form cannot be read: {wrong}", param="body") from wrong

    async def enter(self, token: str, address: str) -> str | None:
        """The secret of a session for a one-time token; `None` for a token that is spent, old or none. Raises TooManyAttempts."""
        self._refusals.check(address)
        secret = await asyncio.to_thread(self._sessions.exchange, token)
        found = await asyncio.to_thread(self._sessions.find, secret) if secret else None
        if found is None:
            await self.refused(address, "one-time address")
            return None
        caller = Caller(found.tenant, key_id=found.name)
        await self._auditing.note(caller, found.role, "session.opened", "dashboard", "one-time address")
        return secret

    async def sign_in(self, key: str, address: str) -> str:
        """The secret of a session for a key whose role opens pages. Raises NotAuthorised, NotPermitted, TooManyAttempts."""
        self._refusals.check(address)
        try:
            access = self._keys.access(b"Bearer " + key.strip().encode(), "pages")
        except (NotAuthorised, NotPermitted):
            await self.refused(address, "key")
            raise
        await self._auditing.note(access.caller, access.role, "session.opened", "dashboard", "key")
        who, key = access.caller.user or access.caller.key_id, "" if access.everywhere else access.caller.key_id
        return await asyncio.to_thread(self._sessions.begin, access.caller.tenant, who, access.role, key=key)

    def listens(self, address: str) -> None:
        """Raises TooManyAttempts for an address that was refused too often."""
        self._refusals.check(address)

    async def admit(self, who: str, role: Role, how: str, subject: str) -> str:
        """The secret of a session for a person whom a provider vouches for, and calls `subject`."""
        await self._auditing.note(Caller(self._tenant, user=who), role, "session.opened", "dashboard", how)
        return await asyncio.to_thread(self._sessions.begin, self._tenant, who, role, subject=subject)

    async def dismiss(self, subject: str, how: str) -> None:
        """Ends every session of a person of whom a provider says that they have left."""
        for each in await asyncio.to_thread(self._sessions.end_visits, tenant=self._tenant, subject=subject):
            await self._auditing.note(Caller(self._tenant, user=each.who), each.role, "session.ended", each.visit, how)

    async def refused(self, address: str, how: str) -> None:
        """The first of a minute stands in the audit; thousands would bury what else is there."""
        if self._refusals.add(address):
            nobody = Caller(self._tenant, key_id=f"address:{address}")
            await self._auditing.note(nobody, "", "session.refused", "dashboard", how)

    async def leave(self, request: Request, visitor: Visitor) -> None:
        """Ends the session."""
        await self.note(visitor, "session.closed", "dashboard")
        await asyncio.to_thread(self._sessions.end, request.cookies.get(COOKIE, ""))


def address_of(request: Request) -> str:
    """Of the connection; what a header says of it anybody can write."""
    return request.client.host if request.client else ""


def let_in(response: Response, secret: str, *, secure: bool) -> Response:
    """Hands the browser its session: no script reads it, and no other site's page can send it along."""
    response.set_cookie(COOKIE, secret, max_age=SESSION_S, path="/ui", httponly=True, samesite="strict", secure=secure)
    return response
