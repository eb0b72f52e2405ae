"""A small web behind a fake resolver, and a sandbox's side of the proxy."""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from interlock.core.caller import Secret
from interlock.core.egress import EgressDecision, EgressPolicy
from interlock.net import http1
from interlock.net.authority import Authority
from interlock.net.proxy import Proxy

NOW = dt.datetime.now(dt.UTC)
Handler = Callable[[http1.Request], bytes]
PUBLIC = "93.184.216.34"


def given(*secrets: str) -> Callable[[], Awaitable[Secret]]:
    """A credential's secret, request by request; the last one stays."""
    left = list(secrets)

    async def one() -> Secret:
        return Secret(left.pop(0) if len(left) > 1 else left[0])

    return one


class Web:
    """Servers for every name, on one port each for http and https. Dials are noted with the address that was asked for."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.names: dict[str, list[list[str]]] = {}
        self.dialled: list[tuple[str, int, str]] = []
        self.asked: list[http1.Request] = []
        self.authority = Authority(NOW)
        self._ports: dict[bool, int] = {}
        self.closed = False
        """Nobody answers at any address."""

    async def resolve(self, host: str) -> Sequence[str]:
        """The next of the name's answers; the last one stays."""
        answers = self.names.get(host, [[PUBLIC]])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def dial(
        self, address: str, port: int, tls: ssl.SSLContext | None, host: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.dialled.append((address, port, host))
        secure = port == 443
        if self.closed:
            raise ConnectionRefusedError
        return await asyncio.open_connection(
            "127.0.0.1", self._ports[secure], ssl=tls, server_hostname=host if tls else None
        )

    @asynccontextmanager
    async def running(self, host: str = "api.example.com") -> AsyncGenerator[None]:
        plain = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        secure = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.authority.context(host))
        self._ports = {False: plain.sockets[0].getsockname()[1], True: secure.sockets[0].getsockname()[1]}
        try:
            yield
        finally:
            plain.close()
            secure.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await http1.read_request(reader, 10_000_000)
            if request is not None:
                self.asked.append(request)
                writer.write(self.handler(request))
                await writer.drain()
        except (OSError, ssl.SSLError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def sandbox(
    web: Web, policy: EgressPolicy, decided: list[EgressDecision], folder: Path
) -> AsyncGenerator[tuple[int, str]]:
    """The proxy's port, and the authority to trust."""
    trusted = folder / "web.pem"
    trusted.write_text(web.authority.pem)
    authority = Authority(NOW)
    proxy = Proxy(web.resolve, web.dial, lambda: authority, ca_file=str(trusted))
    listener = socket.create_server(("127.0.0.1", 0))
    async with proxy.serve(listener, policy, decided.append) as pem:
        yield listener.getsockname()[1], pem


async def ask(port: int, data: bytes) -> bytes:
    """Everything that comes back for `data`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(-1), 30)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def ask_plain(port: int, connect: str, data: bytes) -> bytes:
    """What comes back for `data` sent in the clear through a tunnel."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"CONNECT {connect} HTTP/1.1\r\nhost: {connect}\r\n\r\n".encode())
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        writer.write(data)
        return await asyncio.wait_for(reader.read(-1), 30)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def ask_tls(port: int, connect: str, pem: str, data: bytes, *, server_name: str) -> bytes:
    """The same inside a tunnel."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"CONNECT {connect} HTTP/1.1\r\nhost: {connect}\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        if b" 200 " not in head:
            return head + await asyncio.wait_for(reader.read(-1), 30)
        context = ssl.create_default_context(cadata=pem)
        await asyncio.wait_for(writer.start_tls(context, server_hostname=server_name), 30)
        writer.write(data)
        return await asyncio.wait_for(reader.read(-1), 30)
    except (ConnectionResetError, ssl.SSLError) as ended:
        return repr(ended).encode()
    finally:
        writer.close()
