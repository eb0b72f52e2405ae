"""Sessions of the dashboard: listed, ended by people, by their key, by the provider."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from msgspec import structs

from interlock.cli.main import main
from interlock.core.ids import SystemIds
from interlock.core.keys import KeyBook, KeyRecord, made
from interlock.core.time import SystemClock
from interlock.server.admit import Admission
from interlock.server.asgi import ColdApp
from interlock.server.auth import Keys
from interlock.server.dashboard import FOLDER
from interlock.server.dashboard.oidc import LOGOUT
from interlock.server.dashboard.refusals import MOST
from interlock.server.dashboard.sessions import Sessions
from interlock.server.visits import VisitsFace

from .dashboard_kit import HOST, KEY, TENANT, dashboard, workspace
from .oidc_provider import CLIENT, OpenIdProvider
from .test_oidc import Opened, opened, signed_in

__all__ = ["opened"]


def key_of(tenant: str, role: Any, **fields: Any) -> tuple[KeyRecord, str]:
    """A virtual key and its secret."""
    record = KeyRecord(f"key_{tenant}_{role}", role, tenant, "", "", SystemClock().wall_ns(), role=role, **fields)
    record, secret = made(record, secrets.token_urlsafe)
    return record, secret.reveal()


@pytest.mark.requirement("SG-09")
async def test_a_session_ends_with_the_key_it_came_in_with_and_with_its_role(tmp_path: Path):
    record, secret = key_of(TENANT, "approver")
    book = KeyBook([record])
    async with dashboard(workspace(tmp_path), book=book) as (_, _, browser):

        async def inside() -> int:
            return (await browser.get("/ui")).status_code

        for gone in (
            [],
            [structs.replace(record, revoked_ns=1)],
            [structs.replace(record, expires_ns=1)],
            [structs.replace(record, role="viewer")],
        ):
            book.replace([record])
            await browser.post("/ui/login", data={"key": secret})
            assert await inside() == 200
            book.replace(gone)
            assert await inside() == 303, "it leads to the door"
            book.replace([record])
            assert await inside() == 303, "and stays ended"


@pytest.mark.requirement("SG-09")
async def test_an_admin_lists_and_ends_the_sessions_of_the_own_tenant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    root = workspace(tmp_path)
    admin, secret = key_of(TENANT, "admin")
    rival, other = key_of("rival", "admin")
    viewer, weak = key_of(TENANT, "viewer")
    book = KeyBook([admin, rival, viewer])
    async with dashboard(root, book=book) as (il, _, browser):
        await browser.post("/ui/login", data={"key": KEY})
        keys = Keys({}, book)
        face = VisitsFace(Admission(keys, il.auditing), Sessions(il.workspace.store.parent / FOLDER, SystemClock()))
        app = ColdApp(SystemIds(SystemClock()), face.routes(), [])
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=HOST) as api:

            async def ask(method: str, path: str, key: str) -> httpx2.Response:
                return await api.request(method, path, headers={"authorization": f"Bearer {key}"})

            (visit,) = (await ask("GET", "/api/visits", secret)).json()["visits"]
            assert (visit["who"], visit["role"], visit["tenant"]) == ("server", "admin", TENANT)
            assert (await ask("GET", "/api/visits", other)).json() == {"visits": []}
            assert (await ask("DELETE", f"/api/visits/{visit['visit']}", other)).status_code == 404
            assert (await ask("GET", "/api/visits", weak)).status_code == 403
            assert (await browser.get("/ui")).status_code == 200
            assert len((await ask("DELETE", f"/api/visits/{visit['visit']}", secret)).json()["visits"]) == 1
            assert (await browser.get("/ui")).status_code == 303
            assert il.auditing.store.latest(0, 1)[0].deed.action == "session.ended"

        await browser.post("/ui/login", data={"key": KEY})
        assert main(["visits", "list", "-w", str(root)]) == 0
        assert "server" in capsys.readouterr().out
        assert main(["visits", "end", "vis_nobody", "-w", str(root)]) == 1
        assert (await browser.get("/ui")).status_code == 200
        assert main(["visits", "end", "--all", "-w", str(root)]) == 0
        assert (await browser.get("/ui")).status_code == 303


# --- The provider says so -------------------------------------------------------------------------------------------


def logout_token(provider: OpenIdProvider, **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": provider.issuer, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": "j1", "sub": "u-1"}
    told = {**claims, "events": {LOGOUT: {}}, **changes}
    return provider.sign({name: value for name, value in told.items() if value is not None})


@pytest.mark.requirement("SG-09")
async def test_whom_the_provider_signs_out_is_out_here_and_nobody_else(opened: Opened):
    provider, il, browser = opened
    assert (await signed_in(provider, browser)).status_code == 200
    async with httpx2.AsyncClient(transport=browser._transport, base_url=HOST) as elsewhere:
        told = await elsewhere.post("/ui/oidc/logout", data={"logout_token": logout_token(provider, sub="u-2")})
        assert (told.status_code, (await browser.get("/ui")).status_code) == (200, 200)
        told = await elsewhere.post("/ui/oidc/logout", data={"logout_token": logout_token(provider)})
        assert (told.status_code, told.headers["cache-control"]) == (200, "no-store")
    assert (await browser.get("/ui")).status_code == 303
    deed = il.auditing.store.latest(0, 1)[0].deed
    assert (deed.action, deed.who) == ("session.ended", "ada@shop.example")


@pytest.mark.requirement("SG-09")
async def test_a_logout_token_that_does_not_hold_ends_nothing_and_guessing_is_not_listened_to(opened: Opened):
    provider, _, browser = opened
    assert (await signed_in(provider, browser)).status_code == 200
    now = int(time.time())
    lies = [
        "",
        "a.b.c",
        logout_token(provider, events={}),
        logout_token(provider, events=LOGOUT),
        logout_token(provider, nonce="n"),
        logout_token(provider, jti=None),
        logout_token(provider, sub=None, sid="s"),
        logout_token(provider, aud="another"),
        logout_token(provider, iss="https://elsewhere.example"),
        logout_token(provider, iat=now - 900, exp=now - 600),
        logout_token(provider, iat=now + 600, exp=now + 900),
        jwt.encode({"sub": "u-1", "events": {LOGOUT: {}}}, "x" * 40, "HS256", {"kid": "k1"}),
        jwt.encode({"sub": "u-1"}, "", "none"),
    ]
    for lie in lies:
        told = await browser.post("/ui/oidc/logout", data={"logout_token": lie})
        assert told.status_code == 400, lie
    assert (await browser.get("/ui")).status_code == 200
    for _ in range(MOST - 1):
        await browser.post("/ui/oidc/logout", data={"logout_token": "a.b.c"})
    told = await browser.post("/ui/oidc/logout", data={"logout_token": "a.b.c"})
    assert "attempts of this address were refused" in told.text
    for door in ("/ui/oidc", "/ui/oidc/back?code=x&state=y", "/ui/enter?once=x"):
        refused = await browser.get(door)
        assert "attempts of this address" in refused.text, door
    assert "attempts of this address" in (await browser.post("/ui/login", data={"key": KEY})).text
