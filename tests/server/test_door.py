"""One version of the faces follows another: streams of the cold side that would never end are ended in good order, everything else ends by itself."""

import asyncio
from typing import Any, cast

import pytest

from interlock.server import door as door_module
from interlock.server.asgi import ColdApp
from interlock.server.door import Door, Served

Message = dict[str, Any]


class Cold:
    """A cold side with one stream that ends when `over` is set."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.over, self.may_begin = asyncio.Event(), asyncio.Event()
        self.may_begin.set()

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        await self.may_begin.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.name, "more_body": True})
        await self.over.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def version(name: str) -> tuple[Served, Cold]:
    cold = Cold(name)
    return Served({}, {}, cast(ColdApp, cold), set(), set()), cold


async def reading(door: Door, first: int = 2) -> tuple[asyncio.Task[None], list[Message]]:
    """A request that has got its first piece, or none yet where `first` is 0."""
    sent: list[Message] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    task = asyncio.create_task(door({"type": "http"}, receive, send))
    await asyncio.sleep(0)
    while len(sent) < first:
        await asyncio.sleep(0)
    return task, sent


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_S", "LAST_S"):
        monkeypatch.setattr(door_module, name, 0.001)


@pytest.mark.requirement("OP-03")
async def test_a_stream_ends_with_the_version_that_it_began_with_and_the_next_one_is_of_the_new(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(door_module, "COLD_S", 60.0)
    (old, cold), (new, _) = version("old"), version("new")
    door = Door(old)
    first, told = await reading(door)
    left = door.turn(new)
    emptied = asyncio.create_task(door.emptied(left))
    second, told_later = await reading(door)
    assert (told[1]["body"], told_later[1]["body"]) == (b"old", b"new")
    assert not emptied.done(), "it waits for the one that began before"
    cold.over.set()
    await asyncio.gather(first, emptied)
    assert told[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second  # whoever else ends a request does so as ever


async def test_a_stream_that_would_never_end_is_ended_whole_after_a_while(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(door_module, "COLD_S", 0.01)
    (old, _), (new, _) = version("old"), version("new")
    door = Door(old)
    task, told = await reading(door)
    await door.emptied(door.turn(new))
    await task
    assert told[-1] == {"type": "http.response.body", "body": b"", "more_body": False}, (
        "its reader sees an end, and comes again"
    )


async def test_a_request_whose_answer_has_not_begun_takes_its_time_and_is_never_broken_off(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(door_module, "COLD_S", 0.0)
    (old, cold), (new, _) = version("old"), version("new")
    cold.may_begin.clear()
    door = Door(old)
    task, told = await reading(door, 0)
    emptied = asyncio.create_task(door.emptied(door.turn(new)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert (task.done(), emptied.done(), told) == (False, False, [])
    cold.over.set()
    cold.may_begin.set()
    await asyncio.gather(task, emptied)
    assert [each.get("body") for each in told] == [None, b"old", b""]
