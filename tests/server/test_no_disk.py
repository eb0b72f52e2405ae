"""What a request never waits for: no file is opened on its way, and no database is asked, once everything is warm."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interlock.storage.database import Database

from .door import ASK, ASK_STREAM, post
from .test_end_to_end import FILES, house

GOVERNED = (
    FILES
    + """\
caching:
  exact_cache: {{enabled: true, ttl_seconds: 3600}}
limits:
  - {{per: key, period: minute, requests: 100000, tokens: 100000000}}
  - {{per: tenant, period: day, usd: 1000}}
"""
)


class Watch:
    """Notes what the thread that made it does to disks while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        self._thread = threading.get_ident()
        sys.addaudithook(self._audit)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and event in ("open", "sqlite3.connect", "os.rename", "os.remove", "os.mkdir", "os.truncate"):
            self.note(f"{event} {args[0]!r}")

    def note(self, what: str) -> None:
        if self.on and threading.get_ident() == self._thread:
            self.seen.append(what)


def watched(monkeypatch: pytest.MonkeyPatch, name: str, watch: Watch) -> None:
    plain = getattr(Database, name)

    @contextmanager
    def noting(self: Database, doing: str) -> Generator[Any]:
        watch.note(f"{name}: {doing}")
        with plain(self, doing) as connection:
            yield connection

    monkeypatch.setattr(Database, name, noting)


async def test_no_file_is_opened_and_no_database_asked_on_the_way_of_a_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()
    watched(monkeypatch, "reading", watch)
    watched(monkeypatch, "transaction", watch)
    async with house(tmp_path, files=GOVERNED) as up:
        wire = await up.door.send()
        for number in (1, 2, 3, 3):  # the last one is in the exact cache
            watch.on = number > 2
            for ask in (ASK, ASK_STREAM):
                wire.writer.write(post(ask.replace(b"hi", b"hi %d" % number)))
                head = await wire.head()
                assert head[0] == 200
                if "content-length" in head[1]:
                    await wire.reader.readexactly(int(head[1]["content-length"]))
                else:
                    await wire.reader.readuntil(b"0\r\n\r\n")
        watch.on = False
    assert watch.seen == []
