"""The server's own TLS: hot and cold addresses, whole answers and streams, with official clients."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from interlock.app import Interlock
from interlock.server.serve import CannotListen, ServerSettings
from interlock.server.workspace import Opened, serve_workspace, settings_of
from interlock.testing.upstream import Answer, Upstream
from tests.sandbox.certificates import Authority

FILES = """\
server: {{api_key: il-tls}}
providers: {{mine: {{dialect: openai, base_url: "{base_url}"}}}}
models: {{support: mine/small}}
"""
MESSAGES: Any = [{"role": "user", "content": "Where is it?"}]


@asynccontextmanager
async def served(folder: Path, settings: ServerSettings):
    async with Upstream(Answer(text="On its way to you.")) as vendor:
        (folder / "interlock.yaml").write_text(FILES.format(base_url=vendor.base_url))
        async with Interlock.from_file(folder) as il:
            opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
            up = asyncio.create_task(serve_workspace(il, settings, opened.set_result))
            try:
                await asyncio.wait((up, opened), return_when=asyncio.FIRST_COMPLETED)
                if up.done():
                    await up
                yield (await opened).url.replace("127.0.0.1", "localhost")
            finally:
                up.cancel()
                await asyncio.gather(up, return_exceptions=True)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def settings(pair: tuple[Path, Path]) -> ServerSettings:
    return ServerSettings(port=0, shutdown_s=1.0, tls_cert=str(pair[0]), tls_key=str(pair[1]))


@pytest.mark.requirement("SG-09")
async def test_official_clients_talk_to_it_over_tls_on_every_kind_of_address(tmp_path: Path, authority: Authority):
    trusting = ssl.create_default_context(cafile=str(authority.path))
    async with served(tmp_path, settings(authority.signs("localhost"))) as url:
        assert url.startswith("https://")
        http: Any = openai.DefaultAsyncHttpxClient(verify=trusting)
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key="il-tls", http_client=http, max_retries=0
        ) as client:
            for _ in range(3):  # one connection, several requests
                whole = await client.chat.completions.create(model="support", messages=MESSAGES)
                assert whole.choices[0].message.content == "On its way to you."
            pieces = await client.chat.completions.create(model="support", messages=MESSAGES, stream=True)
            text = "".join([p.choices[0].delta.content or "" async for p in pieces if p.choices])
            assert text == "On its way to you."
            many = await asyncio.gather(
                *(client.chat.completions.create(model="support", messages=MESSAGES) for _ in range(20))
            )
            assert len(many) == 20
            assert "support" in [each.id async for each in client.models.list()]
        async with httpx2.AsyncClient(base_url=url, verify=trusting, timeout=60) as browser:
            entered = await browser.post("/ui/login", data={"key": "il-tls"})
            assert "Secure" in entered.headers["set-cookie"]
            large = await browser.post(
                "/v1/chat/completions",
                headers={"authorization": "Bearer il-tls"},
                json={"model": "support", "messages": [{"role": "user", "content": "x" * 300_000}]},
            )
            assert large.status_code == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.requirement("SG-09")
async def test_whoever_does_not_trust_it_or_speaks_no_tls_gets_nothing(tmp_path: Path, authority: Authority):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(str(authority.path))
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with served(tmp_path, settings(authority.signs("localhost"))) as url:
        for refused in (ssl.create_default_context(), old):
            async with httpx2.AsyncClient(base_url=url, verify=refused, timeout=60) as client:
                with pytest.raises(httpx2.ConnectError):
                    await client.get("/healthz")
        async with httpx2.AsyncClient(base_url=url.replace("https", "http"), timeout=60) as client:
            with pytest.raises(httpx2.HTTPError):
                await client.get("/healthz")
        async with httpx2.AsyncClient(
            base_url=url, verify=ssl.create_default_context(cafile=authority.path), timeout=60
        ) as client:
            assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("wrong", ["nowhere.pem", "another.key", "no.pem"])
async def test_a_certificate_that_cannot_be_used_is_an_error_before_anything_listens(
    tmp_path: Path, authority: Authority, wrong: str
):
    certificate, key = authority.signs("localhost")
    (tmp_path / "no.pem").write_text("nothing of the kind")
    pair = {
        "nowhere.pem": (tmp_path / wrong, key),
        "another.key": (certificate, authority.signs("other")[1]),
        "no.pem": (tmp_path / wrong, key),
    }[wrong]
    with pytest.raises(CannotListen, match=r"cannot be used with the key .*PEM files"):
        async with served(tmp_path, settings(pair)):
            pass


async def test_the_files_name_it_and_the_command_line_says_otherwise(tmp_path: Path):
    (tmp_path / "interlock.yaml").write_text("server: {tls_cert: tls/cert.pem, tls_key: tls/key.pem}\n")
    async with Interlock.from_file(tmp_path) as il:
        said = settings_of(il)
        assert (said.tls_cert, said.tls_key) == (str(tmp_path / "tls/cert.pem"), str(tmp_path / "tls/key.pem"))
        assert settings_of(il, tls=("/a.pem", "")).tls_key == ""
