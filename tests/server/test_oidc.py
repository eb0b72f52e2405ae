"""People sign in elsewhere: who may come in, as what, and every way in which a token or a way back may lie."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from interlock.app import Interlock

from .dashboard_kit import HOST, dashboard, workspace
from .oidc_provider import CLIENT, SECRET, OpenIdProvider, openid_provider

Opened = tuple[OpenIdProvider, Interlock, httpx2.AsyncClient]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncGenerator[Opened]:
    root = workspace(tmp_path)
    async with openid_provider() as provider:
        (root / "policies").mkdir(exist_ok=True)
        (root / "policies" / "oidc.yaml").write_text(
            f"server:\n  oidc: {{issuer: '{provider.issuer}', client_id: {CLIENT}, client_secret: '{SECRET}', public_url: '{HOST}',\n"
            "         roles: {ops: admin, support: approver, look: viewer}}\n"
        )
        async with dashboard(root) as (il, _, browser):
            yield provider, il, browser


async def signed_in(provider: OpenIdProvider, browser: httpx2.AsyncClient) -> httpx2.Response:
    out = await browser.get("/ui/oidc")
    assert out.status_code == 303
    return await browser.get(provider.authorize(out.headers["location"]))


@pytest.mark.requirement("SG-09")
async def test_a_person_comes_in_with_the_role_of_their_group_and_stands_in_the_audit(opened: Opened):
    provider, il, browser = opened
    page = await browser.get("/ui/login")
    provider.claims["groups"] = ["look", "support", "unknown"]
    back = await signed_in(provider, browser)
    inside = await browser.get("/ui")
    entries = il.auditing.store.read(0, 10)

    assert f"Sign in at {urlsplit(provider.issuer).hostname}" in page.text
    assert (back.status_code, inside.status_code) == (200, 200)
    cookies = back.headers.get_list("set-cookie")
    assert any("interlock_ui=" in each and "HttpOnly" in each and "samesite=strict" in each.lower() for each in cookies)
    assert 'http-equiv="refresh"' in back.text
    (entry,) = entries
    assert (entry.deed.action, entry.deed.who, entry.deed.role) == ("session.opened", "ada@shop.example", "approver")


@pytest.mark.requirement("SG-09")
async def test_an_address_that_nobody_verified_is_not_a_name(opened: Opened):
    provider, il, browser = opened
    provider.claims["email_verified"] = False
    assert (await signed_in(provider, browser)).status_code == 200
    assert il.auditing.store.read(0, 10)[0].deed.who == "u-1"


@pytest.mark.requirement("SG-09")
async def test_the_only_key_of_a_provider_need_not_be_named(opened: Opened):
    provider, _, browser = opened
    provider.sign = lambda claims: jwt.encode(claims, provider.key, "RS256")
    assert (await signed_in(provider, browser)).status_code == 200


FOREIGN = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def wrong_tokens() -> dict[str, tuple[dict[str, Any], Any]]:
    """By what is wrong: claims, and how they are signed."""
    return {
        "of another client": ({"aud": "other"}, None),
        "for another client among several": ({"aud": [CLIENT, "other"], "azp": "other"}, None),
        "of another issuer": ({"iss": "http://evil.example"}, None),
        "of another sign-in": ({"nonce": "x"}, None),
        "without a nonce": ({"nonce": ""}, None),
        "from yesterday": ({"iat": 1_700_000_000, "exp": 1_700_000_300}, None),
        "from tomorrow": ({"iat": 99_000_000_000, "exp": 99_000_000_300}, None),
        "signed by somebody else": ({}, lambda claims: jwt.encode(claims, FOREIGN, "RS256", {"kid": "k1"})),
        "signed by a key nobody knows": ({}, lambda claims: jwt.encode(claims, FOREIGN, "RS256", {"kid": "k9"})),
        "unsigned": ({}, lambda claims: jwt.encode(claims, "", "none")),
        "signed with the client's secret": ({}, lambda claims: jwt.encode(claims, SECRET * 4, "HS256", {"kid": "k1"})),
        "no token at all": ({}, lambda _: "x.y.z"),
        "without a role here": ({"groups": ["strangers"]}, None),
        "without groups": ({"groups": None}, None),
    }


@pytest.mark.requirement("SG-09")
@pytest.mark.parametrize("wrong", wrong_tokens())
async def test_a_token_that_does_not_hold_lets_nobody_in(opened: Opened, wrong: str):
    provider, il, browser = opened
    provider.changes, sign = wrong_tokens()[wrong]
    provider.sign = sign or provider.sign
    back = await signed_in(provider, browser)

    assert back.status_code == 403
    assert "interlock_ui=" not in str(back.headers.get_list("set-cookie"))
    assert (await browser.get("/ui")).status_code == 303
    assert [each.deed.action for each in il.auditing.store.read(0, 10)] == ["session.refused"]


@pytest.mark.requirement("SG-09")
async def test_the_way_back_belongs_to_the_browser_that_went_out_and_is_gone_once(opened: Opened):
    provider, _, browser = opened
    theirs = provider.authorize((await browser.get("/ui/oidc")).headers["location"])
    browser.cookies.clear()
    without = await browser.get(theirs)
    mine = provider.authorize((await browser.get("/ui/oidc")).headers["location"])
    planted = await browser.get(theirs)
    first = await browser.get(mine)
    again = await browser.get(mine)

    assert [each.status_code for each in (without, planted, first, again)] == [403, 403, 200, 403]


@pytest.mark.requirement("SG-09")
async def test_what_the_provider_says_of_a_failure_is_shown_harmless(opened: Opened):
    _, _, browser = opened
    out = await browser.get("/ui/oidc")
    state = parse_qs(urlsplit(out.headers["location"]).query)["state"][0]
    back = await browser.get(f"/ui/oidc/back?error=<script>alert(1)</script>&state={state}")

    assert back.status_code == 403
    assert "<script>alert" not in back.text


@pytest.mark.requirement("SG-09")
@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": "http://evil.example"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": 7},
        {"authorization_endpoint": None},
    ],
)
async def test_a_discovery_document_that_lies_is_not_followed(opened: Opened, lie: dict[str, Any]):
    provider, _, browser = opened
    provider.discovery = lie
    assert (await browser.get("/ui/oidc")).status_code == 403


async def test_a_workspace_without_a_provider_has_no_such_addresses(tmp_path: Path):
    async with dashboard(workspace(tmp_path)) as (_, _, browser):
        assert (await browser.get("/ui/oidc")).status_code == 404
        assert "Sign in at" not in (await browser.get("/ui/login")).text
