"""Managing virtual keys over HTTP: GET and POST /api/keys, GET and DELETE /api/keys/{key}, POST /api/keys/{key}/rotate.

Above: serve. Below: asgi, auth, app. Only the server's own key and those of admins may come in; an admin sees and makes keys of the own tenant.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.app.limiting import Limiting
from interlock.config.limits import limits_of
from interlock.core.audit import Action
from interlock.core.errors import InvalidRequest, NotPermitted, TooLarge
from interlock.core.keys import KeyRecord
from interlock.core.roles import Role
from interlock.core.time import NS_PER_S, Clock
from interlock.core.unreadable import UNREADABLE

from .admit import Admission
from .auth import Access

T = TypeVar("T")
MOST_BYTES = 65_536
LONGEST_OVERLAP_S = 30 * 86_400
LONGEST_LIFE_S = 100 * 365 * 86_400


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be asked for a new key."""

    tenant: str = ""
    """Default: that of the key which asks for it."""
    name: str = ""
    user: str = ""
    models: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    limits: tuple[dict[str, Any], ...] = ()
    """As in `limits:` of interlock.yaml; `per` is the key."""
    expires_in_s: float = 0.0
    admin: bool = False
    """The role of that name."""
    role: Role = "machine"


class Rotation(Struct, frozen=True, forbid_unknown_fields=True):
    overlap_s: float = 0.0
    """How long the old secret goes on."""


class KeysFace:
    """The routes."""

    def __init__(self, admission: Admission, limiting: Limiting, clock: Clock) -> None:
        self._admission = admission
        self._desk = limiting.keys
        self._limiting = limiting
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/keys", self._list, methods=["GET"]),
            Route("/api/keys", self._create, methods=["POST"]),
            Route("/api/keys/{key}", self._one, methods=["GET"]),
            Route("/api/keys/{key}", self._revoke, methods=["DELETE"]),
            Route("/api/keys/{key}/rotate", self._rotate, methods=["POST"]),
            Route("/api/limits", self._standings, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        access = await self._admission.access(request, "manage")
        records = [each for each in await asyncio.to_thread(self._desk.list) if _within(access, each.tenant)]
        return _json({"keys": [shown(each, self._clock.wall_ns()) for each in records]})

    async def _one(self, request: Request) -> Response:
        return _json(shown(await self._found(request), self._clock.wall_ns()))

    async def _create(self, request: Request) -> Response:
        access = await self._admission.access(request, "manage")
        record = self._record(await _body(request, Wanted), access.caller.tenant)
        if not _within(access, record.tenant):
            raise NotPermitted(f"an admin of the tenant {access.caller.tenant!r} makes keys of that tenant alone")
        named = f"{record.holds} of {record.tenant}"
        await self._admission.auditing.note(access.caller, access.role, "key.created", record.name, named)
        record, secret = await asyncio.to_thread(self._desk.create, record)
        await self._limiting.refresh()
        return _json({**shown(record, self._clock.wall_ns()), "secret": secret.reveal()}, 201)

    async def _rotate(self, request: Request) -> Response:
        found = await self._found(request, "key.rotated")
        wanted = await _body(request, Rotation)
        if not 0 <= wanted.overlap_s <= LONGEST_OVERLAP_S:
            raise InvalidRequest(f"overlap_s is 0 to {LONGEST_OVERLAP_S}", param="overlap_s")
        record, secret = await asyncio.to_thread(self._desk.rotate, found.id, wanted.overlap_s)
        await self._limiting.refresh()
        return _json({**shown(record, self._clock.wall_ns()), "secret": secret.reveal()})

    async def _revoke(self, request: Request) -> Response:
        record = await asyncio.to_thread(self._desk.revoke, (await self._found(request, "key.revoked")).id)
        await self._limiting.refresh()
        return _json(shown(record, self._clock.wall_ns()))

    async def _standings(self, request: Request) -> Response:
        """How every count of this process stands; counts of all tenants stand in one list, so it is for the server's own key."""
        if not (await self._admission.access(request, "manage")).everywhere:
            raise NotPermitted("the counts of all tenants are for the server's own key")
        names = ("limit", "of", "amount", "used_or_reserved", "maximum")
        rows = [dict(zip(names, row, strict=True)) for row in self._limiting.quotas.standings()]
        return _json({"limits": rows})

    async def _found(self, request: Request, action: Action | None = None) -> KeyRecord:
        """The key that the address names; one of another tenant is none. With an `action`, it stands in the audit."""
        access = await self._admission.access(request, "manage")
        tenant = "" if access.everywhere else access.caller.tenant
        found = await asyncio.to_thread(self._desk.find, request.path_params["key"], tenant)
        if action is not None:
            named = f"{found.holds} of {found.tenant}"
            await self._admission.auditing.note(access.caller, access.role, action, found.id, named)
        return found

    def _record(self, wanted: Wanted, tenant: str) -> KeyRecord:
        now_ns = self._clock.wall_ns()
        if not 0 <= wanted.expires_in_s <= LONGEST_LIFE_S:
            raise InvalidRequest(f"expires_in_s is 0 (never) to {LONGEST_LIFE_S}", param="expires_in_s")
        return KeyRecord(
            id="",
            name=wanted.name,
            tenant=wanted.tenant or tenant,
            hash="",
            shown="",
            created_ns=now_ns,
            user=wanted.user,
            models=wanted.models,
            workflows=wanted.workflows,
            limits=limits_of(wanted.limits),
            expires_ns=now_ns + round(wanted.expires_in_s * NS_PER_S) if wanted.expires_in_s else 0,
            admin=wanted.admin,
            role=wanted.role,
        )


def shown(record: KeyRecord, now_ns: int) -> dict[str, Any]:
    """A key for people and programs: everything but what could open a door."""
    limits = [
        {
            name: value
            for name, value in structs.asdict(each).items()
            if value not in (None, (), {}, False) and name != "per"
        }
        for each in record.limits
    ]
    return {
        "id": record.id,
        "name": record.name,
        "tenant": record.tenant,
        "user": record.user,
        "shown": f"{record.shown}…",
        "state": record.state(now_ns),
        "models": record.models,
        "workflows": record.workflows,
        "limits": limits,
        "admin": record.admin,
        "role": record.holds,
        "created": record.created_ns // NS_PER_S,
        "expires": record.expires_ns // NS_PER_S or None,
        "revoked": record.revoked_ns // NS_PER_S or None,
        "old_secret_until": record.before_until_ns // NS_PER_S if record.before_until_ns > now_ns else None,
    }


def _within(access: Access, tenant: str) -> bool:
    return access.everywhere or tenant == access.caller.tenant


async def _body(request: Request, kind: type[T]) -> T:
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > MOST_BYTES:
            raise TooLarge(f"the request's body is larger than {MOST_BYTES} bytes")
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except UNREADABLE as fault:
        raise InvalidRequest(f"the body is not what it should be: {fault}") from None


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
