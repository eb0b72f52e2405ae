"""The fetch tool's way through the walls, with redirects."""

import asyncio
from collections.abc import Callable

import pytest

from interlock.core.egress import Allow, EgressDecision, EgressPolicy
from interlock.core.errors import ToolError
from interlock.core.time import Deadline, SystemClock
from interlock.net import http1
from interlock.net.fetch import PageFetcher
from tests.net.egress_kit import Web

CLOCK = SystemClock()
SITE = EgressPolicy((Allow("api.example.com"), Allow("www.example.org")), timeout_s=30)


def page(text: str, kind: str = "text/html; charset=utf-8") -> bytes:
    body = text.encode()
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def moved(to: str) -> Callable[[http1.Request], bytes]:
    """A site that sends everybody who asks for `/` elsewhere."""

    def answer(request: http1.Request) -> bytes:
        if request.target == "/":
            return f"HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n".encode()
        return page(f"here: {request.target}")

    return answer


async def get(web: Web, url: str, *, max_bytes: int = 1_000_000, hops: list[EgressDecision] | None = None):
    heard = hops if hops is not None else list[EgressDecision]()
    fetcher = PageFetcher(CLOCK, web.resolve, web.dial)
    async with web.running():
        return await fetcher.get(url, SITE, Deadline.after(CLOCK, 60), max_bytes=max_bytes, decided=heard.append)


@pytest.mark.requirement("TL-12")
async def test_a_page_comes_with_its_type_and_hops():
    hops = list[EgressDecision]()
    fetched = await get(Web(lambda _: page("<p>hello</p>")), "http://api.example.com/x", hops=hops)

    assert (fetched.status, fetched.content_type, fetched.charset, fetched.body) == (
        200,
        "text/html",
        "utf-8",
        b"<p>hello</p>",
    )
    assert [hop.address for hop in hops] == ["93.184.216.34"]


@pytest.mark.requirement("TL-12")
@pytest.mark.parametrize("to", ["/next", "http://www.example.org/next", "//www.example.org/next", "next"])
async def test_redirects_inside_the_allowlist_are_followed(to: str):
    hops = list[EgressDecision]()
    fetched = await get(Web(moved(to)), "http://api.example.com/", hops=hops)

    assert fetched.body == b"here: /next"
    assert [hop.status for hop in hops] == [302, 200]


@pytest.mark.requirement("TL-12", "TL-05")
@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data/", "http://evil.example.net/", "http://localhost/", "//127.0.0.1/", "http://[::1]/", "http://2130706433/",
        "file:///etc/passwd", "http://api.example.com:22/", "http://api.example.com@evil.example.net/", "gopher://api.example.com/", "http://user@www.example.org/",
    ],
)  # fmt: skip
async def test_a_redirect_out_of_it_is_refused_before_a_connection(to: str):
    web, hops = Web(moved(to)), list[EgressDecision]()

    with pytest.raises(ToolError) as denied:
        await get(web, "http://api.example.com/", hops=hops)

    assert denied.value.code == "egress_denied"
    assert [(hop.allowed, bool(hop.reason)) for hop in hops] == [(True, True), (False, True)]
    assert [host for _, _, host in web.dialled] == ["api.example.com"]


@pytest.mark.requirement("TL-12")
async def test_a_circle_of_redirects_ends():
    web = Web(lambda _: b"HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n")

    with pytest.raises(ToolError, match="more than 5 redirects"):
        await get(web, "http://api.example.com/")

    assert len(web.dialled) == 6


@pytest.mark.requirement("TL-12")
async def test_a_redirect_to_a_name_that_rebinds_inside_is_refused():
    web = Web(moved("http://www.example.org/next"))
    web.names = {"www.example.org": [["10.1.2.3"]]}

    with pytest.raises(ToolError, match="private network"):
        await get(web, "http://api.example.com/")


@pytest.mark.requirement("TL-12")
async def test_size_is_capped_and_said():
    fetched = await get(Web(lambda _: page("x" * 50_000)), "http://api.example.com/", max_bytes=1_000)

    assert len(fetched.body) == 1_000
    assert fetched.truncated


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"not http at all\r\n\r\n",
        b"",
    ],
)
async def test_a_broken_reply_is_a_failure_with_words(reply: bytes):
    with pytest.raises(ToolError) as failed:
        await get(Web(lambda _: reply), "http://api.example.com/")

    assert failed.value.code == "fetch_failed"
    assert "api.example.com" in failed.value.message


@pytest.mark.parametrize("pieces", [1, 2], ids=["in one piece", "in two"])
async def test_a_hint_before_the_reply_cuts_nothing_of_it_short(pieces: int):
    """RFC 8297: a server may send 103 before its final reply, in the same packet, too."""
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"
    final = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 10\r\n\r\n01234"
    reader = asyncio.StreamReader()
    reader.feed_data(hint + final if pieces == 1 else hint)
    reply = http1.Reply(reader, bodyless=False)
    if pieces == 2:
        asyncio.get_running_loop().call_soon(reader.feed_data, final)
    await reply.head()
    asyncio.get_running_loop().call_soon(reader.feed_data, b"56789")
    body = b"".join([piece async for piece in reply.body()])

    assert (reply.status, http1.value_of(reply.headers, "link"), body) == (200, "", b"0123456789")
