"""What strangers with a key may upload: bodies of uploads, and files of batches, of whatever bytes. A refusal or a fault, and never a defect; nothing is written elsewhere."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interlock.core.batches import BatchRow, FileRow, Line
from interlock.core.caller import Caller
from interlock.core.time import SystemClock
from interlock.gateway.batch_files import body_of, read_lines
from interlock.ledger import BatchLog, Recorder
from interlock.storage import Folder, SqliteStore

from .tenants_kit import town

PART = b'--x\r\ncontent-disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
WHOLE = PART % (b"purpose", b"", b"batch") + PART % (b"file", b'; filename="a.jsonl"', b"{}") + b"--x--\r\n"
NAMES = (
    b"../../../etc/passwd",
    b"..\\..\\a",
    b"a\x00b",
    b"/etc/cron.d/x",
    b"\xff\xfe",
    b"x" * 5_000,
    b'"; name="purpose',
    b"",
)


def uploads() -> Iterator[bytes]:
    """A whole one, cut, changed and put together wrongly."""
    rng = random.Random(11)
    yield from (
        PART % (b"purpose", b"", b"batch") + PART % (b"file", b'; filename="%b"' % each, b"{}") + b"--x--\r\n"
        for each in NAMES
    )
    yield from (WHOLE[: rng.randrange(len(WHOLE))] for _ in range(8))
    for _ in range(24):
        at = rng.randrange(len(WHOLE))
        yield WHOLE[:at] + rng.randbytes(rng.randrange(4)) + WHOLE[at + rng.randrange(3) :]
    yield WHOLE * 3
    yield b"".join(PART % (b"f%d" % n, b"", b"v") for n in range(40)) + b"--x--\r\n"
    yield b"--x\r\n" + b"a: b\r\n" * 400 + b"\r\nv\r\n--x--\r\n"
    yield b"--x\r\n\r\n" * 50


@pytest.mark.requirement("SG-09")
async def test_an_upload_of_whatever_bytes_is_refused_or_kept_where_files_are_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with town(tmp_path) as place, place.client(place.owner) as client:
        kept = 0
        for body in uploads():
            form = {"content-type": rng_kind(body)}
            sent = await client.post("/v1/files", content=body, headers=form)
            assert sent.status_code in (200, 400, 413), (sent.status_code, body[:200])
            assert "Traceback" not in sent.text
            kept += sent.status_code == 200
        listed = (await client.get("/v1/files", params={"limit": "1000"})).json()["data"]
    assert kept >= len(NAMES) // 2
    folder = tmp_path / ".interlock" / "files"
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {each["id"] for each in listed} <= names
    assert all(name.startswith("file") for name in names), "its own name is none of the disk's"
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR and each.exc_info]


def rng_kind(body: bytes) -> str:
    """Mostly what the body is."""
    kinds = ("multipart/form-data; boundary=x",) * 6 + (
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="x',
    )
    return kinds[len(body) % len(kinds)]


ASKED = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m"}}
odd = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)
lines = st.one_of(
    st.binary(max_size=60),
    st.dictionaries(
        st.sampled_from([*ASKED, "other"]), odd | st.dictionaries(st.text(max_size=4), odd, max_size=2)
    ).map(lambda said: json.dumps({**ASKED, **said}).encode()),
    st.just(json.dumps(ASKED).encode()),
)


@pytest.mark.requirement("GW-05")
@settings(max_examples=25, deadline=None)
@given(found=st.lists(lines, max_size=6))
@example(found=[b'{"custom_id": "\xff", "method": "POST"}', b"[" * 10_000, b"\x00", json.dumps(ASKED).encode()])
def test_a_file_of_whatever_lines_is_taken_or_its_faults_are_named(
    tmp_path_factory: pytest.TempPathFactory, found: list[bytes]
):
    noted, faults, data = asyncio.run(_read(tmp_path_factory.mktemp("files"), b"\n".join(found)))
    assert faults or noted, "an empty file is a fault"
    assert len({each.custom_id for each in noted}) == len(noted)
    for each in noted:
        raw = data[each.at : each.at + each.size]
        assert isinstance(json.loads(body_of(raw)), dict | list | str | int | float | bool | None)


async def _read(root: Path, data: bytes) -> tuple[Sequence[Line], list[object], bytes]:
    """The lines that are in order, the faults, and the file as it was read."""
    store, clock = SqliteStore.open(root / "s.db"), SystemClock()
    recorder = Recorder(store, clock, path=root / "s.db")
    recorder.start()
    log = BatchLog(recorder, store, Folder(root / "files"), clock)
    file = FileRow("file_1", "acme", "batch", "n", 0, 1)

    async def pieces() -> AsyncIterator[bytes]:
        yield data

    await log.add_file(file, pieces())
    row = BatchRow("batch_1", "acme", Caller("acme"), ASKED["url"], file.id, "24h")  # pyright: ignore[reportArgumentType]
    await log.create(row)
    faults = await read_lines(row, log)
    noted = store.batches.pending(row.id, 0, 99)
    await recorder.close()
    store.close()
    return noted, list(faults), data
