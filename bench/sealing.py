"""What sealing costs: one text sealed and opened, and a call that is kept whole, from `settle` to committed, sealed against plain.

The text is what a usual call holds: 300 words of prompt and answer, about two kilobytes, different in each call. CPU is user and system time of the whole process, and runs of both
kinds take turns.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from msgspec import structs

from interlock.core.events import Settled
from interlock.core.store import Store
from interlock.core.time import SystemClock
from interlock.ledger import Recorder
from interlock.storage import SqliteStore
from interlock.storage.sealing.envelope import TENANTS, Envelope, overhead
from interlock.storage.sealing.keyring import Keyring
from interlock.storage.sealing.master import LocalMaster
from interlock.storage.sealing.records import SealedStore, place_of

from .ledger import PRICE, settled

COMMAND = "python -m bench sealing"
WORDS = ("order", "parcel", "Friday", "warehouse", "refund", "address", "customer", "is", "on", "the", "way", "please")
Figure = dict[str, Any]


def run(quick: bool) -> list[Figure]:
    calls, rounds = (300, 3) if quick else (4000, 7)
    with tempfile.TemporaryDirectory() as folder:
        keyring = Keyring(Path(folder) / "keyring.json", [LocalMaster(bytes(32))], SystemClock())
        envelope = Envelope(keyring)
        texts = [_text(number) for number in range(calls)]
        events = [settled(number) for number in range(calls)]
        plain: list[float] = []
        sealed: list[float] = []
        for turn in range(rounds):
            plain.append(_calls(Path(folder) / f"plain-{turn}.db", None, events, texts))
            sealed.append(_calls(Path(folder) / f"sealed-{turn}.db", envelope, events, texts))
        bytes_plain, bytes_sealed = (
            (Path(folder) / f"{name}-0.db").stat().st_size / calls for name in ("plain", "sealed")
        )
        ours, theirs = statistics.median(sealed), statistics.median(plain)
        return [
            *_pieces(envelope, quick=quick),
            _figure("a call kept whole, plain: settled to committed", theirs, "CPU µs"),
            _figure("the same, sealed", ours, "CPU µs"),
            _figure("sealed ÷ plain", ours / theirs, "ratio"),
            _figure("CPU that sealing adds to a call that is kept whole", ours - theirs, "CPU µs"),
            _figure("room in the store of a call, plain", bytes_plain, "bytes"),
            _figure("the same, sealed", bytes_sealed, "bytes"),
        ]


def _pieces(envelope: Envelope, *, quick: bool) -> list[Figure]:
    times = 500 if quick else 20_000
    found: list[Figure] = []
    for name, size in (("1 KiB", 1024), ("64 KiB", 65_536)):
        data, some = bytes(size), max(20, times // (size // 1024))
        made = envelope.seal("acme", "p", data)
        found += [
            _figure(f"sealing {name}", _each(lambda data=data: envelope.seal("acme", "p", data), some), "CPU µs"),
            _figure(f"opening {name}", _each(lambda made=made: envelope.open("p", made), some), "CPU µs"),
        ]
    found.append(_figure("a seal is longer than its text by", overhead(TENANTS), "bytes"))
    return [*found, *_users(envelope, some=20 if quick else 2000, gone=10 if quick else 1000)]


def _users(envelope: Envelope, *, some: int, gone: int) -> list[Figure]:
    """Keys of users: at hand, worked out, and what erasing some of them leaves in the keyring."""
    ring, data = cast("Keyring", envelope.keys), bytes(1024)
    kept = envelope.seal("acme", "p", data, user="bob")
    at_hand = _each(lambda: envelope.seal("acme", "p", data, user="bob"), some)
    names = iter(f"user-{number}" for number in range(some))
    fresh = _each(lambda: ring.of_user("acme", next(names)), some)
    size = ring.path.stat().st_size
    before = time.perf_counter()
    for number in range(10):
        ring.forget("acme", [f"user-{number}"])
    each_ms = (time.perf_counter() - before) * 100
    one = (ring.path.stat().st_size - size) / 10
    ring.forget("acme", [f"user-{number}" for number in range(10, gone)])
    many = (ring.path.stat().st_size - size) / gone
    read = Envelope(Keyring(ring.path, [LocalMaster(bytes(32))], SystemClock()))
    began = time.perf_counter()
    assert read.open("p", kept) == data
    opened_ms = (time.perf_counter() - began) * 1000
    return [
        _figure("sealing 1 KiB under a user's key that is at hand", at_hand, "CPU µs"),
        _figure("working out the key of a user", fresh, "CPU µs"),
        _figure("destroying a user's key, on the disk", each_ms, "ms"),
        _figure("room in the keyring of an erased user, of 10", one, "bytes"),
        _figure(f"the same, of {gone}", many, "bytes"),
        _figure(f"a process's first text of a user, with {gone} erased: keyring read, text opened", opened_ms, "ms"),
    ]


def _each(work: Callable[[], object], times: int) -> float:
    before = time.thread_time()
    for _ in range(times):
        work()
    return (time.thread_time() - before) / times * 1e6


def _calls(path: Path, envelope: Envelope | None, events: list[Settled], texts: list[dict[str, Any]]) -> float:
    """CPU µs of each call."""
    plain = SqliteStore.open(path)
    store = plain if envelope is None else cast("Store", SealedStore(plain, envelope))

    def seal(call: Settled, body: bytes) -> bytes:
        assert envelope is not None
        return envelope.body(call.caller.tenant, place_of(call.caller.task, call.caller.step, call), body)

    recorder = Recorder(
        store, SystemClock(), path=path, price_of_version=lambda _: PRICE, seal=None if envelope is None else seal
    )
    recorder.start()
    before = time.process_time()
    for event, text in zip(events, texts, strict=True):
        recorder.settle(recorder.open(structs.replace(event, status="crashed")), event, text)
        while recorder.health().queued > 1024:
            time.sleep(0.001)
    recorder.close_now(30.0)
    spent = time.process_time() - before
    store.close()
    return spent / len(events) * 1e6


def _text(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    words = " ".join(f"{rng.choice(WORDS)}{rng.randrange(100)}" for _ in range(300))
    return {"request": [{"role": "user", "text": words[:1200]}], "response": {"text": words[1200:], "finish": "stop"}}


def _figure(figure: str, value: float, unit: str) -> Figure:
    return {"figure": figure, "value": round(value, 3), "unit": unit, "goal": None, "ok": None, "command": COMMAND}
