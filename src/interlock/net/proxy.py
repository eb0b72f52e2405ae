"""The egress proxy: the only way out of a sandbox. Its listener says whose policy holds.

Above: `app`, which hands listeners of sandboxes to it. Below: egress (the decision), dial (the checked address), http1, hello, authority.
A request is judged, its host resolved once and checked, and written anew. HTTPS is tunnelled where the policy speaks of hosts alone, after its
ClientHello named that host; where it speaks of paths, methods or credentials, it is looked into with a certificate of the proxy's own authority.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from msgspec import structs

from interlock.core.caller import Secret
from interlock.core.egress import EgressDecision, EgressPolicy
from interlock.core.errors import ToolError

from . import egress, hello, http1
from .authority import Authority
from .dial import Dialer, Resolver, checked_address
from .walls import Place, Refused, host_of, place_of

DECIDED = Callable[[EgressDecision], None]
MOST_OPEN = 64
"""Connections of one sandbox at a time; whatever comes beyond is closed unread, so that it takes no descriptors from the gateway."""
STOPPED_WITHIN_S = 5.0
"""How long the end of a sandbox waits for its connections to tell what passed through them."""
_log = logging.getLogger(__name__)


class Proxy:
    """Serves listeners; one per process."""

    def __init__(
        self,
        resolve: Resolver,
        dial: Dialer,
        authority: Callable[[], Authority] | None,
        *,
        ca_file: str | None = None,
    ) -> None:
        """`authority` gives the one that a new listener is served with; without it, what would have to be looked into is refused.

        `ca_file` is trusted beside the system's authorities.
        """
        self._resolve = resolve
        self._dial = dial
        self._authority = authority
        self._tls = ssl.create_default_context(cafile=None)
        if ca_file:
            self._tls.load_verify_locations(ca_file)

    @asynccontextmanager
    async def serve(self, listener: socket.socket, policy: EgressPolicy, decided: DECIDED) -> AsyncGenerator[str]:
        """See `core.egress.EgressProxy.serve`."""
        authority = self._authority() if self._authority else None
        client = _Client(policy, decided, self._resolve, self._dial, authority, self._tls)
        server = await asyncio.start_server(client.connected, sock=listener, limit=2**18)
        try:
            yield authority.pem if authority else ""
        finally:
            server.close()
            await client.stop()


class _Client:
    """One sandbox: its policy, what it has asked so far, its open connections."""

    def __init__(
        self,
        policy: EgressPolicy,
        decided: DECIDED,
        resolve: Resolver,
        dial: Dialer,
        authority: Authority | None,
        tls: ssl.SSLContext,
    ) -> None:
        self._policy, self._decided, self._resolve, self._dial = policy, decided, resolve, dial
        self._authority, self._tls = authority, tls
        self._asked = 0
        self._open: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Ends what is open; when it returns, everything that was asked has been told to `decided`."""
        left = tuple(self._open)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=STOPPED_WITHIN_S)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._open) >= MOST_OPEN:
            writer.close()
            return
        self._open.add(task)
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                await self._serve(reader, writer)
        except (TimeoutError, OSError, http1.BadMessage, hello.NoName, asyncio.IncompleteReadError) as failed:
            _log.info("an egress connection ended: %s", failed)
        except asyncio.CancelledError:
            _log.info(
                "an egress connection ended with its sandbox"
            )  # the outermost frame; asyncio's own would report it as a defect
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await http1.read_request(reader, self._policy.max_request_bytes)
        except http1.BadMessage as wrong:
            await _say(writer, 400, str(wrong))
            return
        if request is None:
            return
        self._asked += 1
        if self._asked > self._policy.max_requests:
            await _say(writer, 429, f"more than {self._policy.max_requests} requests in one call")
        elif request.method == "CONNECT":
            await self._connect(request, reader, writer)
        else:
            await self._forward(request, request.target, "http", writer)

    # --- plain requests, and those inside a tunnel that is looked into ---

    async def _forward(self, request: http1.Request, url: str, scheme: str, writer: asyncio.StreamWriter) -> None:
        try:
            place = place_of(url)
        except Refused as wrong:
            await self._refuse(writer, EgressDecision(False, request.method, "", 0, "", str(wrong)))
            return
        decision, entry = egress.judge(self._policy, request.method, place)
        used, why = egress.asked_for(self._policy, place, request.headers)
        if entry is None or why or place.scheme != scheme:
            reason = why or (decision.reason if entry is None else "https has to come through a tunnel")
            await self._refuse(writer, structs.replace(decision, allowed=False, reason=reason))
            return
        try:
            address = await checked_address(place.host, self._resolve, private=entry.private)
        except Refused as wrong:
            await self._refuse(writer, structs.replace(decision, allowed=False, reason=str(wrong)))
            return
        try:
            secrets = {each.placeholder: await each.secret() for each in used}
        except ToolError as missing:
            await self._refuse(writer, structs.replace(decision, allowed=False, reason=missing.message))
            return
        headers = egress.put_in(request.headers, secrets)
        sent = http1.request_bytes(request.method, place.path, place.authority, headers, request.body)
        await self._exchange(structs.replace(decision, address=address), place, sent, secrets, writer)

    async def _exchange(
        self,
        decision: EgressDecision,
        place: Place,
        sent: bytes,
        secrets: Mapping[str, Secret],
        writer: asyncio.StreamWriter,
    ) -> None:
        status = received = 0
        try:
            tls = self._tls if place.scheme == "https" else None
            up_reader, up_writer = await self._dial(decision.address, place.port, tls, place.host)
            try:
                up_writer.write(sent)
                reply = http1.Reply(up_reader, bodyless=decision.method == "HEAD")
                await reply.head()
                status = reply.status
                received = await self._relay(reply, _Hidden(secrets), writer)
            finally:
                up_writer.close()
        except (OSError, http1.BadMessage) as failed:
            if not status:
                await _say(writer, 502, f"{place.host} did not answer: {type(failed).__name__}")
            else:
                writer.transport.abort()  # a clean end would pass for a whole reply
        finally:
            self._decided(structs.replace(decision, status=status, sent_bytes=len(sent), received_bytes=received))

    async def _relay(self, reply: http1.Reply, hidden: _Hidden, writer: asyncio.StreamWriter) -> int:
        headers = [(name, hidden.text(value)) for name, value in reply.headers]
        writer.write(http1.head_bytes(reply.status, headers, chunked=True))
        received = 0
        async for piece in reply.body():
            received += len(piece)
            if received > self._policy.max_response_bytes:
                writer.transport.abort()
                return received
            shown = hidden.piece(piece)
            if shown:
                writer.write(b"%x\r\n%b\r\n" % (len(shown), shown))
                await writer.drain()
        rest = hidden.rest()
        if rest:
            writer.write(b"%x\r\n%b\r\n" % (len(rest), rest))
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return received

    # --- tunnels ---

    async def _connect(
        self, request: http1.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        name, _, port_text = request.target.rpartition(":")
        port = int(port_text) if port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 else 0
        try:
            host = host_of(name.strip("[]"), literal_v6=name.startswith("["))
        except Refused as wrong:
            await self._refuse(writer, EgressDecision(False, "CONNECT", name[:253], port, "", str(wrong)))
            return
        allowed, inspected, reason = egress.judge_host(self._policy, host, port)
        if not allowed:
            await self._refuse(writer, EgressDecision(False, "CONNECT", host, port, "", reason))
        elif inspected:
            await self._inspect(host, port, reader, writer)
        else:
            await self._tunnel(EgressDecision(True, "CONNECT", host, port, "", reason), reader, writer)

    async def _inspect(self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._authority is None:
            reason = "this host's rules need a look into its HTTPS, and the extra `egress` is not installed"
            await self._refuse(writer, EgressDecision(False, "CONNECT", host, port, "", reason))
            return
        writer.write(b"HTTP/1.1 200 -\r\n\r\n")
        await writer.drain()
        await writer.start_tls(self._authority.context(host))
        request = await http1.read_request(reader, self._policy.max_request_bytes)
        if request is None:
            return
        authority = f"{host}:{port}" if port != 443 else host
        if not request.target.startswith("/"):
            await _say(writer, 400, "a path was expected")
            return
        await self._forward(request, f"https://{authority}{request.target}", "https", writer)

    async def _tunnel(
        self, decision: EgressDecision, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        entry = next(e for e in self._policy.allow if egress.names(e.host, decision.host) and decision.port in e.ports)
        try:
            address = await checked_address(decision.host, self._resolve, private=entry.private)
        except Refused as wrong:
            await self._refuse(writer, structs.replace(decision, allowed=False, reason=str(wrong)))
            return
        writer.write(b"HTTP/1.1 200 -\r\n\r\n")
        await writer.drain()
        try:
            first = await _first_record(reader)
            asked = hello.server_name(first)
        except (hello.NoName, asyncio.IncompleteReadError) as wrong:
            self._decided(structs.replace(decision, allowed=False, reason=str(wrong)))
            return
        if asked != decision.host:
            self._decided(
                structs.replace(decision, allowed=False, reason=f"the TLS name {asked[:100]!r} is another host")
            )
            return
        there, back = _Moved(), _Moved()
        try:
            up_reader, up_writer = await self._dial(address, decision.port, None, decision.host)
            up_writer.write(first)
            there.bytes += len(first)
            out = asyncio.create_task(_pipe(reader, up_writer, self._policy.max_request_bytes, there))
            try:
                await _pipe(up_reader, writer, self._policy.max_response_bytes, back)
            finally:
                out.cancel()
                up_writer.close()
                await asyncio.gather(out, return_exceptions=True)
        finally:  # however it ends: by its time, with its sandbox, or because nobody answers there
            self._decided(structs.replace(decision, address=address, received_bytes=back.bytes, sent_bytes=there.bytes))

    async def _refuse(self, writer: asyncio.StreamWriter, decision: EgressDecision) -> None:
        self._decided(decision)
        await _say(writer, 403, decision.reason)


class _Hidden:
    """Takes secrets out of what comes back, so that a server that repeats its request gives none away."""

    def __init__(self, secrets: Mapping[str, Secret]) -> None:
        """`secrets` by the placeholders that stand for them."""
        self._pairs = [(secret.reveal().encode(), placeholder.encode()) for placeholder, secret in secrets.items()]
        self._held = b""

    def text(self, value: str) -> str:
        for secret, placeholder in self._pairs:
            value = value.replace(secret.decode("latin-1"), placeholder.decode())
        return value

    def piece(self, data: bytes) -> bytes:
        """What may be shown of everything so far; a possible beginning of a secret is held back."""
        data = self._held + data
        for secret, placeholder in self._pairs:
            data = data.replace(secret, placeholder)
        keep = max((_overlap(data, secret) for secret, _ in self._pairs), default=0)
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]

    def rest(self) -> bytes:
        return self._held


def _overlap(data: bytes, secret: bytes) -> int:
    """Length of the longest end of `data` that a secret could begin with."""
    return next((size for size in range(min(len(secret) - 1, len(data)), 0, -1) if data.endswith(secret[:size])), 0)


async def _first_record(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while missing := hello.wanted(data):
        data += await reader.readexactly(missing)
    return data


class _Moved:
    """How much has passed in one direction of a tunnel so far."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cap: int, moved: _Moved) -> None:
    """Moves bytes until the end or the cap."""
    passed = 0
    while passed <= cap and (data := await reader.read(http1.PIECE)):
        passed += len(data)
        moved.bytes += len(data)
        writer.write(data)
        await writer.drain()


async def _say(writer: asyncio.StreamWriter, status: int, reason: str) -> None:
    body = reason.encode()
    headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("x-interlock-egress", "refused"),
        ("content-length", str(len(body))),
    ]
    writer.write(http1.head_bytes(status, headers, chunked=False) + body)
    await writer.drain()
