"""Spans and events as OTLP messages: what `POST /v1/traces` and `/v1/logs` carry.

Above: export. Below: spans; the message types of `opentelemetry-proto` (extra `otel`), imported when an exporter is made.
Source: https://opentelemetry.io/docs/specs/otlp/ (1.9: OTLP/HTTP, binary protobuf).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from msgspec import Struct

from interlock.core.errors import InterlockError

from .families import Family, Histogram
from .spans import Evaluation, Span, SpanEvent

_KINDS = {"internal": 1, "server": 2, "client": 3}
_ERROR = 2
_SEVERITY_INFO = 9
_CUMULATIVE = 2
_UNITS = {"seconds": "s", "usd": "{USD}", "tokens": "{token}", "": "1"}
SCOPE = "interlock"


class ExtraMissing(InterlockError):
    """A part of this was declared whose library is not installed."""

    code = "extra_missing"


class Rejected(Struct, frozen=True):
    """What a receiver did not take of a message that it took."""

    items: int
    why: str


class Otlp:
    """Encodes for one resource.

    Raises:
        ExtraMissing: `opentelemetry-proto` is not installed.
    """

    def __init__(self, resource: Mapping[str, str], *, version: str, schema_url: str = "") -> None:
        try:
            from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
            from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
            from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
            from opentelemetry.proto.common.v1 import common_pb2 as common
        except ModuleNotFoundError as missing:
            raise ExtraMissing(
                f"telemetry over OTLP needs the module {missing.name}", hint="pip install 'interlock[otel]'"
            ) from None
        self._logs, self._metrics, self._traces, self._common = logs, metrics, traces, common
        self._resource = dict(resource)
        self._version = version
        self._schema_url = schema_url

    def traces(self, spans: Sequence[Span]) -> bytes:
        """An `ExportTraceServiceRequest`."""
        request = self._traces.ExportTraceServiceRequest()
        scope = self._scoped(request.resource_spans.add(), "scope_spans")
        for span in spans:
            self._span(scope.spans.add(), span)
        return request.SerializeToString()

    def logs(self, evaluations: Sequence[Evaluation]) -> bytes:
        """An `ExportLogsServiceRequest` with one event for each."""
        request = self._logs.ExportLogsServiceRequest()
        scope = self._scoped(request.resource_logs.add(), "scope_logs")
        for each in evaluations:
            entry = scope.log_records.add(
                time_unix_nano=each.at_ns,
                observed_time_unix_nano=each.at_ns,
                severity_number=_SEVERITY_INFO,
                event_name="gen_ai.evaluation.result",
                trace_id=bytes.fromhex(each.trace_id),
                span_id=bytes.fromhex(each.span_id),
            )
            entry.attributes.extend(self._pairs(each.attributes))
        return request.SerializeToString()

    def metrics(self, families: Sequence[Family], *, since_ns: int, at_ns: int) -> bytes:
        """An `ExportMetricsServiceRequest`: sums and histograms count from `since_ns` on, which stays the same between messages."""
        request = self._metrics.ExportMetricsServiceRequest()
        scope = self._scoped(request.resource_metrics.add(), "scope_metrics")
        for family in families:
            if family.samples:
                self._metric(scope.metrics.add(), family, since_ns, at_ns)
        return request.SerializeToString()

    def rejected(self, signal: str, answer: bytes) -> Rejected:
        """What a receiver's answer to `traces`, `logs` or `metrics` says that it left out."""
        kind, count = {
            "traces": (self._traces.ExportTraceServiceResponse, "rejected_spans"),
            "logs": (self._logs.ExportLogsServiceResponse, "rejected_log_records"),
            "metrics": (self._metrics.ExportMetricsServiceResponse, "rejected_data_points"),
        }[signal]
        try:
            partial = kind.FromString(answer).partial_success
        except ValueError:  # protobuf's DecodeError; some receivers answer in JSON whatever they were sent
            return Rejected(0, "")
        return Rejected(getattr(partial, count), partial.error_message)

    # --- Steps --------------------------------------------------------------------------------------------------------

    def _scoped(self, resource: Any, scopes: str) -> Any:
        resource.resource.attributes.extend(self._pairs(self._resource))
        scope = getattr(resource, scopes).add(schema_url=self._schema_url)
        scope.scope.name = SCOPE
        scope.scope.version = self._version
        return scope

    def _span(self, into: Any, span: Span) -> None:
        into.trace_id = bytes.fromhex(span.trace_id)
        into.span_id = bytes.fromhex(span.span_id)
        into.parent_span_id = bytes.fromhex(span.parent_id)
        into.name = span.name
        into.kind = _KINDS[span.kind]
        into.start_time_unix_nano = span.start_ns
        into.end_time_unix_nano = max(span.start_ns, span.end_ns)
        into.attributes.extend(self._pairs(span.attributes))
        for event in span.events:
            self._event(into.events.add(), event)
        if span.error:
            into.status.code = _ERROR
            into.status.message = span.error

    def _event(self, into: Any, event: SpanEvent) -> None:
        into.name = event.name
        into.time_unix_nano = event.at_ns
        into.attributes.extend(self._pairs(event.attributes))

    def _metric(self, into: Any, family: Family, since_ns: int, at_ns: int) -> None:
        into.name, into.description, into.unit = dotted(family.name), family.help, _UNITS[family.unit]
        names = [name if "." in name else f"interlock.{name}" for name in family.labels]
        shape = {"counter": into.sum, "gauge": into.gauge, "histogram": into.histogram}[family.kind]
        if family.kind != "gauge":
            shape.aggregation_temporality = _CUMULATIVE
        if family.kind == "counter":
            shape.is_monotonic = True
        for labels, value in family.samples.items():
            point = shape.data_points.add(time_unix_nano=at_ns)
            point.attributes.extend(
                self._pairs({name: label for name, label in zip(names, labels, strict=True) if label})
            )
            if family.kind != "gauge":
                point.start_time_unix_nano = since_ns
            if isinstance(value, Histogram):
                point.count, point.sum = value.count, value.total
                point.bucket_counts.extend(value.counts)
                point.explicit_bounds.extend(value.bounds)
            elif isinstance(value, int):
                point.as_int = value
            else:
                point.as_double = value

    def _pairs(self, attributes: Mapping[str, Any]) -> Iterable[Any]:
        return [self._common.KeyValue(key=name, value=self._value(value)) for name, value in attributes.items()]

    def _value(self, value: Any) -> Any:
        match value:
            case bool():
                return self._common.AnyValue(bool_value=value)
            case int():
                return self._common.AnyValue(int_value=value)
            case float():
                return self._common.AnyValue(double_value=value)
            case list():
                return self._common.AnyValue(
                    array_value=self._common.ArrayValue(values=[self._value(each) for each in cast("list[Any]", value)])
                )
            case _:
                return self._common.AnyValue(string_value=str(value))


def dotted(name: str) -> str:
    """`interlock_calls` as OpenTelemetry spells names: `interlock.calls`; units are told beside the name there."""
    if "." in name:
        return name
    room, _, rest = name.partition("_")
    return f"{room}.{rest.removesuffix('_seconds').removesuffix('_usd')}"
