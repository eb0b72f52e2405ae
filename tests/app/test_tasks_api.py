"""Tasks, approvals and signed messages over HTTP, against a server process."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from interlock.core import webhook
from interlock.core.caller import Secret
from interlock.testing.upstream import Answer, Upstream, in_turn
from tests.servers import free_port

from .conftest import Folder
from .test_serve import serving

PAY = Answer(tool_calls=(("payments.create_intent", '{"amount_usd": 80}'),))
GOOD = Answer(text=json.dumps({"sku": "A1", "quantity": 2}))
NEW = {"workflow": "agent_contract", "input": {"text": "two of A1"}}


@pytest.fixture
async def payer(contract_folder: Folder) -> AsyncGenerator[Folder]:
    """A workspace whose agent wants to pay, and then answers."""
    async with Upstream(in_turn(PAY, GOOD)) as upstream:
        contract_folder.provider("openai", upstream.base_url)
        yield contract_folder


@pytest.mark.requirement("EC-01")
async def test_what_became_of_a_task_is_said_long_after_and_by_who_knows_best(contract_folder: Folder):
    asked = asyncio.Event()
    async with Upstream(in_turn(Answer(), Answer(text=GOOD.text, until=asked))) as upstream:
        contract_folder.provider("openai", upstream.base_url)
        async with serving(contract_folder) as address, client(address, contract_folder.root) as http:
            lone = await http.post(
                "/v1/chat/completions", json={"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "?"}]}
            )
            call = lone.headers["x-interlock-call-id"].replace("cal_", "tsk_")
            async with asyncio.timeout(60):
                while (await http.get(f"/api/tasks/{call}")).status_code == 404:
                    await asyncio.sleep(0.02)
            liked = await http.post(
                f"/api/tasks/{call}/outcome", json={"success": False, "who": "u-7", "note": "wrong"}
            )
            task = (await http.post("/api/tasks", json=NEW)).json()["task"]
            early = await http.post(f"/api/tasks/{task}/outcome", json={"success": True})
            asked.set()
            judged = await http.post(f"/api/tasks/{call}/outcome", json={"success": True, "source": "judge"})
            person = await http.post(
                f"/api/tasks/{call}/outcome", json={"success": True, "source": "person", "who": "mia"}
            )
            again = await http.post(
                f"/api/tasks/{call}/outcome", json={"success": True, "source": "person", "who": "mia"}
            )
            trace = (await http.get(f"/api/tasks/{call}/trace")).json()
            nobody = await http.post("/api/tasks/tsk_none/outcome", json={"success": True})

    assert (liked.status_code, liked.json()["success"], liked.json()["success_source"]) == (200, False, "user")
    assert (early.status_code, judged.status_code, nobody.status_code) == (400, 400, 404)
    assert "user has spoken" in judged.json()["error"]["message"]
    assert (person.json()["success"], again.json()["success_source"]) == (True, "person")
    assert [each["detail"]["source"] for each in trace["steps"] if each["type"] == "outcome_seen"] == ["user", "person"]


class Receiver:
    """Takes signed messages; refuses the first one, to be told again."""

    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self.refused = 0
        self.came = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in head.split("\r\n")[1:] if line}
        body = await reader.readexactly(int(headers["content-length"]))
        if not self.refused:
            self.refused = 1
            writer.write(b"HTTP/1.1 503 -\r\ncontent-length: 0\r\n\r\n")
        else:
            self.messages.append((headers, body))
            writer.write(b"HTTP/1.1 204 -\r\n\r\n")
            self.came.set()
        await writer.drain()
        writer.close()


def client(address: str, root: Path, key: str = "") -> httpx2.AsyncClient:
    secret = key or (root / ".interlock" / "server.key").read_text().strip()
    return httpx2.AsyncClient(base_url=address, headers={"authorization": f"Bearer {secret}"}, timeout=20)


async def until(http: httpx2.AsyncClient, task: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            found = (await http.get(f"/api/tasks/{task}")).json()
            if found["status"] == status:
                return found
            await asyncio.sleep(0.05)


@pytest.mark.requirement("AG-06", "AG-09", "AG-14")
async def test_a_task_is_begun_once_waits_is_approved_once_and_can_be_followed(payer: Folder):
    async with serving(payer) as address, client(address, payer.root) as http:
        first = await http.post("/api/tasks", json=NEW, headers={"idempotency-key": "one"})
        again = await http.post("/api/tasks", json=NEW, headers={"idempotency-key": "one"})
        task = first.json()["task"]
        await until(http, task, "waiting")
        questions = (await http.get("/api/approvals")).json()["questions"]
        step = questions[0]["step"]
        url = f"/api/approvals/{task}/{step}"
        wrong = await http.post(url, json={"decision": "edit", "arguments": {"amount_usd": "much"}})
        edited = await http.post(
            url,
            json={
                "decision": "edit",
                "who": "mia",
                "note": "less",
                "arguments": {"amount_usd": 20},
            },
        )
        done = await until(http, task, "finished")
        late = await http.post(url, json={"decision": "approve", "who": "tom"})
        events = (await http.get(f"/api/tasks/{task}/events")).text
        rest = (await http.get(f"/api/tasks/{task}/events", headers={"last-event-id": str(step)})).text
        trace = (await http.get(f"/api/tasks/{task}/trace")).json()
        bogus = await http.get("/api/tasks?status=bogus")
        missing = await http.post("/api/tasks", json={**NEW, "input": {}})

    assert (bogus.status_code, missing.status_code) == (400, 400)
    assert "Known: running, waiting" in bogus.json()["error"]["message"]
    assert " " not in missing.json()["error"]["param"]
    assert (first.status_code, again.status_code, again.json()["task"]) == (202, 200, task)
    assert questions[0]["arguments"] == {"amount_usd": 80}
    assert wrong.status_code == 422
    assert edited.status_code == 202
    assert done["outcome"] == "resolved"
    assert late.status_code == 400
    assert payer.calls() == ["pay 20.0"]
    decided = next(each for each in trace["steps"] if each["type"] == "approval_decided")
    assert decided["detail"]["who"].startswith("mia (by ")
    ids = [int(line[4:]) for line in events.splitlines() if line.startswith("id: ")]
    assert ids == list(range(len(ids)))
    assert [int(line[4:]) for line in rest.splitlines() if line.startswith("id: ")] == ids[step + 1 :]
    assert events.rstrip().splitlines()[-2] == "event: end"


@pytest.mark.requirement("AG-06")
async def test_a_webhook_is_told_signed_and_decides_signed(payer: Folder):
    receiver, secret, port = Receiver(), Secret("a-secret-of-some-length"), free_port()
    with (payer.root / "interlock.yaml").open("a") as file:
        file.write(f"\nwebhooks: [{{url: 'http://127.0.0.1:{port}/hook', secret: {secret.reveal()}}}]\n")
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    async with server, serving(payer) as address, client(address, payer.root) as http:
        task = (await http.post("/api/tasks", json=NEW)).json()["task"]
        async with asyncio.timeout(60):
            await receiver.came.wait()
        headers, body = receiver.messages[0]
        asked = json.loads(body)
        at_s = int(headers["webhook-timestamp"])
        answer = json.dumps({"decision": "approve", "who": "mia"}).encode()
        forged = await http.post(
            asked["data"]["decide"],
            content=answer,
            headers=dict(webhook.headers(Secret("another"), "msg_9", at_s, answer)),
        )
        old = await http.post(
            asked["data"]["decide"],
            content=answer,
            headers=dict(webhook.headers(secret, "msg_9", at_s - 1_000, answer)),
        )
        much = json.dumps({"decision": "edit", "who": "mia", "arguments": {"amount_usd": "much"}}).encode()
        wrong = await http.post(
            asked["data"]["decide"], content=much, headers=dict(webhook.headers(secret, "msg_8", at_s, much))
        )
        answer = json.dumps({"decision": "edit", "who": "mia", "arguments": {"amount_usd": 30}}).encode()
        taken = await http.post(
            asked["data"]["decide"], content=answer, headers=dict(webhook.headers(secret, "msg_9", at_s, answer))
        )
        replayed = await http.post(
            asked["data"]["decide"], content=answer, headers=dict(webhook.headers(secret, "msg_9", at_s, answer))
        )
        done = await until(http, task, "finished")

    assert webhook.verify([secret], headers, body, at_s) == headers["webhook-id"]
    assert (asked["type"], asked["data"]["tool"]) == ("approval_asked", "payments.create_intent")
    assert (forged.status_code, old.status_code, taken.status_code) == (401, 401, 202)
    assert replayed.status_code in (202, 400)
    assert done["outcome"] == "resolved"
    assert wrong.status_code == 422
    assert payer.calls() == ["pay 30.0"]


@pytest.mark.requirement("AG-06", "SG-05")
async def test_nobody_decides_without_a_key_that_may(payer: Folder):
    async with serving(payer) as address, client(address, payer.root) as http:
        task = (await http.post("/api/tasks", json=NEW)).json()["task"]
        await until(http, task, "waiting")
        plain = (await http.post("/api/keys", json={"name": "app"})).json()["secret"]
        rival = (await http.post("/api/keys", json={"name": "rival", "tenant": "rival", "admin": True})).json()[
            "secret"
        ]
        async with client(address, payer.root, plain) as app, client(address, payer.root, rival) as other:
            sees = await app.get(f"/api/tasks/{task}")
            refused = await app.post(f"/api/approvals/{task}/4", json={"decision": "approve"})
            foreign = [
                await other.get(f"/api/tasks/{task}"),
                await other.get(f"/api/tasks/{task}/trace"),
                await other.get(f"/api/tasks/{task}/events"),
                await other.post(f"/api/tasks/{task}/cancel"),
                await other.get(f"/api/approvals/{task}"),
                await other.post(f"/api/approvals/{task}/4", json={"decision": "approve"}),
            ]
            begun = await other.post("/api/tasks", json=NEW)
            listed = (await other.get("/api/tasks")).json()["tasks"]
        nobody = await http.get("/api/tasks", headers={"authorization": ""})

    assert (sees.status_code, refused.status_code, nobody.status_code) == (200, 403, 401)
    assert {reply.status_code for reply in foreign} == {404}
    assert begun.status_code == 400
    assert listed == []
    assert payer.calls() == []


@pytest.mark.requirement("AG-09", "AG-14")
async def test_a_task_is_paused_goes_on_hears_a_signal_and_its_result_is_waited_for(contract_folder: Folder):
    waits = Answer(tool_calls=(("task_wait", '{"name": "shipped"}'),))
    contract = contract_folder.root / "agents" / "agent_contract.yaml"
    contract.write_text(contract.read_text().replace("  tools:\n", "  tools:\n    - name: task.wait\n"))
    async with Upstream(in_turn(waits, GOOD)) as upstream:
        contract_folder.provider("openai", upstream.base_url)
        async with serving(contract_folder) as address, client(address, contract_folder.root) as http:
            task = (await http.post("/api/tasks", json=NEW)).json()["task"]
            await until(http, task, "waiting")
            nobody = (await http.get("/api/approvals")).json()["questions"]
            open_result = await http.get(f"/api/tasks/{task}/result")
            await http.post(f"/api/tasks/{task}/pause")
            await until(http, task, "paused")
            sent = {"name": "shipped", "payload": {"parcel": 7}}
            first = await http.post(f"/api/tasks/{task}/signals", json=sent, headers={"idempotency-key": "e1"})
            again = await http.post(f"/api/tasks/{task}/signals", json=sent, headers={"idempotency-key": "e1"})
            await asyncio.sleep(0.2)
            paused = (await http.get(f"/api/tasks/{task}")).json()["status"]
            result = asyncio.ensure_future(http.get(f"/api/tasks/{task}/result?wait_s=20"))
            await http.post(f"/api/tasks/{task}/resume")
            done = await result
            late = await http.post(f"/api/tasks/{task}/pause")
            closed = await http.post(f"/api/tasks/{task}/close", json={"success": True, "note": "seen"})
            twice = await http.post(f"/api/tasks/{task}/close", json={"success": True})
            wrong = await http.get(f"/api/tasks/{task}/result?wait_s=soon")
            document = (await http.get("/api/openapi.json")).json()
    assert nobody == [], "it waits for no person"
    assert (open_result.status_code, open_result.json()["outcome"]) == (202, "waiting")
    assert (first.status_code, again.status_code, paused) == (202, 200, "paused")
    assert (done.status_code, done.json()["outcome"]) == (200, "resolved")
    assert (late.status_code, closed.status_code, twice.status_code, wrong.status_code) == (400, 200, 400, 400)
    assert closed.json()["success"] is True
    assert "/api/tasks/{task}/signals" in document["paths"]


async def test_a_trace_shows_what_was_waited_for_until_when(
    contract_folder: Folder, capsys: pytest.CaptureFixture[str]
):
    from interlock.app import Interlock
    from interlock.cli.main import main
    from interlock.server.dashboard.waterfall import waterfall

    waits = Answer(tool_calls=(("task_wait", '{"name": "shipped"}'), ("task_sleep", '{"seconds": 3600}')))
    contract = contract_folder.root / "agents" / "agent_contract.yaml"
    listed = "  tools:\n    - name: task.wait\n    - name: task.sleep\n"
    contract.write_text(contract.read_text().replace("  tools:\n", listed))
    async with Upstream(in_turn(waits, GOOD)) as upstream:
        contract_folder.provider("openai", upstream.base_url)
        async with Interlock.from_file(contract_folder.root) as il:
            task = (await il.run("agent_contract", {"text": "two of A1"})).task
            await il.agents.signal(task, "shipped", {"parcel": 7}, who="shop")
            await il.resume(task)
            trace = il.reader.trace(task)
    assert trace is not None
    rows = {row.name: row.status for row in waterfall(trace).rows}
    assert (rows["task.wait"], rows["task.sleep"]) == ("ok", "waits for a timer")
    await asyncio.to_thread(main, ["trace", task, "-w", str(contract_folder.root)])
    drawn = capsys.readouterr().out
    assert "waits for a timer" in drawn
    assert "parcel" in drawn
