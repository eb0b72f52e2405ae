"""Families as Prometheus reads them.

Above: server (`/metrics`). Below: families; the library `prometheus-client` (extra `metrics`), imported when metrics are served.
Source: https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from itertools import accumulate
from typing import Any

from .families import Family, Histogram


class Exposition:
    """Writes. The library is imported by the first scrape."""

    @functools.cached_property
    def _core(self) -> Any:
        return import_module("prometheus_client.core")

    @staticmethod
    def there() -> bool:
        """Whether the library is installed."""
        return importlib.util.find_spec("prometheus_client") is not None

    def written(self, families: Sequence[Family], accept: str) -> tuple[bytes, str]:
        """The body and its content type, in the form that the request's `Accept` prefers."""
        exposition = import_module("prometheus_client.exposition")
        choose: Callable[[str], tuple[Callable[[Any], bytes], str]] = exposition.choose_encoder
        encode, content_type = choose(accept)
        return encode(_Collected([self._metric(family) for family in families])), content_type

    def _metric(self, family: Family) -> Any:
        core = self._core
        if family.kind == "histogram":
            metric: Any = core.HistogramMetricFamily(family.name, family.help, labels=family.labels)
            for labels, value in family.samples.items():
                assert isinstance(value, Histogram)
                metric.add_metric(labels, buckets=_cumulative(value), sum_value=value.total)
            return metric
        made = core.CounterMetricFamily if family.kind == "counter" else core.GaugeMetricFamily
        metric = made(family.name, family.help, labels=family.labels)
        for labels, value in family.samples.items():
            metric.add_metric(labels, value)
        return metric


class _Collected:
    """What the library's encoders take for a registry."""

    def __init__(self, metrics: Iterable[Any]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Any]:
        return self._metrics


def _cumulative(value: Histogram) -> list[tuple[str, float]]:
    edges = [*(f"{edge:g}" if edge < 1e6 else str(edge) for edge in value.bounds), "+Inf"]
    return list(zip(edges, map(float, accumulate(value.counts)), strict=True))
