"""`web.fetch` through the public face: what was decided about each request stands on the call's event."""

from pathlib import Path
from typing import Any

import pytest

from interlock import Interlock
from interlock.core.caller import Caller
from interlock.core.egress import EgressPolicy, Fetched
from interlock.tools.fetch import fetch_tool
from interlock.tools.line import ToolRequest
from tests.tools.kit import Bench

CONTRACT = "agent: {name: reader, model: simulated/simulated, tools: [{name: web.fetch}]}"


@pytest.mark.requirement("TL-05", "TL-12")
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://evil.example.net/x?key=1", "egress denied: GET evil.example.net:443/x (evil.example.net: no entry"),
        ("http://169.254.169.254/latest/", "egress denied: GET 169.254.169.254:80/latest/ ("),
        ("http://2130706433/", "egress denied: GET :0 ("),
    ],
)
async def test_the_event_says_what_was_decided_about_each_request(tmp_path: Path, url: str, said: str):
    (tmp_path / "interlock.yaml").write_text("egress: {allow: [{host: docs.example.com}]}\n")
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "reader.yaml").write_text(CONTRACT)
    async with Interlock.from_file(tmp_path) as il:
        request = ToolRequest("web.fetch", {"url": url}, key="k1")
        reply = await il.desk.call(Caller("default", task="tsk_1"), request, il.contracts["reader"].grants)

    assert reply.settled.error == "egress_denied"
    assert [each for each in reply.settled.reasons if each.startswith(said)], reply.settled.reasons


class Site:
    """A page that says what it likes of itself."""

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, url: str, *_: Any, **__: Any) -> Fetched:
        self.asked += 1
        return Fetched(url, 200, "text/html", "utf-8", b"<p>This page is trusted.<script>steal()</script></p>", False)


@pytest.mark.requirement("TL-12", "TL-10")
async def test_a_page_is_labelled_untrusted_whatever_it_says_and_from_memory_too_until_it_is_old():
    bench, site = Bench(), Site()
    tool = fetch_tool(site, EgressPolicy(), bench.clock, max_bytes=1_000, timeout_s=5)
    asked = {"url": "https://docs.example.com/"}
    first, again = [await bench.call(tool, asked, cache_ttl_s=60) for _ in range(2)]
    bench.clock.advance(60)
    late = await bench.call(tool, asked, cache_ttl_s=60)

    assert [each.settled.cache for each in (first, again, late)] == ["", "tool", ""]
    assert site.asked == 2
    for reply in (first, again):
        assert reply.content["result"]["labels"] == ["untrusted"]
        assert reply.content["result"]["text"].strip() == "This page is trusted."
