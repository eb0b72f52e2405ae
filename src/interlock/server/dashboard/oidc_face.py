"""The two addresses of signing in elsewhere: the way out, and the way back. Above: `Dashboard`. Below: oidc, guard, draw."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from interlock.core.errors import RequestRefused

from .draw import HEADERS, Drawing
from .guard import Guard, address_of, let_in
from .oidc import BEGUN_S, COOKIE, SignIn

PATH = "/ui/oidc"


class OidcFace:
    """The routes."""

    def __init__(self, sign_in: SignIn, guard: Guard) -> None:
        self._sign_in, self._guard = sign_in, guard
        self._drawing = Drawing()

    def routes(self) -> list[BaseRoute]:
        return [
            Route(PATH, self._out, methods=["GET"]),
            Route(f"{PATH}/back", self._back, methods=["GET"]),
            Route(f"{PATH}/logout", self._left, methods=["POST"]),
        ]

    async def _out(self, request: Request) -> Response:
        try:
            self._guard.listens(address_of(request))
            url, begun = await self._sign_in.begin()
        except RequestRefused as refused:
            return self._refusal(refused)
        response = RedirectResponse(url, 303, HEADERS)
        # Lax, since the browser comes back by a link of the provider's; it says nothing that lets anybody in.
        response.set_cookie(
            COOKIE, begun.kept, BEGUN_S, path=PATH, httponly=True, samesite="lax", secure=request.url.scheme == "https"
        )
        return response

    async def _back(self, request: Request) -> Response:
        try:
            self._guard.listens(address_of(request))
            try:
                person = await self._sign_in.end(request.cookies.get(COOKIE, ""), request.query_params)
            except RequestRefused:
                await self._guard.refused(address_of(request), self._sign_in.name)
                raise
            secret = await self._guard.admit(person.who, person.role, self._sign_in.name, person.subject)
        except RequestRefused as refused:
            return self._refusal(refused)
        # A page of our own goes on to the dashboard: a redirect would still count as the provider's, and come without the session.
        response = let_in(self._drawing.page("entered.html"), secret, secure=request.url.scheme == "https")
        response.delete_cookie(COOKIE, path=PATH)
        return response

    async def _left(self, request: Request) -> Response:
        """The provider says that somebody has left; it is known by its signature."""
        try:
            self._guard.listens(address_of(request))
            try:
                sent = await self._guard.fields(request)
                subject = await self._sign_in.left(sent.get("logout_token", ""))
            except RequestRefused:
                await self._guard.refused(address_of(request), f"{self._sign_in.name} logout")
                raise
            await self._guard.dismiss(subject, self._sign_in.name)
        except RequestRefused as refused:
            return Response(str(refused), 400, {"cache-control": "no-store"}, media_type="text/plain")
        return Response("", 200, {"cache-control": "no-store"})

    def _refusal(self, refused: RequestRefused) -> Response:
        return self._drawing.page("login.html", refused.status, remark=str(refused), provider=self._sign_in.name)
