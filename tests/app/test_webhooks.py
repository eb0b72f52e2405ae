"""Messages to other services: kept before they are true, sent once they are, again until they are taken, and not after they are true no more."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from interlock.agents.contract import Contract
from interlock.app.telling import Telling
from interlock.app.webhooks import Webhooks
from interlock.config.webhooks import Webhook
from interlock.core.errors import ConnectFailed, StoreUnavailable
from interlock.ledger import Beside
from tests.agents.kit import World, contract, make, says, wants

URL = "http://127.0.0.1:9/hook"


class Receiver:
    """An HTTP client that finds nobody for its first `away` requests."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.taken: list[tuple[str, Any]] = []

    async def request(self, request: Any, _deadline: object) -> Any:
        if self.away:
            self.away -= 1
            raise ConnectFailed("nothing listens there")
        self.taken.append((dict(request.headers)["webhook-id"], json.loads(request.body)))
        return type("Reply", (), {"status": 200})()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.close()


def receiver_of(**fields: Any) -> Webhook:
    return Webhook.model_validate({"url": URL, "secret": "a-secret-of-some-length", **fields})


def sender(world: World, http: Receiver, *to: Webhook) -> Webhooks:
    beside = Beside(world.ledger, world.store, world.clock)
    return Webhooks(to, beside, world.log, cast(Any, http), world.clock, random.Random(7))


def telling(world: World, *to: Webhook) -> Telling:
    return Telling(to, Beside(world.ledger, world.store, world.clock).tell, lambda: None)


def payer(**fields: Any) -> Contract:
    def pay(amount: float) -> str:
        return "paid"

    return contract(make(pay, effect="idempotent"), approvals={"pay": True}, **fields)


async def due(world: World, hooks: Webhooks, seconds: float = 1.0) -> int:
    world.clock.advance(seconds)
    return await hooks.deliver()


@pytest.mark.requirement("AG-14")
async def test_no_result_is_untold_though_the_worker_dies_before_it_is_written_or_right_after(world: World):
    to, http = receiver_of(), Receiver()
    agents = world.agents(payer(), [says("Hello."), says("Hello.")])
    agents.tell = telling(world, to)
    append, broken = world.log.append, ["first"]

    async def dies(records: Any) -> None:
        if broken and records[-1].event.__struct_config__.tag == "finished":
            broken.clear()
            raise KeyboardInterrupt
        await append(records)

    world.log.append = dies
    with pytest.raises(KeyboardInterrupt):
        await agents.run("support", {"text": "hi"})
    hooks = sender(world, http, to)
    assert await due(world, hooks) == 1
    assert http.taken == [], "it is kept, and not true yet"
    [result] = await agents.work_off()
    assert await due(world, hooks, 60) == 1
    [(message, body)] = http.taken
    assert message.startswith(f"msg_{result.task}:finished:")
    assert (body["type"], body["data"]["outcome"], body["data"]["answer"]) == ("task_finished", "resolved", "Hello.")
    assert await due(world, hooks, 600) == 0


@pytest.mark.requirement("AG-06", "AG-14")
async def test_a_message_is_sent_again_under_the_same_id_until_it_is_taken_and_the_address_is_spoken_of_twice(
    world: World, caplog: pytest.LogCaptureFixture
):
    to, http = receiver_of(), Receiver(away=2)
    agents = world.agents(payer(), [says("Hello.")])
    agents.tell = telling(world, to)
    await agents.run("support", {"text": "hi"})
    hooks = sender(world, http, to)
    with caplog.at_level(logging.WARNING, "interlock.webhooks"):
        assert [await due(world, hooks, 5) for _ in range(4)] == [1, 1, 1, 0]
    assert len(http.taken) == 1
    assert [line.split(" ", 1)[1] for line in caplog.messages] == [
        "does not take messages, they are sent again: nothing listens there",
        "takes messages again",
    ]


@pytest.mark.requirement("OB-05")
async def test_an_alarm_is_not_lost_where_the_store_is_away_when_it_is_to_be_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    http = Receiver()
    hooks, put = sender(world, http, receiver_of(events=("alert",))), world.store.outbox.put
    hooks.post("alert", "", "inc_1", {"title": "too dear"})
    monkeypatch.setattr(world.store.outbox, "put", away)
    with pytest.raises(StoreUnavailable):
        await hooks.deliver()
    monkeypatch.setattr(world.store.outbox, "put", put)
    assert await hooks.deliver() == 1
    assert [body["data"]["title"] for _, body in http.taken] == ["too dear"]


def away(_rows: object) -> None:
    raise StoreUnavailable("the disk is full")


async def test_a_receiver_that_stays_away_is_given_up_and_counted(world: World):
    to, http = receiver_of(give_up_after_s=60), Receiver(away=100)
    agents = world.agents(payer(), [says("Hello.")])
    agents.tell = telling(world, to)
    await agents.run("support", {"text": "hi"})
    hooks = sender(world, http, to)
    while await due(world, hooks, 20):
        pass
    assert (hooks.lost, world.store.outbox.waiting()) == (1, 0)


@pytest.mark.requirement("AG-06")
async def test_a_question_is_told_again_while_nobody_answers_and_never_after_somebody_did(world: World):
    to, http = receiver_of(events=("approval_asked",)), Receiver()
    agents = world.agents(payer(remind_every_s=100.0), [wants(("pay", {"amount": 5})), says("Done.")])
    agents.tell = telling(world, to)
    task = (await agents.run("support", {"text": "pay"})).task
    hooks = sender(world, http, to)
    assert await due(world, hooks) == 1
    assert await due(world, hooks, 50) == 0
    assert await due(world, hooks, 50) == 1
    [question] = await agents.questions(task)
    await agents.decide(task, question.step, "approve", who="pat")
    await agents.work_off()
    while await due(world, hooks, 100):
        pass
    assert [body["type"] for _, body in http.taken] == ["approval_asked", "approval_reminder"]
    assert http.taken[0][1]["data"]["decide"] == f"/api/approvals/{task}/{question.step}"
    assert world.store.outbox.waiting() == 0


async def test_a_receiver_that_the_workspace_names_no_more_is_told_nothing(world: World):
    agents = world.agents(payer(), [says("Hello.")])
    agents.tell = telling(world, receiver_of())
    await agents.run("support", {"text": "hi"})
    http = Receiver()
    assert await due(world, sender(world, http, receiver_of(url="http://other.example/hook"))) == 1
    assert (http.taken, world.store.outbox.waiting()) == ([], 0)


async def test_whoever_runs_it_sends_what_is_kept_as_soon_as_it_is_nudged(world: World):
    to, http = receiver_of(), Receiver()
    agents = world.agents(payer(), [says("Hello.")])
    hooks = Webhooks(
        [to],
        Beside(world.ledger, world.store, world.clock),
        world.log,
        cast(Any, http),
        world.clock,
        random.Random(7),
        sleep=lambda seconds: asyncio.sleep(0 if seconds < 1 else 60),
    )
    agents.tell = Telling([to], Beside(world.ledger, world.store, world.clock).tell, hooks.nudge)
    running = asyncio.ensure_future(hooks.run())
    await asyncio.sleep(0)
    await agents.run("support", {"text": "hi"})
    world.clock.advance(1)
    async with asyncio.timeout(60):
        while not http.taken:
            hooks.nudge()
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_nobody_is_told_of_a_fork(world: World):
    agents = world.agents(payer(), [says("Hello."), says("Again.")])
    task = (await agents.run("support", {"text": "hi"})).task
    agents.tell = telling(world, receiver_of())
    await agents.again.fork(task, 1, lambda each: each)
    assert world.store.outbox.waiting() == 0


async def test_a_message_of_no_task_is_kept_and_sent_once_for_its_id(world: World):
    to, http = receiver_of(), Receiver(away=1)
    hooks = sender(world, http, to)
    for _ in range(2):
        hooks.post("task_finished", "support", "inc_1:warn", {"what": "late"})
    hooks.post("something_else", "support", "inc_2", {})
    assert [await due(world, hooks, 5) for _ in range(3)] == [1, 1, 0]
    assert [(message.rpartition(":")[0], body["data"]) for message, body in http.taken] == [
        ("msg_inc_1:warn", {"what": "late"})
    ]
