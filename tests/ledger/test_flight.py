"""The journal of open calls, and telling the living from the dead."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.core.caller import Caller
from interlock.core.errors import StoreUnavailable
from interlock.core.events import Escalation
from interlock.core.shares import money_of
from interlock.ledger import alive, this_owner
from interlock.ledger.flight import SLOT_BYTES, Flight, Wreck, encode, encode_content, flight_path, left_behind
from tests.ledger.kit import attempt, call, crashed


def let_go(flight):
    """The lock goes as it goes when the process dies; the file stays."""
    flight._map.close()
    os.close(flight._file)


def landed(path):
    wreck = Wreck.find(path)
    assert wreck is not None
    found = list(wreck.calls())
    wreck.close(remove=False)
    return found


def test_a_slot_holds_the_crash_until_the_call_has_settled_and_nothing_when_it_is_cleared(tmp_path):
    flight = Flight(tmp_path / "f", 8)
    flight.put_open(0, crashed("t0"))
    flight.put_open(3, crashed("t3"))
    flight.put_settled(3, call("t3"), encode(call("t3")), encode_content({"response": {"text": "Friday."}}))
    flight.put_open(7, crashed("t7"))
    flight.clear(7)
    let_go(flight)
    open_call, settled = landed(tmp_path / "f")
    assert (open_call.settled, open_call.content) == (crashed("t0"), None)
    assert (settled.settled, settled.content) == (call("t3"), {"response": {"text": "Friday."}})


def test_a_cleared_slot_keeps_no_byte_of_its_content(tmp_path):
    flight = Flight(tmp_path / "f", 2)
    flight.put_open(1, crashed("t1"))
    flight.put_settled(1, call("t1"), encode(call("t1")), encode_content({"card": "4929-1188-0042-7761"}))
    flight.clear(1)
    assert set((tmp_path / "f").read_bytes()) == {0}
    flight.close(remove=True)


def test_the_file_is_allocated_whole_so_that_a_full_disk_cannot_kill_the_process(tmp_path):
    flight = Flight(tmp_path / "f", 64)
    status = (tmp_path / "f").stat()
    assert status.st_size == (64 + 8) * SLOT_BYTES
    assert status.st_blocks * 512 >= 64 * SLOT_BYTES
    assert status.st_mode & 0o777 == 0o600
    flight.close(remove=True)


def test_a_half_written_slot_counts_as_before(tmp_path):
    flight = Flight(tmp_path / "f", 1)
    flight.put_open(0, crashed("t0"))
    flight.put_settled(0, call("t0"), encode(call("t0")), b"")
    flight._map[1024 + 20] ^= 0xFF
    let_go(flight)
    (found,) = landed(tmp_path / "f")
    assert found.settled.status == "crashed"


def test_what_does_not_fit_loses_content_then_prose_then_attempts_but_never_place_or_money(tmp_path):
    tries = [attempt("error", deployment=f"p/{'m' * 60}{n}", simulated=n % 2 == 0) for n in range(60)] + [attempt()]
    huge = call(
        "t0",
        attempts=tries,
        reasons=("why" * 100,) * 50,
        message="m" * 9_000,
        escalations=(Escalation("a", "b", "r" * 5_000),),
        caller=Caller("acme", user="u" * 9_000, workflow="support_reply", task="t0", step=4),
    )
    flight = Flight(tmp_path / "f", 2)
    flight.put_settled(0, huge, encode(huge), encode_content({"text": "x" * 100_000}))
    flight.put_settled(1, call("t1"), encode(call("t1")), encode_content({"text": "x" * 100_000}))
    let_go(flight)
    found, plain = landed(tmp_path / "f")
    assert found.content is None
    assert money_of(found.settled) == money_of(huge)
    assert found.settled.usage == huge.usage
    assert (found.settled.call, found.settled.caller.task, found.settled.caller.step) == ("cal_t0_1", "t0", 4)
    assert (plain.settled, plain.content) == (call("t1"), None)


@pytest.mark.parametrize(
    ("name", "caller"),
    [
        ("support", Caller("acme", task="t0", step=1, labels=tuple(f"{n:x>100}" for n in range(16)))),
        ("\x00" * 5_000, Caller("acme", user="\x00" * 5_000, workflow="w" * 100, task="t0", step=1)),
    ],
    ids=["all the labels that a request may have", "names of characters that take most room"],
)
def test_nothing_that_a_caller_may_write_keeps_a_call_from_being_opened(tmp_path, name, caller):
    opened = crashed("t0", name=name, caller=caller)
    flight = Flight(tmp_path / "f", 1)
    flight.put_open(0, opened)
    let_go(flight)
    (found,) = landed(tmp_path / "f")
    assert (found.settled.call, found.settled.caller.tenant) == (opened.call, "acme")
    assert found.settled.cost_nano_usd == opened.cost_nano_usd


def test_content_of_any_kind_is_no_reason_to_lose_a_call(tmp_path):
    flight = Flight(tmp_path / "f", 1)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for content in ({"n": 2**90}, {"o": object()}, {"deep": deep}):
        flight.put_settled(0, call("t0"), encode(call("t0")), encode_content(content))
    let_go(flight)
    assert landed(tmp_path / "f")[0].settled == call("t0")


def test_a_living_process_keeps_its_journal(tmp_path):
    flight = Flight(tmp_path / "f", 1)
    assert Wreck.find(tmp_path / "f") is None
    assert Wreck.find(tmp_path / "nothing") is None
    second = Flight(tmp_path / "f", 1)
    assert second.path.name == "f-1"
    flight.close(remove=True)
    second.close(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_cannot_be_made_says_what_to_do(tmp_path):
    with pytest.raises(StoreUnavailable, match=r"could not be made.*Free space"):
        Flight(tmp_path / "no such folder" / "f", 1)


def test_journals_stand_beside_their_store_under_their_process(tmp_path):
    store = tmp_path / "store.db"
    path = flight_path(store, this_owner())
    assert path.name.startswith(f"store.db.flight2.{os.getpid()}-")
    path.touch()
    earlier = store.with_name("store.db.flight.1-2")
    earlier.touch()
    assert left_behind(store) == [earlier, path]


def test_the_living_are_told_from_the_dead():
    assert alive(this_owner())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host, boot, _, _ = this_owner().split(":")
    started = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
    owner = f"{host}:{boot}:{child.pid}:{started}"
    assert alive(owner)
    assert not alive(f"{host}:{boot}:{child.pid}:1"), "the number has been given to another process"
    assert not alive(f"{host}:another-boot:{child.pid}:{started}")
    child.communicate(b"\n")
    assert not alive(owner)


@pytest.mark.parametrize("owner", ["", "worker-1", "elsewhere:b:1:2", "a:b:c:d", "a:b"])
def test_whoever_cannot_be_judged_from_here_is_taken_for_alive(owner):
    assert alive(owner)
