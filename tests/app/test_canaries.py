"""Secrets planted wherever a workspace may hold one, then a task that does its best to let them out: none is found anywhere a person or a model looks."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from interlock.testing.upstream import Answer, Upstream, in_turn
from tests.sandbox import kit

from .conftest import Folder
from .test_serve import ADDRESS

LENT = "canary-lent-5d1f09c2"
EGRESS = "canary-egress-77aa31"
VENDOR = "canary-vendor-0b9e44"
HOOK = "canary-hook-secret-91c"
BACKGROUND = "canary-environment-3f"
CANARIES = (LENT, EGRESS, VENDOR, HOOK, BACKGROUND)
TOOLS = """
from interlock import ToolContext, ToolError, tool

@tool(name="crm.find", effect="none")
def find(how: str, ctx: ToolContext) -> dict:
    secret = ctx.credentials["crm"].reveal()
    if how == "error":
        raise ToolError("denied", f"401 for Bearer {secret}", hint=secret)
    if how == "crash":
        raise RuntimeError(f"connection of {secret} was reset")
    return {"sent": f"Bearer {secret}", secret: [secret]}

@tool(name="away", isolated=True, effect="none")
def away() -> dict:
    import os, pathlib
    seen = dict(os.environ)
    for each in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            seen[str(each)] = each.read_bytes().decode(errors="replace")
        except OSError:
            continue
    return seen
"""
CONTRACT = """
agent:
  model: openai/gpt-4o-mini
  logging: {trace_id: true, store_prompts: full}
  tools: [{name: crm.find, credentials: [crm]}, {name: away, timeout_ms: 30000}, {name: code.run, timeout_ms: 30000}]
"""
CODE = "import os, pathlib; [dict(os.environ), [p.read_text(errors='replace') for p in pathlib.Path('/proc/self').glob('environ')], os.listdir('/')]"
PAGES = ("/ui", "/ui/live", "/ui/tasks", "/ui/tasks/{task}", "/ui/approvals", "/ui/pnl", "/ui/models", "/ui/pnl.csv")


def write(folder: Folder, base_url: str) -> None:
    folder.write("tools.py", TOOLS)
    folder.write("agents/finder.yaml", CONTRACT)
    folder.write("crm.token", LENT)
    folder.write(
        "interlock.yaml",
        f"tenant: acme\nproviders: {{openai: {{base_url: '{base_url}', api_key: {VENDOR}}}}}\n"
        "credentials: {crm: {file: crm.token}}\n"
        f"egress: {{allow: [{{host: api.example.com}}], credentials: {{hub: {{secret: {EGRESS}, hosts: [api.example.com]}}}}}}\n"
        "sandbox: {network: true, spares: 0}\n"
        f"webhooks: [{{url: 'http://127.0.0.1:9/hook', secret: {HOOK}}}]\n",
    )


def asks(name: str, arguments: object) -> Answer:
    return Answer(tool_calls=((name, json.dumps(arguments)),))


@pytest.mark.requirement("TL-08")
async def test_no_planted_secret_is_found_in_prompts_store_logs_errors_sandbox_or_pages(tmp_path: Path):
    kit.require_namespaces()
    folder = Folder(tmp_path)
    turns = [asks("crm.find", {"how": how}) for how in ("result", "error", "crash")]
    turns += [asks("away", {}), asks("code.run", {"code": CODE}), Answer(text="done")]
    async with Upstream(in_turn(*turns)) as upstream:
        write(folder, upstream.base_url)
        logged, shown = await served(folder)
        sent = "".join(json.dumps(each.body) for each in upstream.asked)

    cli = [sys.executable, "-m", "interlock.cli.main"]
    told = [
        subprocess.run([*cli, *verb, "-w", str(tmp_path), "--json"], capture_output=True, check=False)
        for verb in (("tasks",), ("pnl",))
    ]
    kept = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.parent != tmp_path}
    places = {"prompts": sent.encode(), "logs": logged, "pages": shown, "tasks": told[0].stdout + told[0].stderr}
    places |= {"pnl": told[1].stdout + told[1].stderr, **kept}
    assert len(upstream.asked) == len(turns), logged
    assert b"[credential crm]" in places["prompts"]
    assert [(place, canary) for place, said in places.items() for canary in CANARIES if canary.encode() in said] == []


async def served(folder: Folder) -> tuple[bytes, bytes]:
    """What a server wrote while it worked on the task, and what its pages, API and metrics show afterwards."""
    command = [str(Path(sys.executable).with_name("interlock")), "serve", "-w", str(folder.root), "--port", "0"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "SOME_TOKEN": BACKGROUND}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stderr=pipe, stdout=pipe, env=environment)
    assert process.stderr is not None
    begun = b""
    try:
        async with asyncio.timeout(60):
            while (address := ADDRESS.search(line := await process.stderr.readline())) is None:
                begun += line
                assert line, begun.decode()
            shown = await looked_at(folder, address[1].decode())
    finally:
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    return begun + out + err, shown


async def looked_at(folder: Folder, address: str) -> bytes:
    key = (folder.root / ".interlock" / "server.key").read_text().strip()
    bearer = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=address, timeout=30, headers=bearer) as http:
        task = (await http.post("/api/tasks", json={"workflow": "finder", "input": {"text": "find A1"}})).json()["task"]
        while (found := await http.get(f"/api/tasks/{task}")).json()["status"] not in ("finished", "failed"):
            await asyncio.sleep(0.05)
        paths = (f"/api/tasks/{task}/trace", f"/api/tasks/{task}/events", "/metrics", "/healthz")
        seen = [found.content, *[(await http.get(path)).content for path in paths]]
    async with httpx2.AsyncClient(base_url=address, timeout=30) as browser:
        await browser.post("/ui/login", data={"key": key})
        for path in PAGES:
            page = await browser.get(path.format(task=task))
            assert page.status_code == 200, (path, page.status_code)
            seen.append(page.content)
            seen.append((await browser.get(f"{path.format(task=task)}.json")).content if path != "/ui/pnl.csv" else b"")
    assert b"crm.find" in seen[1]
    return b"\n".join(seen)
