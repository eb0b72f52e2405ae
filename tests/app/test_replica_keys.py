"""Keys of several replicas on one Redis: what is ended at one is ended at all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from interlock.app import Interlock, limiting
from interlock.core.caller import Secret
from interlock.core.keys import KeyRecord
from interlock.server.auth import Keys
from tests.storage.redis_kit import Server

FILES = """\
workspace: shop
tenant: acme
store: interlock.db
redis: {{url: "{url}"}}
providers: {{v: {{dialect: simulated}}}}
models: {{support: [v/m]}}
"""
REPLICAS = 3


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.mark.requirement("GW-34")
async def test_a_key_that_is_ended_at_one_replica_opens_no_other_after_its_next_look(
    redis: Server, tmp_path: Path
) -> None:
    assert limiting.LOOK_S <= 0.5, "with the look itself, within a second"
    async with AsyncExitStack() as stack:
        replicas: list[Interlock] = []
        for number in range(REPLICAS):
            folder = tmp_path / f"replica{number}"
            folder.mkdir()
            (folder / "interlock.yaml").write_text(FILES.format(url=redis.url.reveal()))
            replicas.append(await stack.enter_async_context(Interlock.from_file(folder)))
        first = replicas[0].limiting
        record, secret = await asyncio.to_thread(first.keys.create, KeyRecord("", "ann", "acme", "", "", 0))
        doors = [Keys({}, each.limiting.book) for each in replicas]
        for each in replicas:
            await each.limiting.refresh()
        assert [opens(door, secret) for door in doors] == [True] * REPLICAS
        await asyncio.to_thread(first.keys.revoke, record.id)
        for each in replicas:
            await each.limiting.refresh()
        assert [opens(door, secret) for door in doors] == [False] * REPLICAS


def opens(door: Keys, secret: Secret) -> bool:
    return door.holder(door.presented(b"Bearer " + secret.reveal().encode())) is not None
