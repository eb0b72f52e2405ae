"""The matrix of permissions: every address that the router has, asked with a key of each role, refuses whom the table does not name and nobody else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest
from starlette.routing import Route

from interlock.core.roles import ROLES, Role

from .tenants_kit import Town, town
from .test_tenants import aimed, answer, body_of, filled, unknown

CALLERS: frozenset[Role] = frozenset(("machine", "developer", "admin"))
READERS: frozenset[Role] = frozenset(ROLES) - {"viewer"}
DECIDERS: frozenset[Role] = frozenset(("approver", "admin"))
AUDITORS: frozenset[Role] = frozenset(("auditor", "admin"))
ADMINS: frozenset[Role] = frozenset(("admin",))
EVERYBODY: frozenset[Role] = frozenset(ROLES)
NOBODY: frozenset[Role] = frozenset()
"""But the server's own key."""
WHO: dict[str, frozenset[Role]] = {
    "GET /healthz": EVERYBODY,
    "GET /metrics": NOBODY,
    "GET /api/limits": NOBODY,
    "GET /api/config": EVERYBODY,
    "GET /api/schedules": EVERYBODY,
    "GET /api/tasks": EVERYBODY,
    "GET /api/tasks/{task}": EVERYBODY,
    "GET /api/tasks/{task}/events": READERS,
    "GET /api/tasks/{task}/result": READERS,
    "GET /api/tasks/{task}/trace": READERS,
    "POST /api/tasks/{task}/close": DECIDERS,
    "POST /api/tasks/{task}/outcome": ADMINS,  # a person's word, by whoever may both call and decide
    "GET /api/approvals": DECIDERS,
    "GET /api/approvals/{task}": DECIDERS,
    "POST /api/approvals/{task}/{step:int}": DECIDERS,
    "GET /api/audit": AUDITORS,
    "GET /api/audit/head": AUDITORS,
    "POST /api/config/reload": ADMINS,
    "GET /api/keys": ADMINS,
    "POST /api/keys": ADMINS,
    "GET /api/keys/{key}": ADMINS,
    "DELETE /api/keys/{key}": ADMINS,
    "POST /api/keys/{key}/rotate": ADMINS,
    "GET /api/visits": ADMINS,
    "DELETE /api/visits": ADMINS,
    "DELETE /api/visits/{visit}": ADMINS,
}
"""Every other address asks models, runs tasks, or keeps what belongs to a caller: for `CALLERS`."""
REFUSED = (401, 403)


def addresses(place: Town) -> list[tuple[str, Route]]:
    """But pages, which are for sessions (test_dashboard_door, test_visits)."""
    apis = [route for route in place.routes if not route.path.startswith("/ui")]
    return [(method, route) for route in apis for method in sorted((route.methods or {"POST"}) - {"HEAD"})]


@pytest.mark.requirement("SG-09")
async def test_each_address_refuses_every_role_that_the_table_does_not_name(tmp_path: Path):
    async with town(tmp_path) as place:
        secrets = {role: (await place.key_of("acme", role))[1] for role in ROLES} | {"server": "il-server"}
        asked = set[str]()

        async def ask(client: httpx2.AsyncClient, role: str, method: str, route: Route) -> None:
            name = f"{method} {route.path}"
            asked.add(name)
            if name == "POST /api/config/reload" and role in ("admin", "server"):
                return  # a new version under the others' feet
            ids = {key: unknown(value) for key, value in aimed(route, place.things).items()}
            status, text, _ = await answer(client, method, filled(route.path, ids), json=body_of(route))
            may = role == "server" or role in WHO.get(name, CALLERS)
            assert (status not in REFUSED) == may, f"{name} as {role}: {status} {text[:200]}"
            assert status < 500, name

        for role, secret in secrets.items():
            async with place.client(secret) as client, asyncio.TaskGroup() as together:
                for method, route in addresses(place):
                    together.create_task(ask(client, role, method, route))
        assert set(WHO) <= asked, "the table names no address that is gone"
        assert len(asked) > 60
