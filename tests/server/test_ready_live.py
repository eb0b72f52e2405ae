"""`interlock doctor --ready --server`: the checklist against a server that runs, and against ones that a checklist has to refuse."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from interlock.app.ready_files import Line
from interlock.app.ready_live import DOORS, lines
from interlock.cli.main import USAGE, main
from interlock.config.load import load

from .tenants_kit import town


def by_name(found: list[Line]) -> dict[str, Line]:
    return {each.about: each for each in found}


@pytest.mark.requirement("SG-11")
async def test_a_server_that_is_as_it_should_be_has_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    async with town(tmp_path) as place:
        asked = len(place.vendor.asked)
        found = by_name(await asyncio.to_thread(lambda: list(lines(load(tmp_path), place.url, "il-server"))))
        assert {name: each.level for name, each in found.items()} == dict.fromkeys(
            ("server", "wire", "strangers", "pages", "served", "errors"), "ok"
        )
        assert f"refused at {len(DOORS)} addresses" in found["strangers"].said
        assert len(place.vendor.asked) == asked, "no vendor was called"

        (tmp_path / "policies").mkdir()
        (tmp_path / "policies" / "more.yaml").write_text("limits: [{per: tenant, period: day, usd: 20}]\n")
        again = by_name(await asyncio.to_thread(lambda: list(lines(load(tmp_path), place.url, "il-server"))))
        assert (again["served"].level, again["served"].do) == ("fault", "`interlock reload`.")
        wrong = by_name(await asyncio.to_thread(lambda: list(lines(load(tmp_path), place.url, "il-nobodys"))))
        assert (wrong["served"].said, wrong["errors"].level) == ("the key at hand is answered 401", "fault")
        capsys.readouterr()
        monkeypatch.setenv("INTERLOCK_API_KEY", "il-server")
        told = ("doctor", "--ready", "--json", "--server", place.url, "-w", str(tmp_path))
        await asyncio.to_thread(main, told)
        assert {"strangers", "served", "sandbox"} <= {
            each["about"] for each in json.loads(capsys.readouterr().out)["lines"]
        }


NOT_THE_LOOPBACK = "127.0.0.2"
"""As the checklist sees it: an address of which it does not know that nobody else is on the way."""


class Open(BaseHTTPRequestHandler):
    """Says yes to everybody, and repeats what it was told."""

    def do_GET(self) -> None:
        self.said(b'{"version": "000000000000"}')

    def do_POST(self) -> None:
        self.said(self.rfile.read(int(self.headers["content-length"])))

    def said(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Quiet."""


@contextmanager
def serving() -> Generator[str]:
    with ThreadingHTTPServer((NOT_THE_LOOPBACK, 0), Open) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{NOT_THE_LOOPBACK}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.requirement("SG-11")
def test_a_server_that_is_open_to_everybody_and_repeats_what_it_hears_is_not_ready(tmp_path: Path):
    (tmp_path / "interlock.yaml").write_text("tenant: acme\n")
    with serving() as url:
        found = by_name(list(lines(load(tmp_path), url, "k")))
    bad = {name for name, each in found.items() if each.level == "fault"}
    assert bad == {"wire", "strangers", "pages", "served", "errors"}
    assert "POST /v1/chat/completions" in found["strangers"].said
    assert all(each.do for name, each in found.items() if name in bad)


@pytest.mark.requirement("SG-11")
def test_one_that_is_away_is_a_fault_and_so_is_an_address_that_is_none(tmp_path: Path):
    (tmp_path / "interlock.yaml").write_text("tenant: acme\n")
    with socket.socket() as held:  # bound by us and listened at by nobody
        held.bind(("127.0.0.1", 0))
        (gone,) = lines(load(tmp_path), f"http://127.0.0.1:{held.getsockname()[1]}", "k")
    assert (gone.about, gone.level) == ("server", "fault")
    (odd,) = lines(load(tmp_path), "nonsense", "k")
    assert odd.level == "fault"


def test_a_server_is_asked_by_the_checklist_only(capsys: pytest.CaptureFixture[str]):
    assert main(["doctor", "--server"]) == USAGE
    assert "--server belongs to --ready" in capsys.readouterr().err
