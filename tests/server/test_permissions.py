"""The matrix of permissions: every address that the router has, asked with a key of each role, refuses whom the table does not name and nobody else."""

from __future__ import annotations

import asyncio
import re

import httpx2
import pytest
import pytest_asyncio
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
VISITORS: frozenset[Role] = frozenset(ROLES) - {"machine"}
PAGES: dict[str, frozenset[Role]] = {
    "GET /ui/audit": AUDITORS,
    "GET /ui/approvals": READERS - {"machine"},
    "GET /ui/tasks/{task}": READERS - {"machine"},
    "GET /ui/tasks/{task}/why": READERS - {"machine"},
    "GET /ui/tasks/{task}/compare": READERS - {"machine"},
    "GET /ui/tasks/{task}/again": CALLERS - {"machine"},
    "POST /ui/tasks/{task}/again": CALLERS - {"machine"},
    "POST /ui/tasks/{task}/cancel": CALLERS - {"machine"},
    "POST /ui/approvals/{task}/{step:int}": DECIDERS,
}
"""Every other page is figures, for every role but a machine's."""
DOORS = {"/ui/login", "/ui/logout", "/ui/enter", "/ui/oidc", "/ui.json", "/ui/static/{name}"}
REFUSED = (401, 403)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory):
    async with town(tmp_path_factory.mktemp("town")) as made:
        yield made


def addresses(place: Town) -> list[tuple[str, Route]]:
    """But pages, which are for sessions (test_dashboard_door, test_visits)."""
    apis = [route for route in place.routes if not route.path.startswith("/ui")]
    return [(method, route) for route in apis for method in sorted((route.methods or {"POST"}) - {"HEAD"})]


@pytest.mark.requirement("SG-09")
async def test_each_address_refuses_every_role_that_the_table_does_not_name(place: Town):
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


@pytest.mark.requirement("SG-09")
async def test_each_page_and_form_refuses_every_role_that_the_table_does_not_name(place: Town):
    pages = [each for each in place.routes if each.path.startswith("/ui") and each.path not in DOORS]
    asked = set[str]()

    async def visit(browser: httpx2.AsyncClient, role: Role, token: str, method: str, route: Route) -> None:
        name = f"{method} {route.path.removesuffix('.json').removesuffix('.csv')}"
        asked.add(name)
        ids = {key: unknown(value) for key, value in aimed(route, place.things).items()}
        form = {"data": {"csrf": token, "decision": "deny"}} if method == "POST" else {}
        status, text, _ = await answer(browser, method, filled(route.path, ids), **form)
        may = role in PAGES.get(name, VISITORS)
        assert (status not in (*REFUSED, 303) or (method == "POST" and status == 303)) == may, (
            f"{name} as {role}: {status} {text[:200]}"
        )
        assert status < 500, name

    for role in ROLES:
        async with httpx2.AsyncClient(base_url=place.url, timeout=20) as browser, asyncio.TaskGroup() as together:
            await browser.post("/ui/login", data={"key": (await place.key_of("acme", role))[1]})
            found = re.search(r'name="csrf" value="([^"]+)"', (await browser.get("/ui")).text)
            assert (found is not None) == (role != "machine")
            for route in pages:
                for method in sorted((route.methods or {"GET"}) - {"HEAD"}):
                    token = found[1] if found else ""
                    together.create_task(visit(browser, role, token, method, route))
    assert set(PAGES) <= asked, "the table names no page that is gone"
