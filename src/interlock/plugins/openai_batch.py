"""OpenAI's Batch API: a file of requests is uploaded, a batch made of it, looked at, and its answers fetched line by line.

Above: providers/openai. Below: `core`, `plugins.wire`. Source: the guide to the Batch API and the references for batches and files
(platform.openai.com/docs/guides/batch), November 2026.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from interlock.core.batches import VendorAnswer, VendorBatch
from interlock.core.chat import ChatRequest, ChatResponse
from interlock.core.errors import BadReply
from interlock.core.ports import Deployment, HttpRequest, HttpResponse, PluginEnv
from interlock.core.time import NS_PER_S, Deadline
from interlock.core.unreadable import UNREADABLE
from interlock.plugins import wire

ENDPOINT = "/v1/chat/completions"
MARK = "interlock_batch"
"""Field of a batch's metadata that holds our own id of it."""
BOUNDARY = "interlock-5f2b8c1e7a904d36"
ENDED = frozenset(("completed", "expired", "cancelled"))
PAGES = 20
"""Of a hundred batches each that are looked through for a mark."""
SLACK_S = 600
"""Clocks may differ by this much."""

T = TypeVar("T", bound=Struct)
Send = Callable[[Deployment, str, str, bytes, str, str], HttpRequest]
"""(deployment, method, path, body, its content type, idempotency key) → the request with its credential."""
Encode = Callable[[Deployment, ChatRequest], bytes]
Read = Callable[[bytes, Deployment], ChatResponse]


class _File(Struct):
    id: str


class _Fault(Struct):
    message: str = ""


class _Faults(Struct):
    data: list[_Fault] = []


class _Batch(Struct):
    id: str
    status: str = ""
    created_at: int = 0
    metadata: dict[str, str] | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Faults | None = None


class _Batches(Struct):
    data: list[_Batch] = []
    has_more: bool = False


class _Said(Struct):
    status_code: int = 0
    body: Raw = Raw(b"null")


class _Line(Struct):
    custom_id: str
    response: _Said | None = None
    error: _Fault | None = None


_line = msgspec.json.Decoder(_Line)


class OpenAIBatches:
    """`core.batches.BatchApi` of this dialect."""

    def __init__(
        self, env: PluginEnv, offered: Callable[[Deployment], bool], send: Send, encode: Encode, read: Read
    ) -> None:
        """`encode`, `read`: a chat completion's request and reply."""
        self._env = env
        self.offered = offered
        self._send = send
        self._encode = encode
        self._read = read

    def line(self, deployment: Deployment, request: ChatRequest, name: str) -> bytes:
        body = Raw(self._encode(deployment, request))
        return msgspec.json.encode({"custom_id": name, "method": "POST", "url": ENDPOINT, "body": body})

    async def submit(self, deployment: Deployment, lines: Sequence[bytes], mark: str, deadline: Deadline) -> str:
        body = _upload(b"\n".join(lines) + b"\n", f"{mark}.jsonl")
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        sent = self._send(deployment, "POST", "files", body, kind, f"{mark}.file")
        file = _decoded(await self._asked(sent, deployment, deadline), _File, deployment)
        asked = {
            "input_file_id": file.id,
            "endpoint": ENDPOINT,
            "completion_window": "24h",
            "metadata": {MARK: mark},
        }
        made = await self._json(deployment, "POST", "batches", deadline, msgspec.json.encode(asked), mark)
        return _decoded(made, _Batch, deployment).id

    async def find(self, deployment: Deployment, mark: str, since_ns: int, deadline: Deadline) -> str:
        after = ""
        for _ in range(PAGES):
            page = _decoded(
                await self._json(deployment, "GET", f"batches?limit=100{after}", deadline), _Batches, deployment
            )
            for batch in page.data:
                if (batch.metadata or {}).get(MARK) == mark:
                    return batch.id
                if batch.created_at and batch.created_at < since_ns // NS_PER_S - SLACK_S:
                    return ""
            if not page.has_more or not page.data:
                return ""
            after = f"&after={page.data[-1].id}"
        return ""

    async def look(self, deployment: Deployment, vendor_id: str, deadline: Deadline) -> VendorBatch:
        batch = _decoded(await self._json(deployment, "GET", f"batches/{vendor_id}", deadline), _Batch, deployment)
        if batch.status == "failed":
            faults = batch.errors.data if batch.errors else []
            return VendorBatch(batch.id, failed="; ".join(each.message for each in faults) or "the vendor refused it")
        files = tuple(each for each in (batch.output_file_id, batch.error_file_id) if each)
        return VendorBatch(batch.id, ended=batch.status in ENDED, answers=files)

    async def answers(
        self, deployment: Deployment, batch: VendorBatch, deadline: Deadline
    ) -> AsyncIterator[VendorAnswer]:
        for file in batch.answers:
            sent = self._send(deployment, "GET", f"files/{file}/content", b"", "application/json", "")
            async with self._env.http.stream(
                sent, deadline, stall_s=deployment.stall_s, first_byte_s=deployment.timeout_s
            ) as reply:
                if reply.status != 200:
                    raise wire.refusal(deployment, reply.status, reply.headers, await reply.read(), self._env.clock)
                async for raw in wire.lines(reply.chunks(), deployment):
                    answer = self._answer(raw, deployment)
                    if answer is not None:
                        yield answer

    async def cancel(self, deployment: Deployment, vendor_id: str, deadline: Deadline) -> None:
        await self._json(deployment, "POST", f"batches/{vendor_id}/cancel", deadline)

    def _answer(self, raw: bytes, deployment: Deployment) -> VendorAnswer | None:
        """One line of a file of answers; `None` for a line that was never asked, so that ours says so too."""
        try:
            line = _line.decode(raw)
        except UNREADABLE as error:
            raise BadReply(f"{deployment.name} sent a line that is no answer of a batch: {error}") from error
        if line.response is None:
            return None
        body = bytes(line.response.body)
        if line.response.status_code == 200:
            return VendorAnswer(line.custom_id, 200, self._read(body, deployment))
        return VendorAnswer(line.custom_id, line.response.status_code or 500, None, wire.said(body))

    async def _json(
        self, deployment: Deployment, method: str, path: str, deadline: Deadline, body: bytes = b"", key: str = ""
    ) -> HttpResponse:
        sent = self._send(deployment, method, path, body, "application/json", key)
        return await self._asked(sent, deployment, deadline)

    async def _asked(self, sent: HttpRequest, deployment: Deployment, deadline: Deadline) -> HttpResponse:
        response = await self._env.http.request(sent, deadline)
        wire.check(response, deployment, self._env.clock)
        return response


def _decoded(response: HttpResponse, kind: type[T], deployment: Deployment) -> T:
    try:
        return msgspec.json.decode(response.body, type=kind)
    except UNREADABLE as error:
        raise BadReply(f"{deployment.name} sent a body that its batch API does not know: {error}") from error


def _upload(data: bytes, name: str) -> bytes:
    """A multipart body with the purpose and the file."""
    head = (
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n'
        f"content-type: application/jsonl\r\n\r\n"
    )
    return b"".join((head.encode(), data, f"\r\n--{BOUNDARY}--\r\n".encode()))
