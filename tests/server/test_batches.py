"""Files and batches as the official client uses them, through the whole gateway."""

from __future__ import annotations

import asyncio
import functools
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from interlock.app import open_reading
from interlock.core.store import TaskFilter
from interlock.gateway.batch import BatchSettings
from interlock.storage import SqliteStore
from interlock.testing.upstream import Answer, Asked
from tests.words import places_of

from . import vendor as double
from .test_end_to_end import FILES, booked, house

CHAT = "/v1/chat/completions"


def line(name: str, text: str = "hi", endpoint: str = CHAT, **fields: Any) -> dict[str, Any]:
    body = {"model": "support", "messages": [{"role": "user", "content": text}], **fields}
    return {"custom_id": name, "method": "POST", "url": endpoint, "body": body}


def jsonl(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


async def created(client: openai.AsyncOpenAI, data: bytes, endpoint: Any = CHAT, **fields: Any) -> Any:
    file = await client.files.create(file=("in.jsonl", data), purpose="batch")
    return await client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **fields)


async def ended(client: openai.AsyncOpenAI, batch: Any) -> Any:
    async with asyncio.timeout(60):
        while (now := await client.batches.retrieve(batch.id)).status not in (
            "completed",
            "failed",
            "cancelled",
            "expired",
        ):
            await asyncio.sleep(0.02)
    return now


async def output(client: openai.AsyncOpenAI, file: str | None) -> dict[str, Any]:
    if file is None:
        return {}
    text = (await client.files.content(file)).text
    return {row["custom_id"]: row for row in map(json.loads, text.splitlines())}


@pytest.mark.requirement("GW-05")
async def test_a_batch_is_answered_line_by_line_and_each_line_settles_once(tmp_path: Path) -> None:
    answer = Answer(text="Good.", input_tokens=7, output_tokens=3)
    lines = [line(f"ask-{number}", f"question {number}") for number in range(40)]
    lines.append(line("wrong", temperature=-1))
    lines.append(line("streamed", stream=True))
    async with house(tmp_path, answer) as up, up.client() as client:
        batch = await created(client, jsonl(*lines), metadata={"who": "night"})
        assert (batch.status, batch.metadata) == ("validating", {"who": "night"})
        done = await ended(client, batch)
        good, bad = await output(client, done.output_file_id), await output(client, done.error_file_id)
        served = up.upstream.served.requests
    counts = done.request_counts
    assert (done.status, counts.total, counts.completed, counts.failed) == ("completed", 42, 40, 2)
    assert sorted(good) == sorted(each["custom_id"] for each in lines[:40])
    assert good["ask-3"]["response"]["status_code"] == 200
    assert good["ask-3"]["response"]["body"]["choices"][0]["message"]["content"] == "Good."
    assert bad["streamed"]["response"]["body"]["error"]["param"] == "stream"
    assert bad["wrong"]["response"]["status_code"] == 400
    assert served == 40
    assert booked(tmp_path) == (280, 120, 280 * 1000 + 120 * 2000)
    with open_reading(tmp_path) as reading:
        (task,) = reading.tasks(TaskFilter(limit=10))
    store = SqliteStore.open(tmp_path / "interlock.db")
    records = store.records(batch.id)
    store.close()
    assert task.task == batch.id
    assert sorted(record.seq for record in records) == list(range(1, 41))
    assert {record.content is None for record in records} == {True}, "answers stay in the files alone"


@pytest.mark.requirement("GW-05")
async def test_responses_and_embeddings_go_into_batches_too(tmp_path: Path) -> None:
    async with house(tmp_path, Answer(text="Good.")) as up, up.client() as client:
        asked = line("r", endpoint="/v1/responses")
        asked["body"] = {"model": "support", "input": "hi"}
        one = await ended(client, await created(client, jsonl(asked), "/v1/responses"))
        vectors = line("e", endpoint="/v1/embeddings")
        vectors["body"] = {"model": "simulated/small", "input": "hi"}
        other = await ended(client, await created(client, jsonl(vectors), "/v1/embeddings"))
        response = await output(client, one.output_file_id)
        embedded = await output(client, other.output_file_id)
    assert response["r"]["response"]["body"]["output"][0]["content"][0]["text"] == "Good."
    assert len(embedded["e"]["response"]["body"]["data"][0]["embedding"]) == 256


@pytest.mark.requirement("GW-05")
async def test_a_file_that_is_at_fault_fails_with_every_line_and_nothing_is_asked(tmp_path: Path) -> None:
    data = jsonl(line("a"), line("a"), line("b", endpoint="/v1/embeddings")) + b"{not json\n"
    async with house(tmp_path) as up, up.client() as client:
        failed = await ended(client, await created(client, data))
        empty = await ended(client, await created(client, b"\n"))
        served = up.upstream.served.requests
    assert failed.status == "failed"
    assert [(each.line, each.code) for each in failed.errors.data] == [
        (2, "duplicate_custom_id"),
        (3, "mismatched_url"),
        (4, "invalid_json_line"),
    ]
    assert empty.errors.data[0].code == "empty_file"
    assert served == 0


@pytest.mark.requirement("GW-05")
async def test_a_batch_that_is_cancelled_begins_no_further_line_and_keeps_what_was_answered(tmp_path: Path) -> None:
    async with house(tmp_path, Answer(text="Good.", delay_s=0.05)) as up, up.client() as client:
        batch = await created(client, jsonl(*(line(f"l{number}", f"q{number}") for number in range(200))))
        while (counts := (await client.batches.retrieve(batch.id)).request_counts) is None or counts.completed < 8:
            await asyncio.sleep(0.01)
        assert (await client.batches.cancel(batch.id)).status == "cancelling"
        done = await ended(client, batch)
        bad, good = await output(client, done.error_file_id), await output(client, done.output_file_id)
        served = up.upstream.served.requests
        with pytest.raises(openai.BadRequestError, match="cannot be cancelled"):
            await client.batches.cancel(batch.id)
    assert done.status == "cancelled"
    assert len(good) == served < 200
    assert len(bad) == 200 - served
    assert {each["error"]["code"] for each in bad.values()} == {"batch_cancelled"}


@pytest.mark.requirement("GW-05")
async def test_a_failure_that_passes_is_tried_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def script(asked: Asked) -> Answer:
        seen.append(asked.headers["idempotency-key"])
        return Answer(status=503, text="overloaded") if len(seen) < 4 else Answer(text="Good.")

    quick = functools.partial(BatchSettings, pause_s=0.01)
    monkeypatch.setattr("interlock.app.waiting.BatchSettings", quick)
    async with house(tmp_path) as up, up.client() as client:
        up.upstream.script = script
        done = await ended(client, await created(client, jsonl(line("a"))))
        good = await output(client, done.output_file_id)
    assert list(good) == ["a"]


@pytest.mark.requirement("GW-05", "SG-05")
async def test_files_belong_to_their_tenant_have_a_largest_size_and_go_when_they_are_deleted(tmp_path: Path) -> None:
    async with house(tmp_path, files=FILES + "batches: {{max_file_mb: 1}}\n") as up, up.client() as client:
        file = await client.files.create(file=("in.jsonl", jsonl(line("a"))), purpose="batch")
        got = await client.files.retrieve(file.id)
        assert (got.filename, got.bytes, got.purpose, got.status) == ("in.jsonl", file.bytes, "batch", "processed")
        assert [each.id async for each in client.files.list(limit=1)] == [file.id]
        async with openai.AsyncOpenAI(api_key="il-other", base_url=f"{up.door.url}/v1", max_retries=0) as other:
            for ask in (other.files.retrieve, other.files.content, other.files.delete):
                with pytest.raises(openai.NotFoundError):
                    await ask(file.id)
            with pytest.raises(openai.NotFoundError):
                await other.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
            assert [each.id async for each in other.files.list()] == []
        with pytest.raises(openai.APIStatusError, match="larger than"):
            await client.files.create(file=("big.jsonl", b"x" * 1_200_000), purpose="batch")
        with pytest.raises(openai.BadRequestError, match="not kept"):
            await client.files.create(file=("a.txt", b"x"), purpose="assistants")
        deleted = await client.files.delete(file.id)
        assert deleted.deleted
        with pytest.raises(openai.NotFoundError):
            await client.files.content(file.id)
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []


@pytest.mark.requirement("GW-05")
async def test_a_batch_that_the_vendor_will_not_have_goes_line_by_line(tmp_path: Path) -> None:
    def answer(asked: double.Asked) -> double.Said:
        if asked.path == "/v1/files":
            return double.said({"error": {"message": "no batches for you"}}, 400)
        reply = {"choices": [{"message": {"content": "Good."}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 7}}
        return double.said(reply)

    async with double.vendor(answer) as there:
        files = FILES.replace("{base_url}", there.base_url).replace(
            "api_key: sk-vendor", "options: {{batches: true}}, api_key: sk-vendor"
        )
        async with house(tmp_path, files=files) as up, up.client() as client:
            done = await ended(client, await created(client, jsonl(line("a"), line("b"))))
            good = await output(client, done.output_file_id)
    assert sorted(good) == ["a", "b"]
    assert [asked.path for asked in there.asked].count("/v1/chat/completions") == 2


@pytest.mark.requirement("GW-05")
async def test_what_holds_for_a_model_whatever_its_callers_send_holds_in_a_batch(tmp_path: Path) -> None:
    def answer(_: double.Asked) -> double.Said:
        return double.said({"choices": [{"message": {"content": "Good."}, "finish_reason": "stop"}]})

    async with double.vendor(answer) as there:
        files = FILES.replace("{base_url}", there.base_url).replace(
            "api_key: sk-vendor", "options: {{batches: true}}, api_key: sk-vendor"
        )
        shaped = files + "shaping: {{support: {{max_output_tokens: 10}}}}\n"
        async with house(tmp_path, files=shaped) as up, up.client() as client:
            done = await ended(client, await created(client, jsonl(line("a", max_tokens=5_000), line("b"))))
    assert done.request_counts.completed == 2
    assert [asked.path for asked in there.asked] == ["/v1/chat/completions"] * 2
    assert {asked.body.get("max_tokens", asked.body.get("max_completion_tokens")) for asked in there.asked} == {10}


@pytest.mark.requirement("GW-05", "GW-34")
async def test_a_limit_of_the_key_throttles_a_batch_instead_of_failing_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = functools.partial(BatchSettings, pause_s=0.2)
    monkeypatch.setattr("interlock.app.waiting.BatchSettings", quick)
    limit = "limits: [{{name: slow, per: key, requests: 5, period: second}}]\n"
    async with house(tmp_path, files=FILES + limit) as up, up.client() as client:
        done = await ended(client, await created(client, jsonl(*(line(f"l{n}", f"q{n}") for n in range(12)))))
        served = up.upstream.served.requests
    assert (done.request_counts.completed, done.request_counts.failed, served) == (12, 0, 12)


@pytest.mark.requirement("GW-05")
async def test_a_batch_whose_input_is_deleted_under_way_keeps_what_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = functools.partial(BatchSettings, pause_s=0.3)
    monkeypatch.setattr("interlock.app.waiting.BatchSettings", quick)
    limit = "limits: [{{name: slow, per: key, requests: 5, period: month}}]\n"
    async with house(tmp_path, files=FILES + limit) as up, up.client() as client:
        batch = await created(client, jsonl(*(line(f"l{n}", f"q{n}") for n in range(12))))
        while (counts := (await client.batches.retrieve(batch.id)).request_counts) is None or counts.completed < 5:
            await asyncio.sleep(0.01)
        await client.files.delete(batch.input_file_id)
    async with house(tmp_path, files=FILES) as up, up.client() as client:
        done = await ended(client, batch)
        good, bad = await output(client, done.output_file_id), await output(client, done.error_file_id)
    assert (done.status, done.errors.data[0].code) == ("failed", "input_file_gone")
    assert (len(good), len(bad), done.request_counts.failed) == (5, 7, 7)


@pytest.mark.requirement("SG-08")
async def test_a_sealed_batch_is_answered_like_any_other_and_no_word_of_it_can_be_read_on_the_disk(
    tmp_path: Path,
) -> None:
    files = FILES + "encryption: {{master_key: '" + "5a" * 32 + "'}}\n"
    lines = [line(f"ask-{number}", f"canary-question {number} " + "x" * 3_000) for number in range(60)]
    async with house(tmp_path, Answer(text="canary-answer"), files) as up, up.client() as client:
        data = jsonl(*lines)
        batch = await created(client, data)
        assert (await client.files.content(batch.input_file_id)).content == data
        done = await ended(client, batch)
        good = await output(client, done.output_file_id)
        assert (done.status, len(good)) == ("completed", 60)
        assert good["ask-59"]["response"]["body"]["choices"][0]["message"]["content"] == "canary-answer"
        with pytest.raises(openai.NotFoundError):
            await client.with_options(api_key="il-other").files.content(batch.input_file_id)
    assert places_of("canary-", tmp_path) == []
