"""A worker with a machine of its own: who gets in, what its level is worth, whose network its code has. That calls go as here is shown by the
modules that `conftest.CONFORMANCE` names.
"""

import asyncio
import json
import os
import random
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from interlock import Interlock
from interlock.core.caller import Caller
from interlock.core.egress import Allow, Credential, EgressPolicy
from interlock.core.errors import SandboxRefused, Shed
from interlock.core.sandbox import Job, RunLimits
from interlock.sandbox.remote.websocket import WebSocket, masked, offer
from interlock.tools.line import ToolRequest
from tests.net.egress_kit import given

from . import kit
from .certificates import Authority
from .distant import Distant, working
from .test_network import Proxy

pytestmark = pytest.mark.requirement("TL-03")
ELSEWHERE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Distant]:
    kit.require_namespaces()
    async with working(tmp_path, clients=("gateway",)) as distant:
        yield distant


async def test_a_kernel_of_its_own_makes_the_level_vm_and_a_shared_one_does_not(worker: Distant):
    apart = worker.sandbox(min_level="vm", here=ELSEWHERE)
    outcome = await kit.run(apart, "1 + 1")

    assert (await apart.start(), outcome.level, outcome.value) == ("vm", "vm", 2)
    assert outcome.stains == ("sandbox: level vm",)
    with pytest.raises(SandboxRefused, match="runs on the same kernel as this process"):
        await worker.sandbox(min_level="vm").start()
    assert await worker.sandbox().start() == worker.level


async def test_only_certificates_of_the_authority_with_an_allowed_name_get_in(worker: Distant, tmp_path: Path):
    (tmp_path / "y").mkdir()
    own = tmp_path / "authority.pem"
    kept = own.read_bytes()
    stranger, key = Authority(tmp_path / "y", "another").signs("gateway")
    stranger.rename(tmp_path / "stranger.pem")
    key.rename(tmp_path / "stranger.key")

    with pytest.raises(SandboxRefused, match="cannot be reached"):
        await kit.run(worker.sandbox(client="stranger"), "1")
    with pytest.raises(SandboxRefused, match="403"):  # signed by the authority, under another name
        await kit.run(worker.sandbox(client="localhost"), "1")
    own.write_bytes((tmp_path / "y" / "another.pem").read_bytes())
    with pytest.raises(SandboxRefused, match="CERTIFICATE_VERIFY_FAILED"):  # a worker that our authority did not sign
        await kit.run(worker.sandbox(), "1")
    own.write_bytes(kept)
    assert (await kit.run(worker.sandbox(), "1")).value == 1


async def test_without_a_certificate_nothing_is_said(worker: Distant, tmp_path: Path):
    context = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
    reader, writer = await asyncio.open_connection("localhost", worker.port, ssl=context)
    writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
    try:
        said = await reader.read(1)
    except (ssl.SSLError, ConnectionError):
        said = b""
    writer.close()

    assert said == b""


async def test_the_network_of_its_code_is_the_gateways_and_secrets_stay_there(worker: Distant):
    proxy = Proxy()
    policy = EgressPolicy((Allow("shop"),), (Credential("shop-key", "stand-in", given("real"), ("shop",)),))
    remote = worker.sandbox(egress=proxy)
    get = (
        "import os, urllib.request\n[urllib.request.urlopen('http://example.test/path', timeout=30).read().decode(),"
        " os.environ['SHOP_KEY'], open(os.environ['SSL_CERT_FILE']).read(), 'real' in str(os.environ)]"
    )

    outcome = await kit.run(remote, get, network=policy)
    both = await asyncio.gather(*(kit.run(remote, get, network=policy) for _ in range(4)))

    assert outcome.value == ["shop", "stand-in", "PEM", False]
    assert outcome.stains[1:] == ("egress allowed: GET shop:80/path (the test says so)",)
    assert all(each.value == outcome.value for each in both)
    assert proxy.living == 0


async def test_large_replies_pass_whole_and_other_ways_out_stay_closed(worker: Distant):
    remote = worker.sandbox(egress=Proxy())
    policy = EgressPolicy((Allow("x" * 60_000),))
    get = "import urllib.request\nlen(urllib.request.urlopen('http://example.test/', timeout=30).read())"
    direct = "import socket\nsocket.create_connection(('127.0.0.1', 8080), 1)"

    assert (await kit.run(remote, get, network=policy)).value == 60_000
    refused = await kit.run(remote, direct, network=policy)
    assert refused.error is not None
    assert refused.error.type == "PermissionError"
    with pytest.raises(SandboxRefused, match="no egress proxy"):
        await kit.run(worker.sandbox(), "1", network=policy)


async def test_a_gateway_that_hangs_up_ends_what_it_had_under_way(worker: Distant):
    remote = worker.sandbox()
    mark = f"sleep 61{os.getpid()}"
    job = Job("shell", mark, image="shell", limits=RunLimits(wall_s=60, processes=4))
    call = asyncio.create_task(remote.run(job))
    await until(lambda: running(mark))

    call.cancel()

    await until(lambda: not running(mark))


async def test_a_program_lives_as_long_as_its_streams_are_held(worker: Distant):
    job = Job("shell", "cat; echo over >&2", image="shell", limits=RunLimits(processes=4))
    async with worker.sandbox().program(job) as program:
        await program.write(b"one\n")
        assert await program.read() == b"one\n"
        assert program.level == worker.level


async def test_a_session_whose_worker_was_lost_is_rebuilt_on_the_next(tmp_path: Path):
    kit.require_namespaces()
    async with working(tmp_path) as first:
        session = first.sandbox().session("python")
        await session.run(Job("code", "x = 20", limits=kit.SHORT))
        record = list(session.cells)
    with pytest.raises(SandboxRefused, match="cannot be reached"):
        await session.run(Job("code", "x", limits=kit.SHORT))
    async with working(tmp_path) as second:
        again = second.sandbox().session("python", record)
        assert (await again.run(Job("code", "x + 1", limits=kit.SHORT))).value == 21
        await again.close()
    await session.close()


async def test_more_connections_than_a_worker_takes_are_shed(tmp_path: Path):
    kit.require_namespaces()
    async with working(tmp_path, max_in_flight=1) as worker:
        remote = worker.sandbox()
        slow = Job("code", "import time; time.sleep(3)", limits=kit.SHORT)
        done = await asyncio.gather(*(remote.run(slow) for _ in range(6)), return_exceptions=True)

    assert {type(each) for each in done} - {Shed} != set()
    assert any(isinstance(each, Shed) for each in done)


async def test_whatever_is_said_to_a_worker_ends_that_connection_alone(worker: Distant, tmp_path: Path):
    """Bytes instead of a handshake, frames instead of messages, messages out of order."""
    rng = random.Random(7)
    for at in range(24):
        reader, writer = await dialled(worker, tmp_path)
        if at % 3 == 0:
            writer.write(rng.randbytes(rng.randrange(1, 400)) + b"\r\n\r\n")
        else:
            socket = await offer(reader, writer, "localhost", "/v1/sandbox")
            await nonsense(socket, writer, rng, framed=at % 3 == 1)
        writer.close()

    assert (await kit.run(worker.sandbox(), "2 + 2")).value == 4


async def nonsense(socket: WebSocket, writer: asyncio.StreamWriter, rng: random.Random, *, framed: bool) -> None:
    for _ in range(6):
        if framed:
            kind = rng.choice([b"J", b"F", b"D", b"G", b"I", b"n", b"x", b"Q", b""])
            body = rng.choice(
                [b"", rng.randbytes(40), b"{}", b'{"mode":"run"}', b'{"mode":"session","limits":{"wall_s":-1}}']
            )
            try:
                await socket.send(kind + body)
            except ConnectionError:
                return
        else:
            writer.write(rng.randbytes(rng.randrange(2, 60)))


async def dialled(worker: Distant, folder: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    context.load_cert_chain(folder / "gateway.pem", folder / "gateway.key")
    return await asyncio.open_connection("localhost", worker.port, ssl=context)


def test_masking_twice_gives_the_message_back():
    rng = random.Random(3)
    for size in (0, 1, 3, 4, 5, 1000):
        data, key = rng.randbytes(size), rng.randbytes(4)
        assert masked(masked(data, key), key) == data
        assert masked(data, key)[:1] == bytes(a ^ key[0] for a in data[:1])


CONTRACT = "agent: {name: analyst, model: simulated/simulated, tools: [{name: code.run, timeout_ms: 30000}]}"


async def test_the_verb_serves_a_workspace_that_names_it_and_renewed_certificates_need_no_restart(tmp_path: Path):
    kit.require_namespaces()
    authority = Authority(tmp_path)
    authority.signs("localhost")
    authority.signs("gateway")
    files = ["--ca", "authority.pem", "--cert", "localhost.pem", "--key", "localhost.key"]
    command = [
        sys.executable,
        "-m",
        "interlock.cli.main",
        "sandbox-worker",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        *files,
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = await asyncio.to_thread(process.stderr.readline)
        port = int(said.split(":")[1].split(",")[0])
        worker = f"{{url: 'https://localhost:{port}', ca: authority.pem, certificate: gateway.pem, key: gateway.key}}"
        (tmp_path / "interlock.yaml").write_text(f"sandbox: {{worker: {worker}}}\n")
        (tmp_path / "agents").mkdir()
        (tmp_path / "agents" / "analyst.yaml").write_text(CONTRACT)
        async with Interlock.from_file(tmp_path) as il:
            first = await cell(il, "x = 6")
            doctor = [sys.executable, "-m", "interlock.cli.main", "doctor", "-w", str(tmp_path)]
            told = await asyncio.to_thread(subprocess.run, doctor, capture_output=True, text=True, check=False)
            renewed = Authority(tmp_path)  # the old one is gone, and so is everything that it signed
            renewed.signs("localhost")
            renewed.signs("gateway")
            other = await cell(il, "6 * 7", task="tsk_2")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stderr.close() if process.stderr else None

    assert "level namespaces" in said
    assert first["result"]["status"] == "ok", first
    assert other["result"]["value"] == 42, json.dumps(other)
    assert process.returncode == 0
    assert told.returncode == 0, told.stderr
    assert f"in force      {said.split('level ')[1].strip()} (demanded: namespaces)" in told.stdout
    assert "attacks were stopped." in told.stdout


KERNEL_WITHOUT_LANDLOCK = """
import struct, sys, os
sys.path.insert(0, sys.argv[1])
from guest.kernel import Kernel
steps = ((0x20, 0, 0, 0), (0x35, 0, 2, 444), (0x25, 1, 0, 446), (0x06, 0, 0, 0x00050026), (0x06, 0, 0, 0x7FFF0000))
kernel = Kernel()
kernel.no_new_privileges()
kernel.filter(b"".join(struct.pack("=HBBI", *step) for step in steps))  # 444 to 446, landlock's calls, are ENOSYS
assert not kernel.landlock_abi()
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


async def test_behind_a_kernel_of_its_own_landlock_may_be_missing_and_everything_says_so(tmp_path: Path):
    kit.require_namespaces()
    process, said = await worker_without_landlock(tmp_path, "--own-kernel")
    try:
        assert ", level namespaces" in said, said
        distant = Distant(tmp_path, int(said.split(":")[1].split(",")[0]), "namespaces")
        apart = distant.sandbox(min_level="vm", here=ELSEWHERE)
        outcome = await kit.run(apart, "1 + 1")
        found, abi = await apart.attacked()
        with pytest.raises(SandboxRefused, match="does without landlock, and is no machine of its own"):
            await distant.sandbox().start()
    finally:
        process.terminate()
        await asyncio.to_thread(process.communicate)

    assert said.endswith(", without landlock\n")
    assert (outcome.value, outcome.level, abi) == (2, "vm", 0)
    assert outcome.stains == ("sandbox: level vm", "sandbox: inside without landlock, which its kernel does not have")
    assert [each.attack for each in found if not each.ok] == []
    assert [each.attack for each in found if each.sign == "OPEN"] == ["list the root of the tree"]
    assert apart.weaker == ("inside, landlock is missing: the worker's kernel has none",)


async def test_without_the_word_that_a_machine_is_its_own_a_kernel_without_landlock_is_refused(tmp_path: Path):
    process, said = await worker_without_landlock(tmp_path)
    rest = (await asyncio.to_thread(process.communicate))[1]

    assert process.returncode != 0
    assert "this kernel has no landlock" in said + rest


async def worker_without_landlock(folder: Path, *flags: str) -> tuple[subprocess.Popen[str], str]:
    """`interlock sandbox-worker` on a kernel whose landlock calls are unknown to it, and its first line."""
    authority = Authority(folder)
    certificate, key = authority.signs("localhost")
    authority.signs("gateway")
    guest = kit.ROOT / "src" / "interlock" / "sandbox"
    tls = ("--ca", str(authority.path), "--cert", str(certificate), "--key", str(key))
    verb = ("-m", "interlock.cli.main", "sandbox-worker", "--host", "127.0.0.1", "--port", "0", *tls, *flags)
    process = subprocess.Popen(
        [sys.executable, "-c", KERNEL_WITHOUT_LANDLOCK, str(guest), *verb], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    return process, await asyncio.to_thread(process.stderr.readline)


async def cell(il: Interlock, code: str, task: str = "tsk_1") -> dict[str, Any]:
    caller = Caller("default", task=task)
    request = ToolRequest("code.run", {"code": code}, key=f"{task}-{code}")
    return (await il.desk.call(caller, request, il.contracts["analyst"].grants)).content


def running(mark: str) -> bool:
    """Whether a process of this machine has this in its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode().replace(b" ", b"\0") in (entry / "cmdline").read_bytes():
                    return True
            except OSError:
                continue
    return False


async def until(holds) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)
