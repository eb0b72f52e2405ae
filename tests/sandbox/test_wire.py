"""What comes out of a sandbox is an attacker's: frames, results and archives of any bytes harm nobody but the call itself."""

import json
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.sandbox import FileIn, Job, RunLimits
from interlock.sandbox import wire
from interlock.sandbox.local import LocalSandbox
from interlock.sandbox.paths import Folder, checked

from . import kit

pytestmark = pytest.mark.requirement("TL-03")

LIMITS = RunLimits(result_bytes=2_000, files_out=3, files_out_bytes=5_000)


def frame(kind: bytes, body: bytes) -> bytes:
    return struct.pack("!cI", kind, len(body)) + body


def file(path: str, data: bytes, size: int | None = None) -> bytes:
    head = frame(b"F", json.dumps({"path": path, "size": len(data) if size is None else size, "kind": "file"}).encode())
    return head + (frame(b"D", data) if data else b"")


RESULT = frame(b"R", b'{"status": "ok", "value": 7}')


def fed(data: bytes, piece: int = 1 << 20) -> wire.Reader:
    reader = wire.Reader(LIMITS)
    for at in range(0, len(data), piece):
        reader.feed(data[at : at + piece])
    return reader


@given(st.binary(max_size=400), st.integers(1, 50))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_an_answer_or_a_fault_and_nothing_else(data: bytes, piece: int):
    try:
        reader = fed(data, piece)
    except wire.WireFault:
        return
    assert reader.result is None or reader.result.status in ("ok", "error")


FRAMES = st.lists(
    st.one_of(
        st.builds(frame, st.sampled_from([b"F", b"D", b"R", b"C", b"X"]), st.binary(max_size=60)),
        st.builds(file, st.text(max_size=30), st.binary(max_size=100), st.none() | st.integers(-5, 200)),
        st.builds(
            lambda value: frame(b"R", json.dumps(value).encode()),
            st.recursive(st.none() | st.text(), st.lists, max_leaves=9),
        ),
        st.just(RESULT),
    ),
    max_size=8,
)


@given(FRAMES)
@settings(max_examples=150, deadline=None)
def test_whatever_the_order_of_frames_only_plain_paths_within_the_caps_come_out(frames: list[bytes]):
    reader = wire.Reader(LIMITS)
    with suppress(wire.WireFault):
        reader.feed(b"".join(frames))
    assert len(reader.files) <= LIMITS.files_out
    assert sum(len(each.data) for each in reader.files) <= LIMITS.files_out_bytes
    for each in reader.files:
        assert checked(each.path) == each.path
        assert len(each.data) == each.size


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../b",
        "a//b",
        "./a",
        "a/.",
        "a\0b",
        "a\nb",
        "a\\b",
        "~/x/../y",
        "x" * 256,
        "/".join("a" * 20),
        "\ud800",
        "\u202ename",
    ],
)
def test_paths_that_climb_or_hide_are_refused(path: str):
    with pytest.raises(ValueError, match="not the plain relative path"):
        checked(path)


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (frame(b"R", b"x" * 20_000), "result"),
        (frame(b"R", b'{"status": "ok", "value": NaN}'), "result"),
        (frame(b"R", b'{"status": "root"}'), "result"),
        (frame(b"R", b"[" * 9_000), "result"),
        (frame(b"Z", b""), "result"),
        (frame(b"D", b"early"), "result"),
        (file("a", b"ab", 1), "result"),
        (file("a", b"", 3) + RESULT, "result"),
        (file("a", b"", 6_000), "files_out"),
        (file("a", b"", -1), "files_out"),
        (b"".join(file(f"f{n}", b"x") for n in range(4)), "files_out"),
        (file("../../etc/cron.d/x", b"x"), "result"),
    ],
)
def test_what_breaks_the_protocol_or_a_cap_ends_the_call(data: bytes, limit: str):
    with pytest.raises(wire.WireFault) as fault:
        fed(data)

    assert fault.value.limit == limit


def test_what_follows_a_result_is_not_looked_at():
    assert fed(RESULT + b"\xff" * 999).result == wire.Result("ok", 7)


def test_files_are_written_below_their_folder_and_never_through_a_link(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_text("untouched")
    (tmp_path / "out" / "link").symlink_to(tmp_path)
    (tmp_path / "out" / "leaf").symlink_to(tmp_path / "secret")
    folder = Folder(tmp_path / "out")
    try:
        for path in ("link/secret", "leaf"):
            with pytest.raises(OSError, match=r"symbolic|directory"):
                folder.begin(path)
        folder.begin("a/b/c.txt")
        folder.data(b"here")
    finally:
        folder.close()

    assert (tmp_path / "secret").read_text() == "untouched"
    assert (tmp_path / "out" / "a" / "b" / "c.txt").read_text() == "here"


LIES = {
    "a file outside": file("../../../tmp/owned", b"x"),
    "endless data": frame(b"D", b"x" * 60_000) * 500,
    "no frame at all": b"\0" * 5_000_000,
    "a result, then more": RESULT + b"x" * 5_000_000,
    "a length that never comes": struct.pack("!cI", b"R", 1_000),
}


@pytest.mark.parametrize("lie", LIES)
async def test_code_that_writes_to_the_job_socket_itself_is_ended_and_harms_only_its_call(
    sandbox: LocalSandbox, lie: str
):
    code = f"import os, sys\nlie = {LIES[lie][:70_000]!r}\nfor _ in range(80):\n    os.write(3, lie)\nos._exit(0)"

    outcome = await kit.run(sandbox, code)

    assert outcome.status in ("limit", "exited", "ok")
    assert not Path("/tmp/owned").exists()
    assert (await kit.run(sandbox, "6 * 7")).value == 42


async def test_descriptors_that_foreign_code_sends_up_are_dropped(sandbox: LocalSandbox):
    await kit.run(sandbox, "1")
    before = len(list(Path("/proc/self/fd").iterdir()))
    code = "import socket, array\ns = socket.socket(fileno=3)\nfor _ in range(50): s.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0, 1, 2]))])"

    await kit.run(sandbox, code)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_a_job_with_a_bad_path_is_refused_before_anything_runs(sandbox: LocalSandbox):
    with pytest.raises(ValueError, match="not the plain relative path"):
        await sandbox.run(Job("code", "1", files=(FileIn("../x", b""),)))
