"""Message Batches as Anthropic's client uses them, and Anthropic's own batch API behind any batch."""

from __future__ import annotations

import asyncio
import functools
import json
from pathlib import Path
from typing import Any

import anthropic
import pytest

from interlock.gateway.batch import BatchSettings
from interlock.testing.upstream import Answer

from . import vendor as double
from .door import KEY
from .test_batches import created, jsonl, line, output
from .test_batches import ended as openai_ended
from .test_end_to_end import FILES, booked, house


def request(name: str, **fields: Any) -> Any:
    params = {"model": "support", "max_tokens": 50, "messages": [{"role": "user", "content": f"hi {name}"}], **fields}
    return {"custom_id": name, "params": params}


def client_of(url: str) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(api_key=KEY, base_url=f"{url}/anthropic", max_retries=0)


async def ended(client: anthropic.AsyncAnthropic, batch: str) -> Any:
    async with asyncio.timeout(60):
        while (now := await client.messages.batches.retrieve(batch)).processing_status != "ended":
            await asyncio.sleep(0.02)
    return now


@pytest.mark.requirement("GW-05", "GW-06")
async def test_anthropics_client_makes_a_batch_and_reads_its_results(tmp_path: Path) -> None:
    async with (
        house(tmp_path, Answer(text="Good.", input_tokens=7, output_tokens=3)) as up,
        client_of(up.door.url) as c,
    ):
        batch = await c.messages.batches.create(requests=[request("a"), request("b"), request("c", max_tokens=0)])
        assert (batch.type, batch.processing_status, batch.request_counts.processing) == (
            "message_batch",
            "in_progress",
            3,
        )
        done = await ended(c, batch.id)
        results = {each.custom_id: each.result async for each in await c.messages.batches.results(batch.id)}
        listed = [each.id async for each in c.messages.batches.list(limit=1)]
        with pytest.raises(anthropic.NotFoundError):
            await c.messages.batches.retrieve("msgbatch_nobodys")
        with pytest.raises(anthropic.BadRequestError, match="not all different"):
            await c.messages.batches.create(requests=[request("a"), request("a")])
        await c.messages.batches.delete(batch.id)
        with pytest.raises(anthropic.NotFoundError):
            await c.messages.batches.results(batch.id)
    assert (done.request_counts.succeeded, done.request_counts.errored) == (2, 1)
    assert sorted(results) == ["a", "b", "c"]
    good: Any = results["a"]
    assert (good.type, good.message.content[0].text, good.message.usage.output_tokens) == ("succeeded", "Good.", 3)
    bad: Any = results["c"]
    assert (bad.type, bad.error.error.type) == ("errored", "invalid_request_error")
    assert listed == [batch.id]
    assert booked(tmp_path) == (14, 6, 14 * 1000 + 6 * 2000)


class Vendor:
    """Message Batches; the reply to the first one that is made is lost on the way."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []

    def answer(self, asked: double.Asked) -> double.Said:
        path = asked.path.removeprefix("/v1/messages/batches").partition("?")[0]
        if asked.method == "POST":
            batch = {"id": f"msgbatch_{len(self.batches)}", "processing_status": "ended", **asked.body}
            self.batches.append({**batch, "created_at": "2099-01-01T00:00:00Z"})
            return double.CUT, "", b""
        if not path:
            return double.said({"data": self.batches, "has_more": False})
        if path.endswith("/results"):
            lines = [self._result(each) for each in self.batches[0]["requests"]]
            return 200, "application/x-jsonl", b"".join(json.dumps(each).encode() + b"\n" for each in lines)
        return double.said(self.batches[0])

    def _result(self, asked: dict[str, Any]) -> dict[str, Any]:
        content = asked["params"]["messages"][0]["content"]
        if "b" in str(content):
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": "not this one"}}
            return {"custom_id": asked["custom_id"], "result": {"type": "errored", "error": error}}
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": asked["params"]["model"],
            "content": [{"type": "text", "text": "Good."}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 7, "output_tokens": 3},
        }
        return {"custom_id": asked["custom_id"], "result": {"type": "succeeded", "message": message}}


@pytest.mark.requirement("GW-05", "GW-06")
async def test_a_batch_goes_through_anthropics_own_and_is_found_again_when_its_submission_was_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = functools.partial(BatchSettings, patience_s=0.01, look_s=0.05)
    monkeypatch.setattr("interlock.app.waiting.BatchSettings", quick)
    there = Vendor()
    async with double.vendor(there.answer) as upstream:
        files = FILES.replace("{base_url}", upstream.base_url).replace(
            "dialect: openai", "dialect: anthropic, options: {{batches: true}}"
        )
        async with house(tmp_path, files=files) as up, up.client() as client:
            lines = [line("x", "a", max_tokens=50), line("y", "b", max_tokens=50)]
            done = await openai_ended(client, await created(client, jsonl(*lines)))
            good, bad = await output(client, done.output_file_id), await output(client, done.error_file_id)
    assert len(there.batches) == 1
    assert good["x"]["response"]["body"]["choices"][0]["message"]["content"] == "Good."
    assert bad["y"]["response"]["status_code"] == 400
    assert "not this one" in bad["y"]["response"]["body"]["error"]["message"]
    assert booked(tmp_path) == (7, 3, 7 * 1000 + 3 * 2000)
