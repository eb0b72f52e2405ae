"""Opening and closing: what one part opened is closed again, whatever happens to the others."""

import threading
from types import SimpleNamespace

import pytest

from interlock import Interlock
from interlock.core import plugins


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
