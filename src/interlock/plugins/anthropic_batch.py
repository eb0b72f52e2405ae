"""Anthropic's Message Batches: one request with every line, looked at, and its results fetched line by line.

A vendor's batch carries no mark of ours but the names of its lines, which show only once it has ended. Whoever looks for a batch therefore waits for every
batch that was made since then, instead of submitting the same one again.

Above: providers/anthropic. Below: `core`, `plugins.wire`. Source: the guide to batch processing and the reference for message batches
(platform.claude.com/docs), November 2026.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from interlock.core.batches import VendorAnswer, VendorBatch
from interlock.core.chat import ChatRequest, ChatResponse
from interlock.core.errors import BadReply, UpstreamError
from interlock.core.ports import Deployment, HttpRequest, HttpResponse, PluginEnv
from interlock.core.time import NS_PER_S, Deadline
from interlock.core.unreadable import UNREADABLE
from interlock.plugins import wire

PAGES = 20
"""Of a hundred batches each that are looked through."""
SLACK_S = 600
"""Clocks may differ by this much."""

T = TypeVar("T", bound=Struct)
Send = Callable[[Deployment, str, str, bytes], HttpRequest]
"""(deployment, method, path, body) → the request with its credential."""
Encode = Callable[[Deployment, ChatRequest], bytes]
Read = Callable[[bytes, Deployment], ChatResponse]


class _Batch(Struct):
    id: str
    processing_status: str = ""
    created_at: str = ""


class _Batches(Struct):
    data: list[_Batch] = []
    has_more: bool = False
    last_id: str | None = None


class _Result(Struct):
    type: str
    message: Raw = Raw(b"")
    error: Raw = Raw(b"null")


class _Line(Struct):
    custom_id: str
    result: _Result


class _Cause(Struct, frozen=True):
    type: str = ""
    message: str = ""


class _Error(Struct):
    error: _Cause = _Cause()


_line = msgspec.json.Decoder(_Line)
_error = msgspec.json.Decoder(_Error)


class AnthropicBatches:
    """`core.batches.BatchApi` of this dialect."""

    def __init__(
        self,
        env: PluginEnv,
        offered: Callable[[Deployment], bool],
        send: Send,
        encode: Encode,
        read: Read,
        statuses: dict[str, int],
    ) -> None:
        """`encode`, `read`: a message's request and reply. `statuses`: of the vendor's error types."""
        self._env = env
        self.offered = offered
        self._send = send
        self._encode = encode
        self._read = read
        self._statuses = statuses

    def line(self, deployment: Deployment, request: ChatRequest, name: str) -> bytes:
        return msgspec.json.encode({"custom_id": name, "params": Raw(self._encode(deployment, request))})

    async def submit(self, deployment: Deployment, lines: Sequence[bytes], mark: str, deadline: Deadline) -> str:
        body = b'{"requests":[' + b",".join(lines) + b"]}"
        made = await self._asked(deployment, "POST", "messages/batches", deadline, body)
        return _decoded(made, _Batch, deployment).id

    async def find(self, deployment: Deployment, mark: str, since_ns: int, deadline: Deadline) -> str:
        after = ""
        for _ in range(PAGES):
            path = f"messages/batches?limit=100{after}"
            page = _decoded(await self._asked(deployment, "GET", path, deadline), _Batches, deployment)
            for batch in page.data:
                if _seconds(batch.created_at) < since_ns // NS_PER_S - SLACK_S:
                    return ""
                if await self._is_ours(deployment, batch, mark, deadline):
                    return batch.id
            if not page.has_more or not page.last_id:
                return ""
            after = f"&after_id={page.last_id}"
        return ""

    async def _is_ours(self, deployment: Deployment, batch: _Batch, mark: str, deadline: Deadline) -> bool:
        """Whether its lines are named by our mark. Raises UpstreamError while nobody can know."""
        if batch.processing_status != "ended":
            raise UpstreamError(
                f"{deployment.name} works on a batch ({batch.id}) that may be the one that is looked for; its lines show when it has ended."
            )
        async for answer in self.answers(deployment, VendorBatch(batch.id, answers=(batch.id,)), deadline):
            return answer.name.startswith(f"{mark}-")
        return False

    async def look(self, deployment: Deployment, vendor_id: str, deadline: Deadline) -> VendorBatch:
        asked = await self._asked(deployment, "GET", f"messages/batches/{vendor_id}", deadline)
        batch = _decoded(asked, _Batch, deployment)
        return VendorBatch(batch.id, ended=batch.processing_status == "ended", answers=(batch.id,))

    async def answers(
        self, deployment: Deployment, batch: VendorBatch, deadline: Deadline
    ) -> AsyncIterator[VendorAnswer]:
        for vendor_id in batch.answers:
            sent = self._send(deployment, "GET", f"messages/batches/{vendor_id}/results", b"")
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
        await self._asked(deployment, "POST", f"messages/batches/{vendor_id}/cancel", deadline)

    def _answer(self, raw: bytes, deployment: Deployment) -> VendorAnswer | None:
        """One result; `None` for a line that was never asked (cancelled, expired), so that ours says so too."""
        try:
            line = _line.decode(raw)
            if line.result.type == "succeeded":
                return VendorAnswer(line.custom_id, 200, self._read(bytes(line.result.message), deployment))
            if line.result.type != "errored":
                return None
            cause = _error.decode(line.result.error).error
        except UNREADABLE as error:
            raise BadReply(f"{deployment.name} sent a line that is no result of a batch: {error}") from error
        return VendorAnswer(line.custom_id, self._statuses.get(cause.type, 500), None, cause.message)

    async def _asked(
        self, deployment: Deployment, method: str, path: str, deadline: Deadline, body: bytes = b""
    ) -> HttpResponse:
        response = await self._env.http.request(self._send(deployment, method, path, body), deadline)
        wire.check(response, deployment, self._env.clock)
        return response


def _decoded(response: HttpResponse, kind: type[T], deployment: Deployment) -> T:
    try:
        return msgspec.json.decode(response.body, type=kind)
    except UNREADABLE as error:
        raise BadReply(f"{deployment.name} sent a body that its batch API does not know: {error}") from error


def _seconds(stamp: str) -> int:
    """Seconds since the epoch of an RFC 3339 time in UTC; now-like for what cannot be read, so that it is looked at."""
    try:
        return calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return 1 << 40
