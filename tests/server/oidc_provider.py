"""An OpenID provider on this machine: discovery, authorization code with PKCE, signed ID tokens; it lies where a test asks it to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT, SECRET = "interlock", "hush: & so on"


class OpenIdProvider:
    """`claims` are those of whoever signs in; `changes` replace what the token, or the discovery document, would say."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.issuer = ""
        self.claims: dict[str, Any] = {
            "sub": "u-1",
            "email": "ada@shop.example",
            "email_verified": True,
            "groups": ["ops"],
        }
        self.changes: dict[str, Any] = {}
        self.discovery: dict[str, Any] = {}
        self.sign = lambda claims: jwt.encode(claims, self.key, "RS256", {"kid": "k1"})
        self.codes: dict[str, dict[str, str]] = {}

    def authorize(self, url: str) -> str:
        """A browser that signs in there; returns where it is sent back to."""
        asked = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
        assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (CLIENT, "code", "S256")
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: str) -> tuple[int, Any]:
        if path == "/.well-known/openid-configuration":
            addresses = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
            told = {name: f"{self.issuer}/{each}" for name, each in addresses.items()}
            return 200, {"issuer": self.issuer, **told, **self.discovery}
        if path == "/keys":
            public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
            return 200, {"keys": [{**public, "kid": "k1", "use": "sig", "alg": "RS256"}]}
        if (method, path) == ("POST", "/token"):
            return self.token({name: value[0] for name, value in parse_qs(body).items()}, headers)
        return 404, {"error": "not_found"}

    def token(self, form: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, Any]:
        pair = base64.b64encode(b"interlock:hush%3A%20%26%20so%20on").decode()
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(
            b"="
        )
        if headers.get("authorization") != f"Basic {pair}":
            return 401, {"error": "invalid_client"}
        if (
            asked is None
            or challenge.decode() != asked["code_challenge"]
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        times = {"iat": now, "exp": now + 300}
        claims = {"iss": self.issuer, "aud": CLIENT, "nonce": asked["nonce"], **times, **self.claims, **self.changes}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(claims)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines if line)}
                body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
                method, path, _ = first.split(" ")
                status, said = self.answer(method, path, headers, body)
                data = json.dumps(said).encode()
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(data), data))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def openid_provider() -> AsyncGenerator[OpenIdProvider]:
    provider = OpenIdProvider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.close()
