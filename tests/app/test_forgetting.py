"""A server that runs drops what it keeps of somebody who is erased by another process."""

from __future__ import annotations

import asyncio

import pytest

from interlock.app import Interlock
from interlock.app.erasing import erase
from interlock.app.erasures import Erasure, Erasures
from interlock.app.forgetting import Forgetting
from interlock.app.looks import Looks
from interlock.app.stores import open_store
from interlock.config.load import load
from interlock.core.caller import Caller
from interlock.core.errors import StoreUnavailable
from interlock.core.store import TaskFilter
from interlock.core.time import SystemClock
from interlock.testing.clock import FakeClock
from interlock.testing.upstream import Answer, Upstream

from .conftest import Folder

FILES = """
models: {support: openai/gpt-4o-mini}
caching: {exact_cache: {enabled: true}}
"""
WAIT_S = 60.0


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    made.write("interlock.yaml", FILES)
    return made


@pytest.mark.requirement("SG-08")
@pytest.mark.parametrize("backend", ["memory", "store"])
async def test_cached_answers_of_the_tenant_are_dropped_and_those_of_others_are_not(folder, backend):
    folder.write("interlock.yaml", FILES.replace("enabled: true", f"enabled: true, backend: {backend}"))
    async with Upstream(Answer(text="On Friday.")) as vendor:
        folder.provider("openai", vendor.base_url)
        async with Interlock.from_file(folder.root) as il:

            async def asked(tenant: str) -> str:
                reply = await il.chat("support", "When?", caller=Caller(tenant, user="ada"))
                return reply.settled.cache

            assert [await asked(each) for each in ("default", "rival") * 2] == ["", "", "exact", "exact"]
            await asyncio.to_thread(erase, load(folder.root), SystemClock(), "ada")
            assert await asked("default") == "exact", "nobody has looked yet"
            await il.forgetting.look()
            assert [await asked(each) for each in ("default", "rival")] == ["", "exact"]
            await il.forgetting.look()
            assert [await asked(each) for each in ("default", "rival")] == ["exact", "exact"], "once, and not again"


@pytest.mark.requirement("SG-08")
async def test_it_is_looked_for_while_a_server_runs_and_two_erasures_at_once_clear_everything(folder):
    workspace, clock = load(folder.root), SystemClock()
    store, heard = open_store(workspace), asyncio.Queue[str]()

    async def forget(tenant: str) -> None:
        await heard.put(tenant)

    looks = Looks(store.changes())
    forgetting, erasures = Forgetting(store, forget, looks), Erasures(workspace, clock)
    await forgetting.look()
    looks.start()
    erasures.tell(store.texts, "acme")
    assert await asyncio.wait_for(heard.get(), WAIT_S) == "acme"
    await looks.close()
    erasures.tell(store.texts, "acme")
    erasures.tell(store.texts, "rival")
    await forgetting.look()
    assert heard.get_nowait() == "", "whose the first was is not known any more"
    store.close()


def test_machines_that_share_a_store_and_no_folder_have_a_list_each(tmp_path):
    folders = [Folder(tmp_path / name) for name in ("one", "two")]
    lists = []
    for each in folders:
        each.write("interlock.yaml", "tenant: acme\n")
        lists.append(Erasures(load(each.root), SystemClock()))
    store = open_store(load(folders[0].root))
    for n, user in enumerate(("ada", "bob", "eve")):
        lists[0].note(Erasure(n, "acme", user, keys=True))
    lists[0].done(store.texts, lists[0].all())
    lists[1].note(Erasure(9, "acme", "mia"))
    assert [[each.user for each in one.pending(store.texts)] for one in lists] == [[], ["mia"]]
    with lists[1].path.open("ab") as file:
        file.write(b'{"at_ns":10,"tenant":"acme","us')
    assert [each.user for each in lists[1].pending(store.texts)] == ["mia"], "what was cut off was never begun with"
    lists[1].note(Erasure(11, "acme", "mia", keys=True))
    assert lists[1].pending(store.texts) == [Erasure(11, "acme", "mia", keys=True)]
    lists[1].done(store.texts, [Erasure(11, "acme", "mia")])
    assert [one.pending(store.texts) for one in lists] == [[], []]
    lists[1].path.write_bytes(b"{}")
    with pytest.raises(StoreUnavailable, match="list of erasures cannot be used"):
        lists[1].pending(store.texts)
    store.close()


@pytest.mark.requirement("SG-08")
def test_an_erasure_that_another_process_began_meanwhile_is_still_to_be_done(folder):
    workspace = load(folder.root)
    store, erasures = open_store(workspace), Erasures(workspace, SystemClock())
    ada, bob = Erasure(1, "default", "ada", keys=True), Erasure(2, "default", "bob")
    erasures.note(ada)
    pending = erasures.pending(store.texts)
    erasures.note(bob)
    erasures.done(store.texts, pending)
    assert erasures.pending(store.texts) == [ada, bob], "bob's tasks are not over"
    erasures.done(store.texts, [ada, bob])
    assert erasures.pending(store.texts) == []
    store.close()


@pytest.mark.requirement("SG-08")
async def test_what_another_machine_began_by_a_clock_that_is_ahead_is_erased_too(folder):
    async with Upstream(Answer(text="On Friday.")) as vendor:
        folder.provider("openai", vendor.base_url)
        async with Interlock.from_file(folder.root) as il:
            await il.chat("support", "When?", caller=Caller("default", user="ada"))
    erased = await asyncio.to_thread(erase, load(folder.root), FakeClock(wall_ns=1_000), "ada")
    assert (erased.tasks, erased.whole) == (1, True)
    store = open_store(load(folder.root))
    assert [each.content for row in store.tasks.list(TaskFilter()) for each in store.records(row.id)] == [None]
    store.close()
