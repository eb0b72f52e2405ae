"""People sign in at an OpenID provider: authorization code with PKCE, and an ID token that is checked here.

Above: face. Below: the HTTP client; `pyjwt`, imported by the first sign-in. What a sign-in under way needs to know stands in a cookie of the browser that
began it, so any worker may end it. Source: OpenID Connect Core 1.0, RFC 7636 (PKCE), RFC 9700 (best current practice).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from interlock.config.oidc import Oidc
from interlock.core.errors import RequestRefused, UpstreamError
from interlock.core.ports import HttpClient, HttpRequest
from interlock.core.roles import RIGHTS, Role
from interlock.core.time import Clock, Deadline
from interlock.core.unreadable import UNREADABLE

COOKIE = "interlock_oidc"
BEGUN_S = 600
"""How long a person may take to sign in there."""
ASK_S = 10.0
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
KNOWN_S = 3600.0
SKEW_S = 60
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""None that is symmetric: whoever holds the client's secret could then make tokens."""


class SignInRefused(RequestRefused):
    """The provider did not say who this is, or they may not come in."""

    status = 403
    code = "sign_in_refused"


class Person(Struct, frozen=True):
    """Who signed in."""

    who: str
    """The verified e-mail address, else the provider's own name of them."""
    role: Role
    subject: str
    """The provider's own name of them."""


class Begun(Struct, frozen=True):
    """A sign-in under way; kept by the browser."""

    state: str
    nonce: str
    verifier: str

    @property
    def kept(self) -> str:
        return f"{self.state}.{self.nonce}.{self.verifier}"


class _Known(Struct, frozen=True):
    authorize: str
    token: str
    keys: Mapping[str, Mapping[str, Any]]
    posts_secret: bool
    at_s: float

    def key(self, kid: str) -> Mapping[str, Any] | None:
        """The key of that name; a token need not name the only one that there is (OpenID Connect Core 10.1)."""
        return next(iter(self.keys.values())) if not kid and len(self.keys) == 1 else self.keys.get(kid)


class SignIn:
    """One provider."""

    def __init__(self, settings: Oidc, http: HttpClient, clock: Clock) -> None:
        self._settings, self._http, self._clock = settings, http, clock
        self._known: _Known | None = None
        self.name = urlsplit(settings.issuer).hostname or settings.issuer
        self._back = f"{settings.public_url.rstrip('/')}/ui/oidc/back"

    async def begin(self) -> tuple[str, Begun]:
        """Where to send the browser, and what it has to keep. Raises SignInRefused: the provider cannot be asked."""
        known = await self._provider()
        begun = Begun(*(secrets.token_urlsafe(32) for _ in range(3)))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._back,
            "scope": " ".join(self._settings.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{known.authorize}{'&' if '?' in known.authorize else '?'}{urlencode(asked)}", begun

    async def end(self, kept: str, given: Mapping[str, str]) -> Person:
        """Who came back with these parameters to the browser that kept this.

        Raises:
            SignInRefused: another sign-in, another browser, or a token that does not hold.
        """
        parts = kept.split(".")
        if len(parts) != 3 or not hmac.compare_digest(parts[0].encode(), given.get("state", "").encode()):
            raise SignInRefused("this is not the sign-in that your browser began", hint="Begin anew at /ui/login.")
        begun = Begun(*parts)
        if "code" not in given:
            raise SignInRefused(
                f"{self.name} says {given.get('error', 'nothing')[:100]}", hint="Begin anew at /ui/login."
            )
        known = await self._provider()
        claims = await self._claims(await self._token(known, begun, given["code"]), begun)
        return Person(_who(claims), self._role(claims), str(claims["sub"]))

    async def left(self, token: str) -> str:
        """The subject whose sessions the provider wants ended, by a logout token (OpenID Connect Back-Channel Logout 1.0, 2.4 to 2.6).

        Raises:
            SignInRefused: it does not hold, or is no logout token.
        """
        claims = await self._verified(token)
        events = claims.get("events")
        if not isinstance(events, dict) or LOGOUT not in events or "nonce" in claims or not claims.get("jti"):
            raise SignInRefused(f"the token of {self.name} is no logout token")
        return str(claims["sub"])

    # --- Steps --------------------------------------------------------------------------------------------------------

    async def _provider(self, *, anew: bool = False) -> _Known:
        now_s = self._clock.monotonic_s()
        if self._known is not None and not anew and now_s - self._known.at_s < KNOWN_S:
            return self._known
        issuer = self._settings.issuer
        said = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if said.get("issuer") != issuer:
            raise SignInRefused(f"{issuer} calls itself {said.get('issuer')!r}", hint="Spell `server.oidc.issuer` so.")
        addresses = [self._address(said.get(name)) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        keys = cast("list[dict[str, Any]]", (await self._get(addresses[2])).get("keys", []))
        methods: Sequence[str] = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        self._known = _Known(
            addresses[0],
            addresses[1],
            {str(key.get("kid", "")): key for key in keys},
            "client_secret_basic" not in methods,
            now_s,
        )
        return self._known

    def _address(self, said: object) -> str:
        plain = urlsplit(self._settings.issuer).scheme == "http"
        if not isinstance(said, str) or urlsplit(said).scheme not in (("http", "https") if plain else ("https",)):
            raise SignInRefused(f"{self.name} names no usable address ({said!r}) in its discovery document")
        return said

    async def _token(self, known: _Known, begun: Begun, code: str) -> str:
        settings, headers = self._settings, [("content-type", "application/x-www-form-urlencoded")]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "client_id": settings.client_id,
            "code_verifier": begun.verifier,
        }
        secret = settings.client_secret.reveal()
        if secret and known.posts_secret:
            form["client_secret"] = secret
        elif secret:
            pair = f"{quote(settings.client_id, safe='')}:{quote(secret, safe='')}"
            headers.append(("authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
        request = HttpRequest(
            "POST", known.token, (), urlencode(form).encode(), (("accept", "application/json"), *headers)
        )
        said = await self._asked(request)
        token = said.get("id_token")
        if not isinstance(token, str):
            raise SignInRefused(f"{self.name} gave no ID token: {str(said.get('error', ''))[:100]}")
        return token

    async def _claims(self, token: str, begun: Begun) -> Mapping[str, Any]:
        """What an ID token says, once everything about it and the nonce hold."""
        claims = await self._verified(token)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), begun.nonce.encode()):
            raise SignInRefused(f"the ID token of {self.name} is of another sign-in")
        return claims

    async def _verified(self, token: str) -> Mapping[str, Any]:
        """What a token says, once its signature, issuer, audience and time hold."""
        jwt = import_module("jwt")
        try:
            kid = str(jwt.get_unverified_header(token).get("kid", ""))
            known = await self._provider()
            key = known.key(kid) or (await self._provider(anew=True)).key(kid)
            if key is None:
                raise SignInRefused(f"{self.name} signed with a key that it does not publish")
            claims: dict[str, Any] = jwt.decode(
                token,
                jwt.PyJWK(dict(key)).key,
                algorithms=list(ALGORITHMS),
                audience=self._settings.client_id,
                issuer=self._settings.issuer,
                options={
                    "require": ["exp", "iat", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.PyJWTError as wrong:
            raise SignInRefused(f"the ID token of {self.name} does not hold: {wrong}") from wrong
        now_s = self._clock.wall_ns() / 1e9
        if not (claims["iat"] - SKEW_S <= now_s <= claims["exp"] + SKEW_S):
            raise SignInRefused(f"the ID token of {self.name} is not of this time", hint="Look at both clocks.")
        if isinstance(claims["aud"], list) and claims.get("azp", self._settings.client_id) != self._settings.client_id:
            raise SignInRefused(f"the ID token of {self.name} was made for {claims['azp']!r}")
        return claims

    def _role(self, claims: Mapping[str, Any]) -> Role:
        """Of all roles that the claim gives, the one with the most rights."""
        said = claims.get(self._settings.claim, [])
        values = cast("list[Any]", said if isinstance(said, list) else [said])
        found: list[Role] = [self._settings.roles[str(each)] for each in values if str(each) in self._settings.roles]
        if not found and self._settings.otherwise is not None:
            found = [self._settings.otherwise]
        if not found:
            raise SignInRefused(
                f"{_who(claims)} has no role here",
                hint=f"`server.oidc.roles` knows none of the values of {self._settings.claim!r}.",
            )
        return max(found, key=lambda role: len(RIGHTS[role]))

    async def _get(self, url: str) -> dict[str, Any]:
        return await self._asked(HttpRequest("GET", url, (("accept", "application/json"),)))

    async def _asked(self, request: HttpRequest) -> dict[str, Any]:
        try:
            answer = await self._http.request(request, Deadline.after(self._clock, ASK_S))
            said: Any = msgspec.json.decode(answer.body)
        except (UpstreamError, *UNREADABLE) as failed:
            raise SignInRefused(f"{self.name} cannot be asked: {failed}") from failed
        if not isinstance(said, dict):
            raise SignInRefused(f"{self.name} answered {answer.status} with something else than JSON")
        return cast("dict[str, Any]", said)


def _who(claims: Mapping[str, Any]) -> str:
    """An address that the provider has not verified is anybody's."""
    email = claims.get("email")
    return str(email) if email and claims.get("email_verified") is True else str(claims["sub"])
