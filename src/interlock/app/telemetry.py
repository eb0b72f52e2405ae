"""What a running instance tells of itself to those who watch it: the metrics of `/metrics`, and what goes to an OpenTelemetry receiver.

Above: server. Below: observe, the store, the HTTP client.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

import interlock
from interlock.config.telemetry import OtlpSettings, Telemetry
from interlock.core.ports import HttpClient
from interlock.core.store import Store
from interlock.core.time import Clock
from interlock.ledger import Health
from interlock.observe.export import Exporter
from interlock.observe.families import Family
from interlock.observe.instruments import Instruments
from interlock.observe.meter import Meter
from interlock.observe.otlp import Otlp
from interlock.observe.post import Post, Receiver, Sent
from interlock.observe.prometheus import Exposition
from interlock.observe.semconv import words

_BREAKERS = ("closed", "half_open", "open")


class Standing(Struct, frozen=True):
    """Where the parts of a process are asked how they stand."""

    ledger: Callable[[], Health]
    breakers: Callable[[], Mapping[str, str]]
    calls: Callable[[], tuple[int, int]]
    """Calls under way, and calls that wait to be let in."""


class Watching:
    """Metrics and exporters of one process."""

    def __init__(
        self, settings: Telemetry, name: str, *, store: Store, http: HttpClient, clock: Clock, standing: Standing
    ) -> None:
        """`name`: of the workspace.

        Raises:
            ExtraMissing: `telemetry.otlp` is declared, and the library that writes it is not installed.
        """
        self.settings = settings
        self._store, self._http, self._clock, self._standing = store, http, clock, standing
        self.instruments = Instruments(store, clock, self._gauges, tenants=settings.metrics.tenants)
        self._exporter: Exporter | None = None
        self._meter: Meter | None = None
        if settings.otlp is not None:
            self._exporter, self._meter = self._sending(settings.otlp, name)

    @property
    def sent(self) -> Sent | None:
        """What became of what was sent; `None` where nothing is."""
        return None if self._exporter is None else self._exporter.sent

    def exposition(self) -> Exposition | None:
        """What writes `/metrics`; `None` where its library is not installed."""
        return Exposition() if Exposition.there() else None

    async def run(self) -> None:
        """Sends until cancelled; returns at once where there is no receiver. One process of a workspace does this."""
        if self._exporter is not None and self._meter is not None:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._exporter.run())
                group.create_task(self._meter.run())

    # --- Steps --------------------------------------------------------------------------------------------------------

    def _sending(self, settings: OtlpSettings, name: str) -> tuple[Exporter, Meter]:
        chosen = words(settings.semconv)
        resource = {"service.name": "interlock", **({"service.namespace": name} if name else {}), **settings.resource}
        otlp = Otlp(resource, version=interlock.__version__, schema_url=chosen.schema_url)
        receiver = Receiver(
            endpoint=settings.endpoint,
            headers=tuple((key.lower(), value.reveal()) for key, value in settings.headers.items()),
            timeout_s=settings.timeout_s,
            every_s=settings.every_s,
            batch=settings.batch,
            content=settings.content,
        )
        post = Post(receiver, otlp, self._http, self._clock, random.Random())
        exporter = Exporter(post, tail=self._store.tail, log_of=self._store.records, otlp=otlp, words=chosen)
        meter = Meter(
            post, self.instruments, otlp=otlp, words=chosen, clock=self._clock, every_s=settings.metrics_every_s
        )
        return exporter, meter

    def _gauges(self) -> Sequence[Family]:
        """How this process stands. Reads the store, so never on the event loop."""
        ledger = self._standing.ledger()
        inside, waiting = self._standing.calls()
        breakers = {
            (deployment, each): float(state == each)
            for deployment, state in self._standing.breakers().items()
            for each in _BREAKERS
        }
        tasks: dict[tuple[str, ...], float] = {}
        for row in self._store.tasks.unfinished():
            tasks[row.tenant, row.workflow, row.status] = tasks.get((row.tenant, row.workflow, row.status), 0) + 1
        return [
            _one("interlock_calls_under_way", "Calls that this process has let in and that have not ended", inside),
            _one(
                "interlock_calls_waiting",
                "Calls that wait to be let in by this process: the depth of its queue",
                waiting,
            ),
            _one("interlock_ledger_queued", "Records of this process that wait to be written", ledger.queued),
            _one("interlock_ledger_oldest_seconds", "Age of the oldest of them", ledger.oldest_s, "seconds"),
            _count(
                "interlock_ledger_refused", "Calls refused because the ledger was full, since the start", ledger.refused
            ),
            Family(
                "interlock_breaker", "State of each deployment's breaker", "gauge", ("deployment", "state"), breakers
            ),
            Family(
                "interlock_tasks_unfinished",
                "Tasks that are not finished, by what they do; the thousand oldest",
                "gauge",
                ("tenant", "workflow", "status"),
                tasks,
            ),
            *self._telemetry(),
        ]

    def _telemetry(self) -> list[Family]:
        if self._exporter is None:
            return []
        self._exporter.look()
        sent = self._exporter.sent
        return [
            _one("interlock_otlp_behind", "Rows of the ledger that the receiver has not got yet", sent.behind),
            _one("interlock_otlp_away", "Whether the receiver takes nothing at the moment", float(bool(sent.away))),
            _count("interlock_otlp_resent", "Messages sent again, since the start", sent.resent),
            _count("interlock_otlp_refused", "Items refused for good, since the start", sent.refused),
            _count("interlock_otlp_spans", "Spans taken, since the start", sent.spans),
        ]


def _one(name: str, told: str, value: float, unit: str = "") -> Family:
    return Family(name, told, "gauge", (), {(): value}, unit)


def _count(name: str, told: str, value: int) -> Family:
    return Family(name, told, "counter", (), {(): value})
