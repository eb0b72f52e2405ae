"""From declared credentials to what fetches them. Above: compose. Below: config, `tools/credentials`, the HTTP client."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from interlock.config.credentials import CredentialSource, TokenRequest
from interlock.config.schema import Settings
from interlock.core.caller import Secret
from interlock.core.errors import ToolError, UpstreamError
from interlock.core.ports import HttpClient, HttpRequest
from interlock.core.time import Clock, Deadline
from interlock.tools.credentials import Broker, Issue, Lent

ASK_S = 10.0
DEFAULT_LIFE_S = 300.0


class _Token(Struct):
    """The issuer's answer. Source: RFC 6749 section 5.1."""

    access_token: str
    expires_in: float = DEFAULT_LIFE_S


class Lending:
    """The workspace's broker for what is made before it: the egress proxy asks it, request by request."""

    def __init__(self) -> None:
        self.broker: Broker | None = None

    def of(self, name: str) -> Callable[[], Awaitable[Secret]]:
        """What fetches the credential of this name, as it is then."""

        async def one() -> Secret:
            if self.broker is None:
                raise _unavailable(name, "nothing lends credentials here")
            return (await self.broker.lend([name]))[name]

        return one


def lent_by(settings: Settings) -> dict[str, CredentialSource]:
    """Every credential of the workspace by the name it is asked for, those that egress has to itself among them."""
    own = {
        egress_name(name): CredentialSource(value=each.secret)
        for name, each in settings.egress.credentials.items()
        if each.secret
    }
    return {**settings.credentials, **own}


def egress_name(name: str) -> str:
    """Under which name a secret that stands under `egress.credentials` itself is lent."""
    return f"egress.credentials.{name}"


def broker_of(sources: Mapping[str, CredentialSource], root: Path, http: HttpClient, clock: Clock) -> Broker:
    """Lends what the workspace declares."""
    return Broker({name: _issuer(name, source, root, http, clock) for name, source in sources.items()}, clock)


def _issuer(name: str, source: CredentialSource, root: Path, http: HttpClient, clock: Clock) -> Issue:
    token = source.token
    if token is not None:

        async def asked() -> Lent:
            return await _ask(name, token, http, clock)

        return asked
    if source.file:
        path = root / source.file

        async def read() -> Lent:
            try:
                text = await asyncio.to_thread(path.read_text, encoding="utf-8")
            except (OSError, UnicodeDecodeError) as failed:
                raise _unavailable(name, f"its file cannot be read ({type(failed).__name__})") from failed
            return Lent(Secret(text.strip()), source.life_s)

        return read

    async def given() -> Lent:
        return Lent(source.value)

    return given


async def _ask(name: str, token: TokenRequest, http: HttpClient, clock: Clock) -> Lent:
    fields = {"grant_type": "client_credentials", **({"scope": " ".join(token.scopes)} if token.scopes else {})}
    basic = base64.b64encode(f"{quote(token.client_id)}:{quote(token.client_secret.reveal())}".encode()).decode()
    headers = (
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", f"Basic {basic}"),
        ("accept", "application/json"),
    )
    try:
        reply = await http.request(
            HttpRequest("POST", token.url, headers, urlencode(fields).encode()), Deadline.after(clock, ASK_S)
        )
    except UpstreamError as failed:
        raise _unavailable(name, f"its issuer does not answer: {failed.message}") from failed
    if reply.status != 200:
        raise _unavailable(name, f"its issuer answered {reply.status}")
    try:
        made = msgspec.json.decode(reply.body, type=_Token)
    except msgspec.MsgspecError as wrong:
        raise _unavailable(name, "its issuer answered something that is no token") from wrong
    return Lent(Secret(made.access_token), made.expires_in)


def _unavailable(name: str, why: str) -> ToolError:
    return ToolError("credential_unavailable", f"the credential {name!r} cannot be had: {why}", retryable=True)
