"""Starting and stopping the server: the listening socket, uvicorn with the hot protocol, and a graceful shutdown.

Above: cli. Below: protocol, openai, anthropic, asgi, auth; what answers the calls is handed in.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import gc
import ipaddress
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any, Protocol, cast

import uvicorn
from msgspec import Struct
from starlette.routing import BaseRoute

from interlock.core.embed import EmbedGateway
from interlock.core.errors import InterlockError
from interlock.core.ids import Ids
from interlock.core.kept import Responses
from interlock.core.ports import CountingGateway
from interlock.core.time import Clock

from .anthropic import AnthropicFace
from .asgi import ColdApp
from .auth import Keys
from .door import Door, Served
from .embeddings import EmbeddingsFace
from .exchange import HotHandler, ShortWay
from .health import Health, HealthFace
from .models import Cards, ModelsFace
from .openai import OpenAIFace
from .protocol import HotProtocol, Riders
from .responses import ResponsesFace

TICK_S = 1.0
"""The date that answers bear is at most so old."""
CHAT_COMPLETIONS = "/v1/chat/completions"
RESPONSES = "/v1/responses"
RESPONSE_TOKENS = "/v1/responses/input_tokens"
EMBEDDINGS = "/v1/embeddings"
MESSAGES = ("/v1/messages", "/anthropic/v1/messages")
COUNT_TOKENS = ("/v1/messages/count_tokens", "/anthropic/v1/messages/count_tokens")


class CannotListen(InterlockError):
    """The address cannot be opened: taken, not ours, or not allowed."""

    code = "cannot_listen"


class ServerSettings(Struct, frozen=True):
    """Where the server listens and what it bounds."""

    host: str = "127.0.0.1"
    """Loopback by default: reachable from this machine only."""
    port: int = 8787
    """0 takes a free one."""
    max_body_bytes: int = 32 * 1024 * 1024
    max_concurrent: int = 4096
    """Requests being answered at the same time; more are told to come back."""
    tls_cert: str = ""
    """PEM file of the certificate and those between it and its authority; empty: no TLS here."""
    tls_key: str = ""
    """PEM file of its key; empty: it stands in the same file."""
    keep_alive_s: int = 75
    """Longer than most clients keep a connection, so that it is the client who closes."""
    shutdown_s: float = 20.0
    """How long calls under way may take to finish when the server is told to stop; then they are cancelled and settle."""


class Face(Protocol):
    """Routes of the cold side."""

    def routes(self) -> list[BaseRoute]: ...


class Parts(Struct, frozen=True):
    """What the server serves."""

    gateway: CountingGateway
    keys: Keys
    ids: Ids
    clock: Clock
    health: Health
    models: Cards
    embeddings: EmbedGateway
    kept: Responses
    """Responses that conversations go on from."""
    more: tuple[Face, ...] = ()
    """Further faces of the cold side."""


async def serve_door(
    door: Door,
    settings: ServerSettings,
    started: Callable[[str], None],
    *,
    sock: socket.socket | None = None,
    parent: int | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM, then lets calls under way finish. `started` is told the address once it is open.

    `sock`: one that is bound already. `parent`: a pipe whose end means that the process that watches this one has died.

    Raises:
        CannotListen: the port is taken, the address is not this machine's, or the certificate cannot be used.
    """
    config = _config(door, settings)
    _load(config)
    sock = sock or open_socket(settings.host, settings.port)
    server = Server(config)
    door.connections, door.tasks = server.server_state.connections, server.server_state.tasks
    host = settings.host if ":" not in settings.host else f"[{settings.host}]"

    server.on_started = functools.partial(
        started, f"{'https' if settings.tls_cert else 'http'}://{host}:{sock.getsockname()[1]}"
    )
    if parent is not None:
        asyncio.get_running_loop().add_reader(parent, server.handle_exit, signal.SIGTERM, None)
    try:
        with quiet_collector():
            await server.serve(sockets=[sock])
            await server.finish_cancelled()
    finally:
        if parent is not None:
            asyncio.get_running_loop().remove_reader(parent)
        # Where this was cancelled, uvicorn has not done so. A loop that is not told goes by the number of a closed socket, and is deaf to the next one that bears it.
        for each in getattr(server, "servers", ()):
            each.close()
        sock.close()


def _load(config: uvicorn.Config) -> None:
    """Reads the certificate, and takes no version of TLS before 1.2. Raises CannotListen, which names the file and shows nothing of it."""
    try:
        config.load()
    except OSError as fault:  # ssl.SSLError is one
        said = fault.strerror or fault.args[-1]
        raise CannotListen(
            f"the certificate {config.ssl_certfile} cannot be used with the key {config.ssl_keyfile or 'in the same file'}: {said}",
            hint="Both are PEM files that this user may read, and belong together.",
        ) from fault
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2


@contextlib.contextmanager
def quiet_collector() -> Generator[None, None, None]:
    """Takes everything that was loaded so far out of the garbage collector's rounds, and makes the rounds rarer.

    A call, and a step of a task, make a few hundred short-lived objects and hardly a cycle; at the default of 700 objects the collector takes a
    twentieth of the process's CPU to find that out.
    """
    before = gc.get_threshold()
    gc.freeze()  # without a round before: over all that was just loaded it takes a tenth of the start, and finds some hundred objects
    gc.set_threshold(20_000, 20, 50)
    gc.enable()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def run(main: Callable[[], Any]) -> Any:
    """`asyncio.run` on the fast event loop, where there is one for this platform."""
    if sys.platform == "win32":
        return asyncio.run(main())
    import resource

    import uvloop

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(
        ValueError, OSError
    ):  # two sockets for each call: the usual 1,024 would be the first limit to bite
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    return uvloop.run(main())


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket, `shared` with others of this kind. Raises `CannotListen`, saying who may be in the way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
    except (OSError, OverflowError) as fault:
        sock.close()
        raise _cannot_listen(host, port, fault) from fault
    return sock


def _cannot_listen(host: str, port: int, fault: OSError | OverflowError) -> CannotListen:
    kind = fault.errno if isinstance(fault, OSError) else None
    if kind == errno.EADDRINUSE:
        return CannotListen(
            f"{host}:{port} is taken by another program",
            hint=f"Stop that one (`ss -ltnp 'sport = :{port}'` names it), or choose another port: --port {port + 1}.",
        )
    if kind in (errno.EACCES, errno.EPERM):
        return CannotListen(f"{host}:{port} may not be opened by this user", hint="Choose a port above 1023.")
    if kind == errno.EADDRNOTAVAIL or isinstance(fault, socket.gaierror):
        return CannotListen(f"{host} is no address of this machine", hint="Use 127.0.0.1, or 0.0.0.0 for every one.")
    return CannotListen(f"{host}:{port} cannot be opened: {fault}")


def served(parts: Parts) -> Served:
    """The faces of one version, hot and cold."""
    face = OpenAIFace(parts.gateway, parts.keys, parts.ids, parts.clock)
    anthropic = AnthropicFace(parts.gateway, parts.keys, parts.ids)
    chat: HotHandler = face.chat_completions
    hot: dict[bytes, HotHandler] = {CHAT_COMPLETIONS.encode(): chat}
    hot |= {path.encode(): anthropic.messages for path in MESSAGES}
    hot |= {path.encode(): anthropic.count_tokens for path in COUNT_TOKENS}
    responses = ResponsesFace(parts.gateway, parts.keys, parts.ids, parts.clock, parts.kept)
    hot[RESPONSES.encode()] = responses.create
    hot[RESPONSE_TOKENS.encode()] = responses.input_tokens
    hot[EMBEDDINGS.encode()] = EmbeddingsFace(parts.embeddings, parts.keys, parts.ids).create
    short: dict[HotHandler, ShortWay] = {} if face.short is None else {chat: face.short}
    faces = (responses, ModelsFace(parts.keys, parts.models), HealthFace(parts.keys, parts.health), *parts.more)
    cold = [route for face in faces for route in face.routes()]
    app = ColdApp(parts.ids, cold, [path.decode() for path in hot], parts.keys.tenant_of)
    return Served(hot, short, app, set(), set())


def _config(door: Door, settings: ServerSettings) -> uvicorn.Config:
    protocol = functools.partial(
        HotProtocol, hot=door.hot, max_body_bytes=settings.max_body_bytes, short=door.short, riders=Riders()
    )
    return uvicorn.Config(
        cast(Any, door),
        http=cast(Any, protocol),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=4096,
        limit_concurrency=settings.max_concurrent,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=cast(Any, settings.shutdown_s),
    )


class Server(uvicorn.Server):
    """uvicorn's server, which tells when it is open, and which ends quietly: whoever runs it still has things to put away."""

    on_started: Callable[[], None] = staticmethod(lambda: None)
    _told: Callable[[], object] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.on_started()

    async def main_loop(self) -> None:
        """Wakes once a second, for the date that answers bear, and when it is told to stop; uvicorn's own looks ten times a second."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        # Through a timer, which comes after what a turn has accepted: asyncio drops a connection whose server is closed before it has a transport.
        self._told = lambda: loop.call_soon_threadsafe(lambda: loop.call_later(0.0, told.set))
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await told.wait()
                    told.clear()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._told()

    async def finish_cancelled(self) -> None:
        """Returns when the calls that shutdown cancelled have settled, and those that no task answers, too."""
        for connection in tuple[object, ...](self.server_state.connections):
            if isinstance(connection, HotProtocol):
                connection.leave()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """uvicorn would raise the signal anew at the end and so kill the process before its ledger is closed."""

        def on_signal(sig: int, frame: FrameType | None) -> None:
            self.handle_exit(sig, frame)

        kept: dict[int, Any] = {}
        with contextlib.suppress(ValueError):  # Only the main thread may listen to signals; elsewhere nobody does.
            kept = {sig: signal.signal(sig, on_signal) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in kept.items():
                signal.signal(sig, handler)
