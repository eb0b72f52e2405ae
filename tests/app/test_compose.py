"""Opening and closing: what one part opened is closed again, whatever happens to the others."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from interlock import Interlock
from interlock.cli.main import main
from interlock.core import plugins
from interlock.ondevice.engine import Engine


def ledger_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "interlock-ledger"]


def broken(_: object) -> None:
    raise RuntimeError("this plug-in cannot be built")


async def test_a_plug_in_that_cannot_be_built_leaves_nothing_open(policy_folder, monkeypatch):
    il = Interlock.from_file(policy_folder.root)
    with monkeypatch.context() as patched:
        patched.setattr(plugins, "find", lambda *_: SimpleNamespace(build=broken))
        with pytest.raises(RuntimeError, match="cannot be built"):
            async with il:
                pass
    assert ledger_threads() == []
    async with il:
        assert il.ledger_health().state == "ok"
    assert ledger_threads() == []


def test_a_process_ends_at_once_though_the_on_device_tier_is_still_learning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    learning, learned = threading.Event(), threading.Event()

    def find(_: Engine, __: str) -> None:
        learning.set()
        learned.wait()
        raise RuntimeError(
            "nobody waits for it any more, and what it would load next is not to meet the interpreter's end"
        )

    async def stopped() -> None:
        async with Interlock.from_file(tmp_path) as il:
            warming = asyncio.create_task(il.warm("helpdesk"))
            await asyncio.to_thread(learning.wait)
            warming.cancel()

    assert main(["init", str(tmp_path)]) == 0
    monkeypatch.setattr(Engine, "find", find)
    process = threading.Thread(target=lambda: asyncio.run(stopped()), daemon=True)
    process.start()
    process.join(timeout=60)
    over = not process.is_alive()
    learned.set()

    assert over
