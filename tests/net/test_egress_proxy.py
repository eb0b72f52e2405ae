"""The egress proxy as a sandbox meets it: real sockets on both sides."""

import asyncio
import datetime as dt
import socket
import ssl
from pathlib import Path

import pytest

from interlock.core.caller import Secret
from interlock.core.egress import Allow, Credential, EgressDecision, EgressPolicy
from interlock.core.errors import ToolError
from interlock.net import http1
from interlock.net.authority import Authorities
from interlock.net.proxy import MOST_OPEN, Proxy
from tests.net.egress_kit import NOW, Web, ask, ask_plain, ask_tls, given, sandbox


def hello(request: http1.Request) -> bytes:
    body = f"{request.method} {request.target} {http1.value_of(request.headers, 'authorization')}".encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body


SITE = EgressPolicy((Allow("api.example.com"),))


def get(url: str, *headers: str) -> bytes:
    return ("\r\n".join([f"GET {url} HTTP/1.1", "host: whatever", *headers]) + "\r\n\r\n").encode()


@pytest.mark.requirement("TL-05")
async def test_an_allowed_request_passes_by_the_checked_address_and_is_written_anew(tmp_path: Path):
    web, decided = Web(hello), list[EgressDecision]()
    async with web.running(), sandbox(web, SITE, decided, tmp_path) as (port, _):
        answer = await ask(
            port, get("http://api.example.com/x?y=1", "proxy-authorization: no", "connection: x-hop", "x-hop: 1")
        )

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"GET /x?y=1" in answer
    assert web.dialled == [("93.184.216.34", 80, "api.example.com")]
    assert dict(web.asked[0].headers)["host"] == "api.example.com"
    assert not {"proxy-authorization", "x-hop"} & dict(web.asked[0].headers).keys()
    assert (decided[0].allowed, decided[0].status, decided[0].address) == (True, 200, "93.184.216.34")


@pytest.mark.requirement("TL-05")
@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("http://other.example.com/", {}),
        ("http://169.254.169.254/latest/meta-data/", {}),
        ("http://[::ffff:169.254.169.254]/", {}),
        ("http://2852039166/", {}),
        ("http://localhost/", {}),
        ("http://api.example.com/", {"api.example.com": [["169.254.169.254"]]}),
        ("http://api.example.com/", {"api.example.com": [["93.184.216.34", "10.0.0.1"]]}),
        ("http://api.example.com:22/", {}),
        ("http://api.example.com@evil.example.org/", {}),
        ("https://api.example.com/", {}),
        ("ftp://api.example.com/", {}),
    ],
)
async def test_everything_else_is_refused_before_a_connection(
    url: str, names: dict[str, list[list[str]]], tmp_path: Path
):
    web, decided = Web(hello), list[EgressDecision]()
    web.names = names
    async with web.running(), sandbox(web, SITE, decided, tmp_path) as (port, _):
        answer = await ask(port, get(url))

    assert answer.startswith(b"HTTP/1.1 403")
    assert web.dialled == []
    assert [decision.allowed for decision in decided] == [False]
    assert decided[0].reason


@pytest.mark.requirement("TL-05")
async def test_a_name_that_changes_its_mind_is_asked_once_and_dialled_where_it_was_checked(tmp_path: Path):
    web, decided = Web(hello), list[EgressDecision]()
    web.names = {"api.example.com": [["93.184.216.34"], ["127.0.0.1"]]}
    async with web.running(), sandbox(web, SITE, decided, tmp_path) as (port, _):
        first = await ask(port, get("http://api.example.com/"))
        second = await ask(port, get("http://api.example.com/"))

    assert first.startswith(b"HTTP/1.1 200")
    assert second.startswith(b"HTTP/1.1 403")
    assert [address for address, _, _ in web.dialled] == ["93.184.216.34"]


@pytest.mark.requirement("TL-05")
@pytest.mark.parametrize(
    "raw",
    [
        b"GET http://api.example.com/ HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET http://api.example.com/ HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"GET http://api.example.com/ HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 140_000 + b"\r\n\r\n",
        b"GET http://api.example.com/ HTTP/1.1\nhost: a\nx : y\n\n",
        b"POST http://api.example.com/ HTTP/1.1\r\nhost: a\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 1_500_000,
        b"\x16\x03\x01\x00\x05hello",
        b"GET / HTTP/1.1\r\nhost: api.example.com\r\n\r\n",
    ],
)
async def test_what_two_parsers_could_read_in_two_ways_is_not_sent_on(raw: bytes, tmp_path: Path):
    web, decided = Web(hello), list[EgressDecision]()
    async with web.running(), sandbox(web, SITE, decided, tmp_path) as (port, _):
        answer = await ask(port, raw)

    assert not answer.startswith(b"HTTP/1.1 200")
    assert web.dialled == []


KEY = Credential("github", "il-cred-4f1c", given("ghp_real_secret"), ("api.example.com",))
WITH_KEY = EgressPolicy((Allow("api.example.com"), Allow("other.example.com")), (KEY,))


@pytest.mark.requirement("TL-05", "TL-08")
async def test_a_credential_is_put_in_outside_and_taken_out_of_what_comes_back(tmp_path: Path):
    web, decided = Web(hello), list[EgressDecision]()
    async with web.running(), sandbox(web, WITH_KEY, decided, tmp_path) as (port, pem):
        request = get("/me", "authorization: Bearer il-cred-4f1c")
        answer = await ask_tls(port, "api.example.com:443", pem, request, server_name="api.example.com")

    assert dict(web.asked[0].headers)["authorization"] == "Bearer ghp_real_secret"
    assert b"ghp_real_secret" not in answer
    assert b"Bearer il-cred-4f1c" in answer
    assert "ghp_real" not in str(decided)


@pytest.mark.requirement("TL-05", "TL-08")
async def test_a_credential_is_asked_for_with_every_request_and_one_that_cannot_be_had_refuses_it(tmp_path: Path):
    async def none() -> Secret:
        raise ToolError("credential_unavailable", "the credential 'gone' cannot be had: its issuer answered 503")

    turning = Credential("github", "il-cred-4f1c", given("token-of-yesterday", "token-of-today"), ("api.example.com",))
    gone = Credential("gone", "il-cred-none", none, ("api.example.com",))
    web, decided = Web(hello), list[EgressDecision]()
    policy = EgressPolicy((Allow("api.example.com"),), (turning, gone))
    async with web.running(), sandbox(web, policy, decided, tmp_path) as (port, pem):
        answers = [
            await ask_tls(
                port, "api.example.com:443", pem, get("/", f"authorization: {held}"), server_name="api.example.com"
            )
            for held in ("il-cred-4f1c", "il-cred-4f1c", "il-cred-none")
        ]

    assert [dict(each.headers)["authorization"] for each in web.asked] == ["token-of-yesterday", "token-of-today"]
    assert all(b"token-of" not in each for each in answers)
    assert (decided[-1].allowed, "issuer answered 503" in decided[-1].reason) == (False, True)


@pytest.mark.requirement("TL-05", "TL-08")
@pytest.mark.parametrize(
    ("host", "header", "tunnel"),
    [
        ("other.example.com", "authorization: Bearer il-cred-4f1c", True),
        ("api.example.com", "x-note: il-cred-4f1c", True),
        ("api.example.com", "authorization: il-cred-4f1c", False),
    ],
)
async def test_a_credential_goes_nowhere_but_to_its_host_in_its_header_over_tls(
    host: str, header: str, *, tunnel: bool, tmp_path: Path
):
    web, decided = Web(hello), list[EgressDecision]()
    policy = EgressPolicy((Allow("api.example.com"), Allow("other.example.com", paths=("/",))), (KEY,))
    async with web.running(host), sandbox(web, policy, decided, tmp_path) as (port, pem):
        if tunnel:
            answer = await ask_tls(port, f"{host}:443", pem, get("/", header), server_name=host)
        else:
            answer = await ask(port, get(f"http://{host}/", header))

    assert answer.startswith(b"HTTP/1.1 403")
    assert web.asked == []
    assert "not for this host, header or scheme" in decided[-1].reason


@pytest.mark.requirement("TL-05")
async def test_a_tunnel_is_what_its_tls_name_says_or_nothing(tmp_path: Path):
    web, decided = Web(hello), list[EgressDecision]()
    async with web.running(), sandbox(web, SITE, decided, tmp_path) as (port, _):
        right = await ask_tls(port, "api.example.com:443", web.authority.pem, get("/"), server_name="api.example.com")
        fronted = await ask_tls(
            port, "api.example.com:443", web.authority.pem, get("/"), server_name="hidden.example.org"
        )
        plain = await ask_plain(port, "api.example.com:443", get("/"))
        other = await ask_tls(
            port, "other.example.com:443", web.authority.pem, get("/"), server_name="other.example.com"
        )

    assert right.startswith(b"HTTP/1.1 200")
    assert b"200 OK" not in fronted
    assert b"200 OK" not in plain
    assert other.startswith(b"HTTP/1.1 403")
    assert [host for _, _, host in web.dialled] == ["api.example.com"]
    assert any("another host" in decision.reason for decision in decided)


@pytest.mark.requirement("TL-05")
@pytest.mark.parametrize("ends", ["with its sandbox", "by its time"])
async def test_a_tunnel_that_is_still_open_at_the_end_is_on_record(ends: str, tmp_path: Path):
    web, decided = Web(hello), list[EgressDecision]()
    policy = EgressPolicy((Allow("api.example.com"),), timeout_s=0.5 if ends == "by its time" else 60.0)
    async with web.running(), sandbox(web, policy, decided, tmp_path) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        trusting = ssl.create_default_context(cadata=web.authority.pem)
        await asyncio.wait_for(writer.start_tls(trusting, server_hostname="api.example.com"), 60)
        if ends == "by its time":
            await asyncio.wait_for(reader.read(-1), 60)
    writer.close()

    assert [(each.allowed, each.host, each.address) for each in decided] == [(True, "api.example.com", "93.184.216.34")]
    assert decided[0].sent_bytes > 0
    assert decided[0].received_bytes > 0


@pytest.mark.requirement("TL-05")
async def test_a_tunnel_to_where_nobody_answers_is_on_record(tmp_path: Path):
    web, decided = Web(hello), list[EgressDecision]()
    async with web.running(), sandbox(web, SITE, decided, tmp_path) as (port, pem):
        web.closed = True
        await ask_tls(port, "api.example.com:443", pem, get("/"), server_name="api.example.com")

    assert [(each.allowed, each.host, each.received_bytes) for each in decided] == [(True, "api.example.com", 0)]


async def test_one_sandbox_takes_no_more_connections_than_its_share(tmp_path: Path):
    web, decided = Web(hello), list[EgressDecision]()
    async with web.running(), sandbox(web, SITE, decided, tmp_path) as (port, _):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_OPEN)]
        over = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(over[0].read(-1), 60) == b""
        for _, writer in (*idle, over):
            writer.close()


async def test_a_server_that_runs_for_days_shows_no_certificate_whose_time_is_over(tmp_path: Path):
    web, now = Web(hello), [NOW - dt.timedelta(days=5)]
    trusted = tmp_path / "web.pem"
    trusted.write_text(web.authority.pem)
    proxy = Proxy(web.resolve, web.dial, Authorities(lambda: now[0]), ca_file=str(trusted))
    policy = EgressPolicy((Allow("api.example.com", paths=("/v1",)),))
    async with web.running():
        async with proxy.serve(socket.create_server(("127.0.0.1", 0)), policy, lambda _: None) as before:
            pass
        now[0] = NOW
        listener = socket.create_server(("127.0.0.1", 0))
        async with proxy.serve(listener, policy, lambda _: None) as pem:
            port = listener.getsockname()[1]
            answer = await ask_tls(port, "api.example.com:443", pem, get("/v1/x"), server_name="api.example.com")

    assert pem != before
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.requirement("TL-05")
async def test_paths_and_methods_hold_inside_a_tunnel_too(tmp_path: Path):
    web, decided = Web(hello), list[EgressDecision]()
    policy = EgressPolicy((Allow("api.example.com", methods=("GET",), paths=("/v1",)),))
    async with web.running(), sandbox(web, policy, decided, tmp_path) as (port, pem):
        inside = await ask_tls(port, "api.example.com:443", pem, get("/v1/x"), server_name="api.example.com")
        outside = await ask_tls(port, "api.example.com:443", pem, get("/v2/x"), server_name="api.example.com")
        posted = b"POST /v1/x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx"
        wrong = await ask_tls(port, "api.example.com:443", pem, posted, server_name="api.example.com")

    assert inside.startswith(b"HTTP/1.1 200")
    assert outside.startswith(b"HTTP/1.1 403")
    assert wrong.startswith(b"HTTP/1.1 403")
    assert len(web.asked) == 1


@pytest.mark.requirement("TL-05")
async def test_bytes_and_requests_are_capped(tmp_path: Path):
    def large(_: http1.Request) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + b"x" * 300_000

    web, decided = Web(large), list[EgressDecision]()
    policy = EgressPolicy((Allow("api.example.com"),), max_response_bytes=100_000, max_requests=2)
    async with web.running(), sandbox(web, policy, decided, tmp_path) as (port, _):
        first = await ask(port, get("http://api.example.com/"))
        await ask(port, get("http://api.example.com/"))
        third = await ask(port, get("http://api.example.com/"))

    assert len(first) < 250_000
    assert not first.endswith(b"0\r\n\r\n")
    assert third.startswith(b"HTTP/1.1 429")
    assert decided[0].received_bytes > 100_000
