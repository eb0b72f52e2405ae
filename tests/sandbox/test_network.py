"""The seam for egress: no network by default; where a policy is named, the call's own listener is handed to the proxy, and nothing else works."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from interlock.core.egress import Allow, Credential, EgressDecision, EgressPolicy
from interlock.core.errors import SandboxRefused
from interlock.core.time import SystemClock
from interlock.sandbox.local import LocalSandbox, Options
from tests.net.egress_kit import given

from . import kit

pytestmark = pytest.mark.requirement("TL-05")


SHOP, WIKI = EgressPolicy((Allow("shop"),)), EgressPolicy((Allow("wiki"),))


class Proxy:
    """A proxy that answers every request with the name of its policy."""

    def __init__(self) -> None:
        self.served: list[tuple[str, bytes]] = []
        self.living = 0

    @asynccontextmanager
    async def serve(self, listener, policy: EgressPolicy, decided):
        task = asyncio.create_task(self._accept(listener, policy.allow[0].host, decided))
        try:
            yield "PEM"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _accept(self, listener: socket.socket, policy: str, decided) -> None:
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        self.living += 1
        try:
            while True:
                came, _ = await loop.sock_accept(listener)
                with came:
                    self.served.append((policy, await loop.sock_recv(came, 4096)))
                    decided(EgressDecision(True, "GET", policy, 80, "/path", "the test says so"))
                    body = policy.encode()
                    await loop.sock_sendall(
                        came, b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
                    )
        finally:
            self.living -= 1


@pytest.fixture
def proxy() -> Proxy:
    return Proxy()


@pytest.fixture
async def connected(proxy: Proxy) -> AsyncIterator[LocalSandbox]:
    kit.require_namespaces()
    made = LocalSandbox(Options(spares=2), SystemClock(), egress=proxy)
    yield made
    await made.close()


GET = "import urllib.request\nurllib.request.urlopen('http://example.test/path?q=1', timeout=30).read().decode()"


async def test_a_call_reaches_the_proxy_and_its_listener_names_the_policy(connected: LocalSandbox, proxy: Proxy):
    first, second = await asyncio.gather(kit.run(connected, GET, network=SHOP), kit.run(connected, GET, network=WIKI))

    assert (first.value, second.value) == ("shop", "wiki"), first
    assert {policy for policy, _ in proxy.served} == {"shop", "wiki"}
    assert proxy.served[0][1].startswith(b"GET http://example.test/path?q=1 HTTP/1.1\r\n")
    assert proxy.living == 0
    assert first.stains[1:] == ("egress allowed: GET shop:80/path (the test says so)",)


async def test_the_authority_of_looked_into_tls_and_the_stand_ins_of_secrets_are_given_to_the_call(
    connected: LocalSandbox,
):
    policy = EgressPolicy((Allow("shop"),), (Credential("shop-key", "placeholder-1", given("real"), ("shop",)),))
    code = "import os; [open(os.environ['SSL_CERT_FILE']).read(), os.environ['SHOP_KEY'], 'real' in str(os.environ)]"

    outcome = await kit.run(connected, code, network=policy)

    assert outcome.value == ["PEM", "placeholder-1", False]


WAYS = {
    "another port of its loopback": ("socket.create_connection(('127.0.0.1', 8080), 1)", ("PermissionError",)),
    "the host's loopback": ("socket.create_connection(('127.0.0.1', TCP), 1)", ("PermissionError",)),
    "the metadata service": ("socket.create_connection(('169.254.169.254', 80), 1)", ("PermissionError", "OSError")),
    "IPv6": ("socket.create_connection(('::1', 3128), 1)", ("OSError",)),
    "UDP": ("socket.socket(2, 2)", ("OSError",)),
    "names": ("socket.getaddrinfo('example.com', 80)", ("gaierror",)),
    "a listener": ("s = socket.socket(2, 1); s.bind(('127.0.0.1', 0))", ("PermissionError",)),
    "abstract sockets": ("socket.socket(1, 1)", ("OSError",)),
}


@pytest.mark.parametrize("way", WAYS)
async def test_with_egress_everything_but_the_proxy_stays_closed(connected: LocalSandbox, way: str):
    code, errors = WAYS[way]
    with socket.create_server(("127.0.0.1", 0)) as host:
        code = code.replace("TCP", str(host.getsockname()[1]))
        outcome = await kit.run(connected, f"import socket\n{code}", network=SHOP)

    assert outcome.error is not None
    assert outcome.error.type in errors, outcome.error


async def test_two_calls_with_egress_do_not_see_each_others_network(connected: LocalSandbox):
    code = "import os, time; time.sleep(1.5); os.readlink('/proc/self/ns/net')"

    outcomes = await asyncio.gather(*(kit.run(connected, code, network=SHOP) for _ in range(3)))

    assert len({each.value for each in outcomes}) == 3, "the kernel may give a number anew once its namespace is gone"


async def test_calls_at_once_without_network_are_in_namespaces_of_their_own(sandbox: LocalSandbox):
    code = "import os, time; time.sleep(1.5); os.readlink('/proc/self/ns/net')"

    outcomes = await asyncio.gather(*(kit.run(sandbox, code) for _ in range(4)))

    assert len({each.value for each in outcomes}) == 4


async def test_without_a_proxy_a_call_that_wants_the_network_is_refused(sandbox: LocalSandbox):
    with pytest.raises(SandboxRefused, match="no egress proxy"):
        await kit.run(sandbox, "1", network=SHOP)


async def test_level_landlock_refuses_the_network(proxy: Proxy):
    kit.require_namespaces()
    sandbox = kit.make(only="landlock")
    try:
        with pytest.raises(SandboxRefused, match="cannot bound a network"):
            await kit.run(sandbox, "1", network=SHOP)
    finally:
        await sandbox.close()
