"""Streams under guards: which of them go out as they come."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.gateway import guarded
from interlock.testing.upstream import Upstream

from .conftest import Folder
from .guards_kit import MAIL, PII, opened, parrot, pieces_of


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize(
    ("said", "more", "as_it_comes"),
    [
        ("Where is my order?", PII, True),
        (f"I am {MAIL}", PII, False),
        ("What is [email:abcdefghijklmnop]?", PII, False),
        ("Where is my order?", PII + "guards: {moderation: {after: [rules]}}\n", False),
        ("Where is my order?", PII.replace("}", ", written: redact}"), False),
    ],
    ids=["nothing in it", "something covered", "a token in it", "answers are judged", "answers are covered"],
)
async def test_streams_pass_as_they_come_where_there_is_nothing_to_restore(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, said: str, more: str, as_it_comes: bool
) -> None:
    between: list[str] = []
    restoring = guarded.stream
    monkeypatch.setattr(guarded, "stream", lambda *given: (between.append("restoring"), restoring(*given))[1])
    async with Upstream(parrot(30)) as vendor, opened(folder, vendor, more) as il:
        got, reply = await pieces_of(il, said)
    assert (not between) is as_it_comes
    assert "".join(got) == reply.response.text == f"You said: {said}"
