"""The audit over HTTP: written before something is done, read by auditors of a tenant, and nothing is done that cannot be written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from interlock.core.audit import EMPTY, Checked, Deed, Entry, Head
from interlock.core.errors import StoreUnavailable
from interlock.core.keys import KeyBook, KeyRecord, made
from interlock.core.time import SystemClock

from .dashboard_kit import dashboard, waiting_task, workspace, write
from .test_keys import door

WAITS = "tsk_wait01"


async def deeds(send: Any, key: str = "", query: str = "") -> list[tuple[str, str, str]]:
    _, _, said = await (send("GET", f"/api/audit{query}", key=key) if key else send("GET", f"/api/audit{query}"))
    return [(each["deed"]["action"], each["deed"]["who"], each["deed"]["detail"]) for each in said["entries"]]


@pytest.mark.requirement("SG-07", "GW-34")
async def test_what_is_done_to_keys_stands_there_with_who_did_it(tmp_path: Path):
    async with door(tmp_path) as send:
        _, _, made_ = await send("POST", "/api/keys", {"name": "ann", "role": "viewer"})
        await send("POST", "/api/keys/ann/rotate", {})
        await send("DELETE", f"/api/keys/{made_['id']}")
        found = await deeds(send)
    assert found == [
        ("audit.read", "server", ""),
        ("key.revoked", "server", "viewer of house"),
        ("key.rotated", "server", "viewer of house"),
        ("key.created", "server", "viewer of house"),
    ]


@pytest.mark.requirement("SG-05", "SG-07")
async def test_an_auditor_sees_what_happened_in_the_own_tenant_and_others_see_nothing(tmp_path: Path):
    async with door(tmp_path) as send:
        keys = {
            role: (await send("POST", "/api/keys", {"name": role, "tenant": "acme", "role": role}))[2]["secret"]
            for role in ("auditor", "admin", "viewer", "approver", "developer", "machine")
        }
        seen = await deeds(send, keys["auditor"])
        assert {action for action, _, _ in seen} == {"audit.read"}, (
            "keys were made by the server's own key, in its tenant"
        )
        for role in ("viewer", "approver", "developer", "machine"):
            for path in ("/api/audit", "/api/audit/head"):
                assert (await send("GET", path, key=keys[role]))[0] == 403
        head = (await send("GET", "/api/audit/head", key=keys["auditor"]))[2]["head"]
        assert head.startswith("7:")
        assert (await send("GET", "/api/audit?limit=0"))[0] == 400
        assert (await send("GET", "/api/audit?before=x"))[0] == 400


@pytest.mark.requirement("SG-07")
async def test_pages_go_back_to_the_first_entry(tmp_path: Path):
    async with door(tmp_path) as send:
        for n in range(5):
            await send("POST", "/api/keys", {"name": f"k{n}"})
        seen: list[int] = []
        before = ""
        while True:
            _, _, said = await send("GET", f"/api/audit?limit=2{before}")
            seen += [each["seq"] for each in said["entries"]]
            if said["next"] is None or said["next"] == 1:
                break
            before = f"&before={said['next']}"
    assert sorted(seen) == list(range(1, max(seen) + 1))


@pytest.mark.requirement("SG-07")
async def test_who_reads_prompts_on_the_dashboard_stands_there_before_they_are_shown(tmp_path: Path):
    record, secret = made(KeyRecord("key_x", "x", "acme", "", "", 1, user="ada", role="approver"), lambda n: "x" * n)
    root = workspace(tmp_path)
    write(root, waiting_task(WAITS, SystemClock().wall_ns()))
    async with dashboard(root, book=KeyBook([record])) as (il, _, browser):
        for _ in range(3):
            await browser.post("/ui/login", data={"key": "il-guessed"})
        await browser.post("/ui/login", data={"key": secret.reveal()})
        await browser.get("/ui/tasks")
        for _ in range(3):
            await browser.get(f"/ui/tasks/{WAITS}")
        entries = il.auditing.store.read(0, 100)
    found = [(each.deed.action, each.deed.who, each.deed.role, each.deed.target) for each in entries]
    assert found == [
        ("session.refused", "address:127.0.0.1", "", "dashboard"),
        ("session.opened", "ada", "approver", "dashboard"),
        ("content.read", "ada", "approver", WAITS),
    ]
    assert Checked().through(entries).faults == ()


class Away:
    """A chain that cannot be written."""

    def append(self, deeds: Sequence[Deed]) -> Head:
        raise StoreUnavailable(f"no room for {len(deeds)}")

    def read(self, after: int, limit: int, tenant: str = "") -> list[Entry]:
        return []

    def latest(self, before: int, limit: int, tenant: str = "") -> list[Entry]:
        return []

    def head(self) -> Head:
        return EMPTY


@pytest.mark.requirement("SG-07")
async def test_what_cannot_be_written_down_is_neither_shown_nor_done(tmp_path: Path):
    root = workspace(tmp_path)
    write(root, waiting_task(WAITS, SystemClock().wall_ns()))
    async with dashboard(root) as (il, face, browser):
        await browser.get(face.address())
        page = (await browser.get("/ui")).text
        csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
        il.auditing.store = Away()
        shown = await browser.get(f"/ui/tasks/{WAITS}")
        twin = await browser.get(f"/ui/tasks/{WAITS}.json")
        decided = await browser.post(f"/ui/approvals/{WAITS}/5", data={"csrf": csrf, "decision": "approve"})
        still = await il.questions(WAITS)
    assert (shown.status_code, twin.status_code, decided.status_code) == (503, 503, 503)
    assert "inventory.lookup" not in shown.text + twin.text
    assert len(still) == 1
