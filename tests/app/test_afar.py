"""Followers of a task that another process works on: over PostgreSQL they hear it too, and nothing is sent while nobody follows."""

import asyncio
from pathlib import Path

import pytest
from msgspec import json

from interlock.agents.live import EXPECTED_S, Followers
from interlock.app import Interlock
from interlock.app.afar import AGAIN_S, MOST_MESSAGES, Afar
from interlock.core.live import Calling, Live, Said, Writing
from interlock.core.wires import MOST_BYTES
from interlock.testing.clock import FakeClock
from interlock.testing.upstream import Answer, Upstream
from tests.postgres import Postgres
from tests.servers import postgres_programs

from .conftest import Folder
from .test_live_text import AGENT, NEW, TEXT, following, settled, text_of, until_text
from .test_serve import serving
from .test_tasks_api import client


class Quiet:
    """A wire that the test carries messages over itself."""

    def send(self, messages: object) -> None: ...

    def wait(self, timeout_s: float) -> tuple[str, ...]:
        return ()

    def close(self) -> None: ...


async def _not_asked(*_: object, **__: object) -> object:
    raise AssertionError


class Process:
    """One end without its loop and its thread."""

    def __init__(self, name: str, clock: FakeClock) -> None:
        self.followers = Followers(_not_asked, clock)  # pyright: ignore[reportArgumentType] - no model is asked here
        self.afar = Afar(self.followers, Quiet(), name, clock)
        self.followers.came = self.afar.came

    def say_to(self, *others: "Process") -> list[str]:
        """Sends what is due to the others and, as the database does, to itself."""
        messages = list(self.afar.due())
        for each in (self, *others):
            for message in messages:
                each.afar.heard(message)
        return messages


@pytest.mark.requirement("AG-09", "OP-04")
async def test_words_go_only_where_somebody_follows_and_fit_into_messages_whatever_is_written():
    clock = FakeClock()
    writes, reads = Process("one", clock), Process("two", clock)
    writes.say_to(reads)
    writes.followers.tell("tsk_1", Said(4, 1, 0, "nobody hears"))
    assert writes.say_to(reads) == []
    heard: list[Live] = []
    with reads.followers.hearing("tsk_1", heard.append):
        reads.say_to(writes)
        assert writes.followers.followed("tsk_1")
        odd = '\N{GRINNING FACE}\x00\x01"' * 2_000
        told = [Writing(4, 1), Said(4, 1, 0, odd), Calling(4, 1, 0, "look", 0, odd)]
        for piece in told:
            writes.followers.tell("tsk_1", piece)
        sent = writes.say_to(reads)
        assert max(len(each.encode()) for each in sent) <= MOST_BYTES
        assert "".join(each.text for each in heard if isinstance(each, Said)) == odd
        assert "".join(each.text for each in heard if isinstance(each, Calling)) == odd
        writes.followers.tell("tsk_1", Said(4, 1, len(odd), "x" * 200_000))
        assert len(writes.say_to(reads)) <= MOST_MESSAGES
        clock.advance(AGAIN_S + 1)
        reads.say_to(writes)
    clock.advance(max(EXPECTED_S, 3 * AGAIN_S) + 1)
    reads.say_to(writes)
    writes.say_to(reads)
    assert not writes.followers.followed("tsk_1"), "who has gone is forgotten"


async def test_a_message_of_another_version_changes_nothing():
    process = Process("one", FakeClock())
    process.afar.heard("{}")
    process.afar.heard("not json")
    process.afar.heard(json.encode({"type": "follows", "by": "two"}).decode())
    assert process.afar.due() == []


@pytest.fixture
def shared(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.write("agents/support.yaml", AGENT + "  stream: true\n")
    return folder


@pytest.mark.requirement("AG-09", "OP-04")
async def test_a_follower_at_a_server_that_works_on_nothing_reads_what_a_worker_writes(shared: Folder):
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    go_on = asyncio.Event()
    with Postgres() as server:
        async with Upstream(Answer(text=TEXT, until=go_on, held_after=4)) as upstream:
            shared.provider("openai", upstream.base_url)
            store = f"workspace: documents\ntenant: acme\nstore: '{server.address()}'\n"
            shared.write("interlock.yaml", store + "workers: {serve: false}\n")
            async with (
                serving(shared) as address,
                client(address, shared.root) as http,
                Interlock.from_file(shared.root) as worker,
                asyncio.timeout(120),
            ):
                task = (await http.post("/api/tasks", json=NEW)).json()["task"]
                working = asyncio.ensure_future(worker.work())
                async with following(http, task) as events:
                    seen = await until_text(events, "Your order has")
                    go_on.set()
                    seen += [event async for event in events]
                worker.agents.stop()
                await working
    assert settled(seen)[-1]["content"]["response"]["text"] == TEXT
    assert text_of(seen) in (TEXT, "Your order has"), "what comes after the record is told no more"
    assert upstream.asked[0].streamed
