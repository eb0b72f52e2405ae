"""Takes the pictures of the dashboard for docs/images: every page, light and dark, and what it looks like when there is nothing yet.

Development only: needs Chromium and Pillow. `make pictures`. The workspace is the support example after a run over its tickets, with two made weeks of
traffic before it (four kinds of ticket, two models), so that there are prices, failures, refunds and a version that made tickets dearer to look at.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2
from msgspec.structs import replace
from PIL import Image

from interlock.app.reading import open_reading
from interlock.app.views import View, Views
from interlock.core.caller import Versions
from interlock.core.circuits import CircuitChange, CircuitState
from interlock.core.events import ApprovalAsked, ApprovalDecided, Settled
from interlock.core.store import TaskFilter
from interlock.core.time import NS_PER_S, SystemClock
from interlock.storage import SqliteStore
from tests.server.chromium import CHROMIUM
from tests.server.dashboard_kit import Past, write
from tests.server.test_dashboard_browser import serving

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE, IMAGES = ROOT / "examples" / "support", ROOT / "docs" / "images"
TENANT, WORKFLOW = "fernhill", "support_reply"
HOUR_NS = 3_600 * NS_PER_S
BEFORE = Versions("5d0c41aa7be2", "e3808222bdd4", "f5b3ebe2a17b", "5831b98bdcad")
COLOURS = 96
LARGEST = 120_000
WIDE = 1360
TEXTS = (
    "Where is my order FH-10449?",
    "The tent I bought leaks at the seam. I want my money back.",
    "Can I change the size of the boots before they are sent?",
    "How long do returns take at the moment?",
)


def ran(folder: Path) -> Path:
    """The support example after a run over every eighth of its tickets, and all that wait for a person."""
    root = folder / "support"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns(".interlock"))
    lines = (root / "tickets.jsonl").read_text("utf-8").splitlines(keepends=True)
    some = [line for number, line in enumerate(lines) if number % 8 == 0 or '"waiting_approval"' in line]
    (root / "tickets.jsonl").write_text("".join(some), "utf-8")
    command = [str(Path(sys.executable).with_name("interlock")), "run", WORKFLOW, "-w", str(root)]
    subprocess.run([*command, "--input", str(root / "tickets.jsonl")], check=True, stdout=subprocess.DEVNULL)
    return root


def past(number: int, at_ns: int, versions: Versions, rng: random.Random, *, dear: float) -> Past:
    """A ticket: answered, failed at its carrier, or refunded after a person has agreed."""
    made = Past(
        f"tsk_made{number:04d}", at_ns, tenant=TENANT, workflow=WORKFLOW, user=f"customer-{rng.randrange(40):02d}"
    )
    made.versions = versions
    made.fact = lambda text: text.replace("agent_contract", WORKFLOW)
    text = rng.choice(TEXTS)
    made.begin(text)
    made.model(text, ms=rng.randrange(300, 1_400), failed=int(rng.random() < 0.04), escalated=rng.random() < dear)
    made.tool("orders.get", ms=rng.randrange(20, 90), failed=int(rng.random() < 0.05))
    kind = rng.random()
    searched = "hit" if rng.random() < 0.7 else "miss"
    if kind < 0.06:
        failed(made)
    elif kind < 0.14:
        refunded(made, rng)
    elif kind > 0.96:
        made.end("handed_to_human", workflow=WORKFLOW, searched=searched)
    else:
        made.model("write the answer", ms=rng.randrange(400, 1_800), escalated=rng.random() < dear / 2)
        made.end(workflow=WORKFLOW, searched=searched, cited=int(searched == "hit" and rng.random() < 0.9))
    return made


def failed(made: Past) -> None:
    """At its last step, the carrier's service."""
    made.tool("shipping.track", ms=900, failed=2)
    last = made.records[-1]
    assert isinstance(last.event, Settled)
    said = "the carrier's service answered 503 three times"
    made.records[-1] = replace(last, event=replace(last.event, status="error", error="tool_failed", message=said))
    made.end("failed", error="tool_failed", message=f"shipping.track: {said}")


def refunded(made: Past, rng: random.Random) -> None:
    """Above the limit, so somebody was asked."""
    amount, step = round(rng.uniform(60, 400), 2), len(made.records)
    content = {"arguments": {"order_id": f"FH-{rng.randrange(10_000, 11_000)}", "amount_usd": amount}}
    rule = f"requires_human_approval: amount_usd > 50 (amount_usd={amount})"
    made.add(
        ApprovalAsked(step, "payments.refund", "a1b2", rule, made.at_ns + 24 * HOUR_NS, workflow=WORKFLOW), content
    )
    who = rng.choice(("mia.weber@fernhill.example", "tom.okafor@fernhill.example"))
    made.add(ApprovalDecided(step, "approve", who, "a1b2", "seen the photo"), ms=rng.randrange(3, 40) * 60_000)
    made.tool("payments.refund", ms=220)
    made.end()


def outages(now_ns: int) -> list[CircuitChange]:
    """Two bad hours of the small model: one that three processes saw, and one in which a probe failed."""
    found: list[CircuitChange] = []
    told: tuple[tuple[float, CircuitState, str], ...] = (
        (0, "open", "8 failures in a row, the last: upstream_unreachable"),
        (0.4, "half_open", "cooled down for 2 s; one probe goes out"),
        (0.5, "open", "its probe failed, the last: upstream_timeout"),
        (1.4, "half_open", "cooled down for 4 s; one probe goes out"),
        (1.6, "closed", "its probe was answered"),
    )
    for process, begun in (
        ("gw-1:5d0c:4121:77", 61.0),
        ("gw-1:5d0c:4122:78", 60.8),
        ("gw-2:91ab:812:40", 60.7),
        ("gw-2:91ab:812:40", 20.0),
    ):
        for later, state, reason in told:
            at_ns = now_ns - round((begun - later * (3 if begun > 60.9 else 2)) * HOUR_NS)
            found.append(CircuitChange(at_ns, TENANT, process, at_ns, "openai/small", state, reason))
    return found


def story(root: Path) -> tuple[str, str]:
    """Writes the two weeks; the ids of a task that failed and of one with a refund."""
    rng, now = random.Random(7), SystemClock().wall_ns()
    with open_reading(root) as reading:
        newest = reading.tasks(TaskFilter(limit=1))[0]
        trace = reading.trace(newest.task)
    assert trace is not None
    tasks: list[Past] = []
    for number in range(560):
        ago = rng.uniform(2, 14 * 24)
        late = ago < 5 * 24
        made = past(
            number,
            now - round(ago * HOUR_NS),
            trace.versions if late else BEFORE,
            rng,
            dear=0.45 if late else 0.15,
        )
        tasks.append(made)
    write(root, *tasks)
    tasks.sort(key=lambda each: -each.at_ns)
    broken = next(each for each in tasks if "'failed'" in repr(each.records[-1].event))
    paid = next(each for each in tasks if any(isinstance(r.event, ApprovalDecided) for r in each.records))
    store = SqliteStore.open(root / ".interlock" / "interlock.db")
    store.circuits.add(outages(now))
    views = Views(store.texts, SystemClock())
    views.keep(TENANT, "dashboard", View("failed tickets", {"outcome": "failed", "kind": "task"}))
    views.keep(TENANT, "dashboard", View("dear ones", {"kind": "task", "cost": "0.005"}))
    store.close()
    return broken.task, paid.task


class Camera:
    """A browser of one server."""

    def __init__(self, profile: Path, address: str) -> None:
        self._profile, self._address = profile, address

    def shot(self, path: str, name: str, *, dark: bool = False, height: int = 900) -> None:
        """A picture of the page at `path`, small enough for a repository; without a `name` it is only visited."""
        target = self._profile / "shot.png"
        switches = (
            "--headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-background-networking"
        )
        command = [str(CHROMIUM), *switches.split(), f"--user-data-dir={self._profile}"]
        command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--window-size={WIDE},{height}"]
        if not path.endswith("/live"):  # time that is skipped waits for a stream to end
            command.append("--virtual-time-budget=3000")
        command += [f"--screenshot={target}", self._address + path]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        if not name:
            return
        where = IMAGES / f"dashboard-{name}.png"
        for colours in (COLOURS, 48, 24):
            Image.open(target).convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(where, optimize=True)
            if where.stat().st_size <= LARGEST:
                break
        print(where.relative_to(ROOT), where.stat().st_size)


async def full(root: Path, profile: Path) -> None:
    """Every page with something on it."""
    broken, paid = story(root)
    async with serving(root) as (address, entrance):
        key = (root / ".interlock" / "server.key").read_text().strip()
        async with httpx2.AsyncClient(base_url=address, headers={"authorization": f"Bearer {key}"}, timeout=30) as http:
            asked = (await http.get("/ui/approvals.json")).json()["waiting"]
            for number, each in enumerate(asked[1:]):
                place = each["question"]
                form = {"decision": "approve", "who": ("Mia Weber", "Tom Okafor")[number % 2]}
                await http.post(f"/ui/approvals/{place['task']}/{place['step']}", data=form)
            simulated = (await http.get("/ui/tasks.json?outcome=simulated")).json()["tasks"][0]["task"]
            made = await http.post(f"/ui/tasks/{simulated}/again", data={"at": "1", "model": "support"})
            incidents = (await http.get("/ui/incidents.json")).json()
        camera = Camera(profile, address)
        await asyncio.to_thread(camera.shot, entrance, "")
        pages = {
            "home": ("/ui", 1000),
            "live": ("/ui/live", 700),
            "tasks": ("/ui/tasks?outcome=failed&kind=task", 760),
            "trace": (f"/ui/tasks/{broken}", 900),
            "refund": (f"/ui/tasks/{paid}?step={await _question(root, paid)}", 640),
            "why": (f"/ui/tasks/{broken}/why", 900),
            "compare": (f"/ui/tasks/{broken}/compare", 760),
            "again": (f"/ui/tasks/{simulated}/again", 760),
            "fork": (made.headers["location"], 900),
            "approvals": ("/ui/approvals", 1280),
            "pnl": ("/ui/pnl?span=7d", 1620),
            "models": ("/ui/models?span=7d", 1140),
            "incidents": ("/ui/incidents", 1000),
            "quality": ("/ui/quality", 780),
            "audit": ("/ui/audit", 760),
            "config": ("/ui/config", 900),
        }
        if known := [*incidents.get("open", ()), *incidents.get("past", ())]:
            pages["incident"] = (f"/ui/incidents/{known[0]['id']}", 900)
        for name, (path, height) in pages.items():
            for dark in (False, True):
                picture = f"{name}-dark" if dark else name
                await asyncio.to_thread(camera.shot, path, picture, dark=dark, height=height)


async def _question(root: Path, task: str) -> int:
    with open_reading(root) as reading:
        trace = reading.trace(task)
    assert trace is not None
    return next(step.step for step in trace.steps if step.type == "approval_asked")


async def empty(folder: Path, profile: Path) -> None:
    """What a workspace shows in which nothing has happened."""
    root = folder / "empty"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns(".interlock"))
    async with serving(root) as (address, entrance):
        camera = Camera(profile, address)
        await asyncio.to_thread(camera.shot, entrance, "")
        for name in ("home", "live", "tasks", "approvals", "pnl", "models", "incidents", "quality"):
            path = "/ui" if name == "home" else f"/ui/{name}"
            await asyncio.to_thread(camera.shot, path, f"{name}-empty", height=620 if name == "home" else 420)
        login = Camera(folder / "nobody", address)
        (folder / "nobody").mkdir()
        await asyncio.to_thread(login.shot, "/ui/login", "login", height=420)


def main() -> None:
    """Takes them all; `--from FOLDER`: of a support workspace that has been run already (it is copied)."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--from", dest="source", type=Path, metavar="FOLDER")
    source = given.parse_args().source
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for profile in ("full", "empty"):
            (folder / f"profile-{profile}").mkdir()
        root = shutil.copytree(source, folder / "support") if source else ran(folder)
        asyncio.run(full(Path(root), folder / "profile-full"))
        asyncio.run(empty(folder, folder / "profile-empty"))


if __name__ == "__main__":
    main()
