"""The dashboard at /ui: each page as HTML for a person and, at the same address with `.json`, as JSON for a program.

Above: workspace. Below: guard, reading, draw. What changes something is a POST with the session's token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from interlock.app.taskdesk import TaskDesk
from interlock.core.errors import InterlockError, NotAuthorised, RequestRefused, Shed
from interlock.core.roles import Right

from .draw import HEADERS, Drawing, as_json, query, segment
from .guard import COOKIE, Guard, Visitor, address_of, let_in
from .insight import Insight
from .pages_again import terms_of, told
from .pages_approvals import answer_of
from .pages_pnl import as_csv
from .reading import Pages

Read = Callable[[Visitor, Request], Awaitable[Any]]
STREAM_S = 5.0
"""An open stream keeps a server that is told to stop waiting, so a browser asks anew after this long."""
EVERY_S = 1.0
MOST_STREAMS = 32


class Spot(Struct, frozen=True):
    """A page in the navigation."""

    name: str
    """Of its template."""
    path: str
    title: str
    key: str
    """After `g`."""


SPOTS = (
    Spot("home", "/ui", "Home", "h"),
    Spot("live", "/ui/live", "Live", "l"),
    Spot("tasks", "/ui/tasks", "Tasks", "t"),
    Spot("approvals", "/ui/approvals", "Approvals", "a"),
    Spot("pnl", "/ui/pnl", "P&L", "p"),
    Spot("models", "/ui/models", "Models", "m"),
    Spot("incidents", "/ui/incidents", "Incidents", "i"),
    Spot("quality", "/ui/quality", "Quality", "q"),
    Spot("audit", "/ui/audit", "Audit", "u"),
    Spot("config", "/ui/config", "Config", "c"),
)

NEEDS: dict[str, Right] = {
    "trace": "content",
    "approvals": "content",
    "why": "content",
    "compare": "content",
    "again": "operate",
    "audit": "audit",
}
"""What a page's visitor has to have a right to, beside figures."""
HERE = {"trace": "tasks", "why": "tasks", "compare": "tasks", "again": "tasks", "incident": "incidents"}
"""Where in the navigation a page stands that is not in it."""


class DashboardFace:
    """The routes; see `serve.Face`."""

    def __init__(
        self, pages: Pages, insight: Insight, desk: TaskDesk, guard: Guard, workspace: str, provider: str = ""
    ) -> None:
        """`workspace`: its name, for the corner of every page. `provider`: where people may sign in."""
        self._provider = provider
        self._insight = insight
        self._pages, self._desk, self._guard, self._workspace = pages, desk, guard, workspace
        self._drawing = Drawing()
        self._streams = 0

    def routes(self) -> list[BaseRoute]:
        pages: dict[str, tuple[str, Read]] = {
            "/ui": ("home", lambda who, _: self._pages.home(who.caller)),
            "/ui/home": ("home", lambda who, _: self._pages.home(who.caller)),  # its twin is where the cookie goes
            "/ui/live": ("live", lambda who, _: self._pages.live(who.caller)),
            "/ui/tasks": ("tasks", lambda who, asked: self._pages.tasks(who.caller, asked.query_params)),
            "/ui/tasks/{task}": (
                "trace",
                lambda who, asked: self._pages.trace(who.caller, asked.path_params["task"], asked.query_params),
            ),
            "/ui/approvals": ("approvals", lambda who, _: self._pages.approvals(who.caller)),
            "/ui/pnl": ("pnl", lambda who, asked: self._pages.pnl(who.caller, asked.query_params)),
            "/ui/models": ("models", lambda who, asked: self._pages.models(who.caller, asked.query_params)),
            **self._insights(),
        }
        made: list[BaseRoute] = [
            Route("/ui/static/{name}", self._static, methods=["GET"]),
            Route("/ui/enter", self._enter, methods=["GET"]),
            Route("/ui/login", self._login, methods=["GET", "POST"]),
            Route("/ui/logout", self._logout, methods=["POST"]),
            Route("/ui/live/events", self._events, methods=["GET"]),
            Route("/ui/pnl.csv", self._csv, methods=["GET"]),
            Route("/ui/tasks/views", self._views, methods=["POST"]),
            Route("/ui/tasks/{task}/cancel", self._cancel, methods=["POST"]),
            Route("/ui/tasks/{task}/again", self._fork, methods=["POST"]),
            Route("/ui/approvals/{task}/{step:int}", self._decide, methods=["POST"]),
        ]
        for path, (name, read) in pages.items():
            made.append(Route(f"{path}.json", partial(self._twin, name, read), methods=["GET"]))
            made.append(Route(path, partial(self._page, name, read), methods=["GET"]))
        return made

    def _insights(self) -> dict[str, tuple[str, Read]]:
        seen = self._insight
        return {
            "/ui/incidents": ("incidents", lambda who, _: seen.incidents(who.caller)),
            "/ui/incidents/{incident}": (
                "incident",
                lambda who, asked: seen.incident(who.caller, asked.path_params["incident"]),
            ),
            "/ui/quality": ("quality", lambda who, _: seen.quality(who.caller)),
            "/ui/audit": ("audit", lambda who, asked: seen.audit(who, asked.query_params)),
            "/ui/config": ("config", lambda who, _: seen.config(who.caller)),
            "/ui/tasks/{task}/why": ("why", lambda who, asked: seen.why(who.caller, asked.path_params["task"])),
            "/ui/tasks/{task}/again": (
                "again",
                lambda who, asked: seen.again(who.caller, asked.path_params["task"], asked.query_params),
            ),
            "/ui/tasks/{task}/compare": (
                "compare",
                lambda who, asked: seen.compare(who.caller, asked.path_params["task"], asked.query_params),
            ),
        }

    async def _twin(self, name: str, read: Read, request: Request) -> Response:
        visitor = await self._guard.visitor(request)
        await self._let_read(name, visitor, request)
        return as_json(await read(visitor, request))

    async def _let_read(self, name: str, visitor: Visitor, request: Request) -> None:
        """Who reads content stands in the audit before anything is shown. Raises NotPermitted, StoreUnavailable."""
        needed = NEEDS.get(name, "figures")
        visitor.require(needed)
        if needed == "content":
            await self._guard.note(visitor, "content.read", request.path_params.get("task", name))
        elif needed == "operate":
            visitor.require("content")
            await self._guard.note(visitor, "task.operated", request.path_params["task"], "replay")

    async def _page(self, name: str, read: Read, request: Request) -> Response:
        if _wants_json(request):
            return await self._twin(name, read, request)
        try:
            visitor = await self._guard.visitor(request)
        except NotAuthorised:
            return RedirectResponse("/ui/login", 303, HEADERS)
        try:
            await self._let_read(name, visitor, request)
            return await self._draw(name, visitor, await read(visitor, request))
        except InterlockError as error:
            return await self._draw("error", visitor, error, error.status)

    async def _draw(self, name: str, visitor: Visitor, page: Any, status: int = 200) -> Response:
        waiting = await self._pages.waiting(visitor.caller)
        here = HERE.get(name, name)
        around = {"spots": SPOTS, "needs": NEEDS, "here": here, "workspace": self._workspace}
        around |= {"waiting": waiting, "visitor": visitor}
        return self._drawing.page(f"{name}.html", status, page=page, **around)

    async def _static(self, request: Request) -> Response:
        return self._drawing.static(request.path_params["name"])

    # --- Coming in ------------------------------------------------------------------------------------------------

    async def _enter(self, request: Request) -> Response:
        try:
            secret = await self._guard.enter(request.query_params.get("once", ""), address_of(request))
        except RequestRefused as refused:
            return self._door(refused.status, str(refused))
        if secret is None:
            remark = "That address has been used already, or is more than an hour old."
            return self._door(401, remark)
        return let_in(RedirectResponse("/ui", 303, HEADERS), secret, secure=request.url.scheme == "https")

    async def _login(self, request: Request) -> Response:
        if request.method in ("GET", "HEAD"):
            return self._door()
        try:
            sent = await self._guard.fields(request)
            secret = await self._guard.sign_in(sent.get("key", ""), address_of(request))
        except RequestRefused as refused:
            return self._door(refused.status, str(refused))
        return let_in(RedirectResponse("/ui", 303, HEADERS), secret, secure=request.url.scheme == "https")

    def _door(self, status: int = 200, remark: str = "") -> Response:
        return self._drawing.page("login.html", status, remark=remark, provider=self._provider)

    async def _logout(self, request: Request) -> Response:
        visitor = await self._guard.visitor(request)
        await self._guard.form(request, visitor)
        await self._guard.leave(request, visitor)
        response = RedirectResponse("/ui/login", 303, HEADERS)
        response.delete_cookie(COOKIE, path="/ui")
        return response

    # --- Changing something ---------------------------------------------------------------------------------------

    async def _decide(self, request: Request) -> Response:
        visitor = await self._guard.visitor(request, "decide")
        sent = await self._guard.form(request, visitor)
        task, step = request.path_params["task"], request.path_params["step"]
        try:
            answer = answer_of(sent, visitor.who, vouched=visitor.vouched)
            await self._guard.note(visitor, "approval.decided", f"{task}/{step}", f"{answer.decision} by {answer.who}")
            await self._desk.decide(
                visitor.caller,
                task,
                step,
                answer.decision,
                who=answer.who,
                note=answer.note,
                arguments=answer.arguments,
            )
        except InterlockError as wrong:
            page = await self._pages.approvals(visitor.caller, str(wrong))
            return await self._draw("approvals", visitor, page, wrong.status)
        return RedirectResponse("/ui/approvals", 303, HEADERS)

    async def _cancel(self, request: Request) -> Response:
        visitor = await self._guard.visitor(request, "operate")
        await self._guard.form(request, visitor)
        await self._guard.note(visitor, "task.operated", request.path_params["task"], "cancel")
        await self._desk.cancel(visitor.caller, request.path_params["task"], visitor.who)
        return RedirectResponse("/ui/live", 303, HEADERS)

    async def _fork(self, request: Request) -> Response:
        """Goes on from a step under other terms. With effects, only for whoever may also decide: what was approved once would be done again."""
        visitor = await self._guard.visitor(request, "operate")
        sent = await self._guard.form(request, visitor)
        task = request.path_params["task"]
        try:
            original = await self._desk.one(visitor.caller, task)
            terms = terms_of(sent, self._desk.contract(original.workflow))
            if terms.effects:
                visitor.require("decide")
            await self._guard.note(visitor, "task.operated", task, told(terms))
            fork = await self._desk.fork(visitor.caller, task, terms)
        except InterlockError as wrong:
            return await self._draw("error", visitor, wrong, wrong.status)
        return RedirectResponse(f"/ui/tasks/{segment(task)}/compare?with={segment(fork)}", 303, HEADERS)

    async def _views(self, request: Request) -> Response:
        """Keeps or drops filters under a name."""
        visitor = await self._guard.visitor(request)
        sent = await self._guard.form(request, visitor)
        try:
            view = await self._pages.change_views(visitor, sent)
        except InterlockError as wrong:
            return await self._draw("error", visitor, wrong, wrong.status)
        return RedirectResponse(f"/ui/tasks?{query(view.query)}" if view else "/ui/tasks", 303, HEADERS)

    # --- Other forms ----------------------------------------------------------------------------------------------

    async def _csv(self, request: Request) -> Response:
        visitor = await self._guard.visitor(request)
        page = await self._pages.pnl(visitor.caller, request.query_params)
        headers = {**HEADERS, "content-disposition": f'attachment; filename="pnl-{page.span}.csv"'}
        return Response(as_csv(page), 200, headers, media_type="text/csv")

    async def _events(self, request: Request) -> Response:
        visitor = await self._guard.visitor(request)
        if self._streams >= MOST_STREAMS:
            raise Shed(f"{MOST_STREAMS} browsers are watching already", retry_after_s=STREAM_S)
        return StreamingResponse(self._changes(visitor), 200, HEADERS, media_type="text/event-stream")

    async def _changes(self, visitor: Visitor) -> AsyncGenerator[str]:
        """The table of running tasks whenever it looks different."""
        self._streams += 1
        told = ""
        try:
            yield "retry: 500\n\n"
            for _ in range(round(STREAM_S / EVERY_S)):
                page = await self._pages.live(visitor.caller)
                text = self._drawing.text("running.html", page=page, visitor=visitor)
                if text != told:
                    told = text
                    yield "event: running\n" + "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
                await asyncio.sleep(EVERY_S)
        finally:
            self._streams -= 1


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted
