"""What `telemetry:` in interlock.yaml may say: where spans and metrics go. Above: schema, app. Below: blocks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from .blocks import Address, Block, Positive, Seconds, SecretText, Text


class MetricsSettings(Block):
    """What `/metrics` shows, and to whom."""

    open: bool = False
    """Without a key. A scraper that presents one needs no such hole."""
    tenants: bool = True
    """Off: the figures of tenants are added up."""


class OtlpSettings(Block):
    """One OpenTelemetry receiver."""

    endpoint: Annotated[Address, Field(min_length=1)]
    """`/v1/traces`, `/v1/logs` and `/v1/metrics` are added."""
    headers: dict[str, SecretText] = Field(default_factory=dict[str, SecretText])
    semconv: Annotated[Literal["1.41", "latest", "both"], BeforeValidator(str)] = "latest"
    """Which version of the GenAI conventions names are taken from."""
    content: bool = False
    """Messages, arguments and results too, as far as the ledger keeps them."""
    resource: dict[str, Text] = Field(default_factory=dict[str, str])
    """Attributes of the resource, beside `service.name`."""
    every_s: Seconds = 2.0
    metrics_every_s: Seconds = 60.0
    timeout_s: Seconds = 10.0
    batch: Annotated[Positive, Field(le=10_000)] = 512
    """Records in one message."""


class Telemetry(Block):
    metrics: MetricsSettings = Field(default_factory=MetricsSettings.model_construct)
    otlp: OtlpSettings | None = None
    """Absent: nothing leaves."""
