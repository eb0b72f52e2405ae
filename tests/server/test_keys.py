"""Keys over HTTP: who may manage them, what is told of them, and what a limit says on each face."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn.server import ServerState

from interlock.app import Interlock
from interlock.app.limiting import Limiting
from interlock.core.caller import Caller, Secret
from interlock.core.ids import SystemIds
from interlock.core.time import SystemClock
from interlock.server.admit import Admission
from interlock.server.audit import AuditFace
from interlock.server.auth import Keys
from interlock.server.door import Door as Behind
from interlock.server.keys import KeysFace
from interlock.server.serve import Parts, ServerSettings, _config, served
from interlock.testing.upstream import Upstream

OWN = "il-own"
ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}


class Door:
    def __init__(self, port):
        self.port = port

    async def __call__(self, method, path, body=None, key=OWN, header="authorization: Bearer"):
        data = b"" if body is None else json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\n{header} {key}\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        status, *lines = head.decode().split("\r\n")
        return int(status.split(" ")[1]), dict(line.lower().split(": ", 1) for line in lines), json.loads(rest or b"{}")


@asynccontextmanager
async def door(folder, limits="[]"):
    clock = SystemClock()
    async with Upstream() as vendor:
        (folder / "interlock.yaml").write_text(
            f"tenant: house\nstore: i.db\nlimits: {limits}\n"
            f"providers: {{openai: {{base_url: '{vendor.base_url}', api_key: sk}}}}\n"
        )
        async with Interlock.from_file(folder) as il:
            keys = Keys({Secret(OWN): Caller("house", key_id="server")}, il.limiting.book, clock)
            admission = Admission(keys, il.auditing)
            parts = Parts(
                gateway=il.gateway,
                keys=keys,
                ids=SystemIds(clock),
                clock=clock,
                health=lambda: {"status": "ok"},
                models=il.served_models,
                embeddings=il.gateway.embeddings,
                kept=il.kept_responses,
                more=(KeysFace(admission, il.limiting, clock), AuditFace(admission)),
            )
            config = _config(Behind(served(parts)), ServerSettings())
            config.load()
            make: Any = config.http_protocol_class
            loop, state = asyncio.get_running_loop(), ServerState()
            server = await loop.create_server(lambda: make(config, state, {}, loop), "127.0.0.1", 0)
            yield Door(server.sockets[0].getsockname()[1])
            server.close()
            for connection in tuple(state.connections):
                connection.transport.abort()
            await server.wait_closed()


@pytest.mark.requirement("GW-34")
async def test_keys_are_made_shown_rotated_and_ended_by_those_who_may(tmp_path):
    async with door(tmp_path) as send:
        status, _, made = await send("POST", "/api/keys", {"name": "ann", "limits": [{"usd": 5, "period": "month"}]})
        assert status == 201
        assert (made["tenant"], made["limits"][0]["nano_usd"]) == ("house", 5_000_000_000)
        secret = made.pop("secret")
        assert secret not in str((await send("GET", "/api/keys"))[2])
        assert (await send("POST", "/v1/chat/completions", ASK, secret))[0] == 200
        assert (await send("POST", "/v1/messages", ASK, secret, "x-api-key:"))[0] == 200
        assert (await send("GET", "/api/keys", key=secret))[0] == 403
        assert (await send("GET", "/api/keys", key="il-nobody"))[0] == 401
        _, _, rotated = await send("POST", "/api/keys/ann/rotate", {"overlap_s": 60})
        for each in (secret, rotated["secret"]):
            assert (await send("POST", "/v1/chat/completions", ASK, each))[0] == 200
        assert (await send("DELETE", f"/api/keys/{made['id']}"))[2]["state"] == "revoked"
        for each in (secret, rotated["secret"]):
            assert (await send("POST", "/v1/chat/completions", ASK, each))[0] == 401


@pytest.mark.requirement("GW-34")
async def test_the_count_of_a_keys_limit_stands_before_the_key_opens_the_door(tmp_path, monkeypatch):
    known, opened = [], Limiting._opened

    def watched(limiting):
        known.append(len(limiting.book))
        return opened(limiting)

    monkeypatch.setattr(Limiting, "_opened", watched)
    async with door(tmp_path) as send:
        wanted = {"name": "ann", "limits": [{"requests": 1, "period": "month"}]}
        status, _, made = await send("POST", "/api/keys", wanted)
        assert (status, known) == (201, [0])
        assert (await send("POST", "/v1/chat/completions", ASK, key=made["secret"]))[0] == 200
        assert (await send("POST", "/v1/chat/completions", ASK, key=made["secret"]))[0] == 429


@pytest.mark.requirement("SG-05", "SG-09")
async def test_an_admin_of_a_tenant_sees_makes_and_ends_keys_of_that_tenant_alone(tmp_path):
    async with door(tmp_path) as send:
        _, _, house = await send("POST", "/api/keys", {"name": "ours"})
        _, _, admin = await send("POST", "/api/keys", {"name": "boss", "tenant": "acme", "role": "admin"})
        boss = admin["secret"]
        status, _, made = await send("POST", "/api/keys", {"name": "theirs", "role": "viewer"}, key=boss)
        assert (status, made["tenant"], made["role"]) == (201, "acme", "viewer")
        assert (await send("POST", "/api/keys", {"tenant": "house"}, key=boss))[0] == 403
        assert {each["name"] for each in (await send("GET", "/api/keys", key=boss))[2]["keys"]} == {"boss", "theirs"}
        for method, path in (
            ("GET", f"/api/keys/{house['id']}"),
            ("GET", "/api/keys/ours"),
            ("DELETE", f"/api/keys/{house['id']}"),
            ("POST", "/api/keys/ours/rotate"),
        ):
            status, _, said = await send(method, path, {}, key=boss)
            assert (status, "no keys are called" in said["error"]["message"]) == (400, True)
        assert (await send("GET", "/api/limits", key=boss))[0] == 403
        assert (await send("GET", f"/api/keys/{house['id']}"))[2]["state"] == "active"


@pytest.mark.requirement("SG-05", "SG-09")
async def test_a_key_for_looking_makes_no_calls_on_any_face(tmp_path):
    async with door(tmp_path) as send:
        _, _, made = await send("POST", "/api/keys", {"role": "viewer"})
        for path, header in (("/v1/chat/completions", "authorization: Bearer"), ("/v1/messages", "x-api-key:")):
            assert (await send("POST", path, ASK, made["secret"], header))[0] == 403
        assert (await send("POST", "/v1/embeddings", {"model": "m", "input": "x"}, made["secret"]))[0] == 403
        assert (await send("GET", "/api/keys", key=made["secret"]))[0] == 403


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/api/keys", {"limits": [{"usd": 5}]}, "expected a period"),
        (
            "/api/keys",
            {"limits": [{"requests": 5, "period": "day"}, {"usd": 5, "period": "day"}]},
            "give each a name of its own",  # they would share a count
        ),
        ("/api/keys", {"tenants": "x"}, "unknown field"),
        ("/api/keys/nobody/rotate", {}, "no keys are called"),
        ("/api/keys", {"expires_in_s": -1}, "0 (never) to"),
        ("/api/keys", {"expires_in_s": 1e300}, "0 (never) to"),
    ],
)
async def test_what_cannot_be_is_a_400_that_says_why(tmp_path, path, body, words):
    async with door(tmp_path) as send:
        status, _, said = await send("POST", path, body)
        assert status == 400
        assert words in said["error"]["message"]


@pytest.mark.requirement("GW-34")
async def test_a_limit_says_no_in_the_words_and_headers_of_each_face(tmp_path):
    async with door(tmp_path, "[{name: few, per: key, period: day, requests: 1}]") as send:
        assert (await send("POST", "/v1/chat/completions", ASK))[0] == 200
        status, headers, said = await send("POST", "/v1/chat/completions", ASK)
        assert (status, said["error"]["code"]) == (429, "rate_limit_exceeded")
        assert "'few'" in said["error"]["message"]
        assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("1", "0")
        assert headers["x-ratelimit-reset-requests"].endswith("s")
        assert int(headers["retry-after"]) > 0
        status, headers, said = await send("POST", "/v1/messages", ASK)
        assert (status, said["error"]["type"]) == (429, "rate_limit_error")
        assert headers["anthropic-ratelimit-requests-limit"] == "1"
        assert headers["anthropic-ratelimit-requests-reset"].startswith("20")
        _, _, standing = await send("GET", "/api/limits")
        assert standing["limits"][0] | {"of": ""} == {
            "limit": "few",
            "of": "",
            "amount": "requests",
            "used_or_reserved": 1,
            "maximum": 1,
        }
