"""An OpenTelemetry receiver: a real HTTP server that reads what OTLP's own message types can read, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

MESSAGES: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


class Receiver:
    """What it took, decoded; `answers` are given first, then 200."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.headers: list[dict[str, str]] = []
        self.spans: list[Any] = []
        self.logs: list[Any] = []
        self.metrics: list[Any] = []
        self.resources: list[Any] = []
        self.answers: list[tuple[int, bytes]] = []
        self.asked = 0
        self.got = asyncio.Event()

    def take(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked += 1
        status, answer = self.answers.pop(0) if self.answers else (200, b"")
        if status == 200:
            message = MESSAGES[path].FromString(gzip.decompress(body))
            if path == "/v1/traces":
                self.resources += [each.resource for each in message.resource_spans]
                self.spans += [
                    span for each in message.resource_spans for scope in each.scope_spans for span in scope.spans
                ]
            elif path == "/v1/logs":
                self.logs += [
                    entry for each in message.resource_logs for scope in each.scope_logs for entry in scope.log_records
                ]
            else:
                self.metrics += [
                    metric
                    for each in message.resource_metrics
                    for scope in each.scope_metrics
                    for metric in scope.metrics
                ]
        self.got.set()
        return status, answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines if line)}
                self.headers.append(headers)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                status, answer = self.take(first.split(" ")[1], body)
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(answer), answer))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncGenerator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    receiver.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()


def partial(rejected: int, why: str) -> bytes:
    """An answer that takes a message and leaves some of it out."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans, answer.partial_success.error_message = rejected, why
    return answer.SerializeToString()


def attributes(of: Any) -> dict[str, Any]:
    """A span's, entry's, point's or resource's attributes as plain values."""
    return {each.key: _plain(each.value) for each in of.attributes}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_plain(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)
