"""`web.fetch` through the public face: what was decided about each request stands on the call's event."""

from pathlib import Path

import pytest

from interlock import Interlock
from interlock.core.caller import Caller
from interlock.tools.line import ToolRequest

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
