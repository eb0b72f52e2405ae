"""A promise that breaks: who is told, what they are told, and what the gateway does about it."""

from __future__ import annotations

import asyncio
import email
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from email.message import Message
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from interlock.app.alerting import Alerting
from interlock.app.letters import letter_of
from interlock.app.looking import book_of
from interlock.app.mail import Mail
from interlock.app.usual import Usuals
from interlock.app.webhooks import Webhooks
from interlock.config.load import load
from interlock.config.webhooks import Webhook
from interlock.core import webhook
from interlock.core.caller import Caller, Secret, Versions
from interlock.core.events import FLOW, ApprovalAsked, Finished, Record, Settled, Started
from interlock.core.outbox import OutboxRow
from interlock.storage import SqliteStore
from interlock.testing.clock import FakeClock
from tests.observe.kit import MINUTE, ran

SECRET = "a-secret-of-some-length"
CONTRACT = """\
agent:
  name: support
  model: openai/gpt-4o-mini
  slo: {success: 99%, p95: 6s, window: 7d, when_spent: [cap_premium, stop_rollouts], runbook: "Call Mia."}
"""


def workspace(root: Path, more: str = "") -> Path:
    (root / "agents").mkdir(parents=True)
    (root / "interlock.yaml").write_text(f"tenant: acme\n{more}")
    (root / "agents" / "support.yaml").write_text(CONTRACT)
    return root


class Taken:
    """A receiver of webhooks."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []

    async def request(self, request: Any, _deadline: object) -> Any:
        webhook.verify(
            [Secret(SECRET)], dict(request.headers), request.body, int(dict(request.headers)["webhook-timestamp"])
        )
        self.got.append(msgspec.json.decode(request.body))
        return type("Reply", (), {"status": 200})()


class Memory:
    """An outbox."""

    def __init__(self) -> None:
        self.rows: dict[str, OutboxRow] = {}

    async def tell(self, rows: Sequence[OutboxRow]) -> None:
        self.rows.update({row.id: row for row in rows})

    async def take(self, until_ns: int, *, limit: int) -> list[OutboxRow]:
        return list(self.rows.values())[:limit]

    async def again(self, message: str, next_ns: int) -> None:
        raise AssertionError(f"{message} was not taken, next {next_ns}")

    async def done(self, message: str) -> None:
        del self.rows[message]


def hooks_to(*receivers: Webhook, http: Any = None, clock: FakeClock | None = None) -> Webhooks:
    return Webhooks(receivers, Memory(), cast(Any, None), http, clock or FakeClock(), random.Random(7))


class Post:
    """An SMTP server that takes everything, after it has refused so many times."""

    def __init__(self, refusals: int = 0) -> None:
        self.letters: list[Message] = []
        self._refusals = refusals
        self._open: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            async with server:
                yield server.sockets[0].getsockname()[1]
        finally:
            for writer in self._open:  # a client that was cut off leaves its connection
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for writer in self._open), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).strip().upper():
            if line == b"DATA":
                writer.write(b"354 go on\r\n")
                body = await reader.readuntil(b"\r\n.\r\n")
                self._refusals -= 1
                if self._refusals >= 0:
                    writer.write(b"451 later\r\n")
                    continue
                self.letters.append(email.message_from_bytes(body[:-5]))
            writer.write(b"221 bye\r\n" if line == b"QUIT" else b"250 ok\r\n")
        writer.close()


@pytest.mark.requirement("OB-07", "OB-09")
async def test_a_broken_promise_is_told_once_with_its_runbook_and_tasks_and_its_end_is_told_too(tmp_path: Path):
    files = load(workspace(tmp_path))
    store = SqliteStore.open(files.store)
    clock, receiver, spared = FakeClock(), Taken(), list[frozenset[str]]()
    now = clock.wall_ns()
    store.write([ran(f"t{n}", n * 10 * MINUTE, now_ns=now) for n in range(300)])
    store.write([ran(f"bad{n}", n * MINUTE, "failed", now_ns=now) for n in range(40)])
    to = Webhook.model_validate(
        {"url": "http://127.0.0.1:9/hook", "secret": SECRET, "events": ["alert", "alert_closed"]}
    )
    hooks = hooks_to(to, http=receiver, clock=clock)
    alerting = Alerting(files, store, clock, hooks, spare=spared.append)
    try:
        book = await alerting.turn(book_of(store, "acme"))
        book = await alerting.turn(book)
        assert await hooks.deliver() == 3
        told = {each["data"]["found"]["kind"]: each for each in receiver.got}
        assert {kind: each["data"]["found"]["severity"] for kind, each in told.items()} == {
            "slo_burn": "page",
            "slo_spent": "ticket",
            "change": "ticket",
        }
        assert "success 100 % → " in told["change"]["data"]["found"]["title"]
        found = told["slo_burn"]["data"]["found"]
        assert found["runbook"][0] == "Call Mia."
        assert set(found["tasks"]) <= {f"bad{n}" for n in range(40)}
        assert spared[-1] == {"support"}
        assert book_of(store, "acme") == book

        clock.advance(8 * 86_400)
        book = await alerting.turn(book)
        await hooks.deliver()
        assert len(receiver.got) == 5
        assert {each["type"] for each in receiver.got[3:]} == {"alert_closed"}
        assert spared[-1] == frozenset()
        assert {each.found.kind for each in book.of("acme") if each.open} <= {"change"}
    finally:
        store.close()


@pytest.mark.requirement("OB-07")
async def test_mail_goes_out_and_is_sent_again_where_the_server_does_not_take_it(tmp_path: Path):
    post = Post(refusals=1)
    async with post.listening() as port:
        more = f"alerts: {{email: {{host: 127.0.0.1, port: {port}, security: none, from: il@example.com, to: ops@example.com}}}}\n"
        files = load(workspace(tmp_path, more))
        store = SqliteStore.open(files.store)
        now = FakeClock().wall_ns()
        store.write([ran(f"bad{n}", n * MINUTE, "failed", now_ns=now) for n in range(40)])
        clock = FakeClock()
        book = await Alerting(files, store, clock, hooks_to()).turn(book_of(store, "acme"))
        store.close()
        letter = letter_of(book.incidents[0], "https://il.example.com/ui/incidents/x\r\nBcc: everybody@example.com")
        assert files.settings.alerts.email is not None
        mail = Mail(files.settings.alerts.email, sleep=lambda _: asyncio.sleep(0))
        mail.post(msgspec.structs.replace(letter, subject=letter.subject + "\r\nBcc: everybody@example.com"))
        working = asyncio.create_task(mail.run())
        async with asyncio.timeout(60):
            while not post.letters:
                await asyncio.sleep(0.01)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    (got,) = post.letters
    assert got["To"] == "ops@example.com"
    assert got["Bcc"] is None
    assert "99 %" in str(got["Subject"]) or "support" in str(got["Subject"])
    text = cast(bytes, got.get_payload(decode=True)).decode()
    assert "1. Call Mia." in text
    assert "bad0" in text


async def test_three_tasks_in_an_hour_that_were_stopped_are_an_incident(tmp_path: Path):
    files = load(workspace(tmp_path))
    store = SqliteStore.open(files.store)
    clock = FakeClock()
    now = clock.wall_ns()
    store.write([ran(f"t{n}", n * 10 * MINUTE, now_ns=now) for n in range(100)])
    store.write([ran(f"l{n}", n * MINUTE, "failed", now_ns=now, error="anomaly_loop") for n in range(3)])
    book = await Alerting(files, store, clock, hooks_to()).turn(book_of(store, "acme"))
    store.close()
    (found,) = [each.found for each in book.of("acme") if each.found.kind == "stopped"]
    assert (found.about, set(found.tasks)) == ("loop", {"l0", "l1", "l2"})


@pytest.mark.requirement("OB-06")
async def test_what_successes_need_is_known_to_the_tasks_that_begin_after_it_was_read(tmp_path: Path):
    store = SqliteStore.open(tmp_path / "store.db")
    clock = FakeClock()
    now = clock.wall_ns()
    usuals = Usuals(store, "acme", clock, {"support": 30})
    assert usuals("support") is None
    await asyncio.sleep(0)
    store.write([ran(f"t{n}", n * MINUTE, now_ns=now, cost=n * 1_000, calls=1) for n in range(1, 41)])
    store.write([ran("bad", MINUTE, "failed", now_ns=now, cost=10**9)])
    await usuals.read("support")
    known = usuals("support")
    store.close()
    assert known is not None
    assert (known.runs, known.cost_nano_usd) == (40, 40_000)


@pytest.mark.requirement("OB-09", "OB-06")
async def test_alarms_that_meters_give_name_the_tasks_behind_them_and_every_alarm_has_a_runbook(tmp_path: Path):
    files, clock = load(workspace(tmp_path)), FakeClock()
    store, now = SqliteStore.open(files.store), clock.wall_ns()

    def story(name: str, *events: Any) -> list[Record]:
        caller = Caller("acme", "u-1", workflow="support", task=name)
        told = (Started("support", caller, Versions()), *events, Finished("failed"))
        return [Record(name, seq, "acme", now - 10**9, each) for seq, each in enumerate(told)]

    def read(name: str, source: str) -> Settled:
        caller = Caller("acme", "u-1", workflow="support", task=name, step=1)
        return Settled(f"c{name}", "tool", source, caller, "ok", now - 10**9, signals=("injection:override",))

    asked = ApprovalAsked(1, "pay", "h", FLOW + "a stranger's value", 0, workflow="support")
    store.write([story(f"asks{n}", asked, asked, asked) for n in range(4)])
    store.write([story(f"orders{n}", read(f"orders{n}", "web.fetch")) for n in range(6)])
    store.write([story(f"plain{n}") for n in range(6)])
    try:
        book = await Alerting(files, store, clock, hooks_to(), spare=lambda _: None).turn(book_of(store, "acme"))
    finally:
        store.close()

    found = {each.found.kind: each.found for each in book.of("acme")}
    assert set(found["asks"].tasks) == {f"asks{n}" for n in range(4)}
    assert set(found["injection"].tasks) == {f"orders{n}" for n in range(6)}
    assert all(each.runbook and each.tasks for each in found.values())
