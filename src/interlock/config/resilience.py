"""What the files may say of timeouts, retries, circuits, hedging, room, balance and the shape of calls; and what of it names nothing.

Above: schema, load, app. Below: blocks, models. Each key is described in docs/configuration.md, what they do in docs/resilience.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from interlock.core.errors import Fault, UnknownModel

from .blocks import Amount, Block, Count, Positive, Seconds, Share, Text, Texts
from .faults import dotted, place
from .names import nearest
from .tree import Node, fault_at

if TYPE_CHECKING:
    from .schema import Settings

Priority = Literal["high", "normal", "low"]


class Retries(Block):
    max_tries: Annotated[Positive, Field(le=10)] = 3
    """Tries of one deployment for one call, the first included."""
    base_s: Amount = 0.25
    cap_s: Amount = 8.0
    """Waits are drawn evenly from 0 to min(cap_s, base_s · 2^n)."""
    retry_after_max_s: Seconds = 30.0
    """The longest wait that a vendor may ask for."""
    budget: Amount = 10.0
    """Retries that a deployment may have in hand; each answer earns a tenth of one."""
    extra: Amount = 3.0
    """Further sends to deployments that failed last which all calls together have in hand."""


class Circuit(Block):
    consecutive: Positive = 8
    share: Share = 0.8
    cool_s: Seconds = 2.0
    cool_max_s: Seconds = 30.0


class Hedges(Block):
    enabled: bool = False
    share: Share = 0.05
    quantile: Share = 0.95
    min_wait_s: Amount = 0.05


class Outliers(Block):
    least_calls: Positive = 10
    worse_by: Share = 0.3
    slower_by: Annotated[Amount, Field(gt=1)] = 5.0
    seconds: Seconds = 15.0
    most_share: Share = 0.5


class Room(Block):
    """Who comes in, and who waits how long."""

    max_concurrent: Positive = 2_000
    max_waiting: Count = 2_000
    max_wait_s: Seconds = 10.0
    adaptive: bool = True
    deployment_floor: Positive = 16
    tenant_weights: dict[Text, Annotated[Amount, Field(gt=0)]] = Field(default_factory=dict[str, float])


class Resilience(Block):
    timeout_s: Seconds = 600.0
    """Of a whole call, when nobody says less."""
    retries: Retries = Field(default_factory=Retries.model_construct)
    circuit: Circuit = Field(default_factory=Circuit.model_construct)
    hedging: Hedges = Field(default_factory=Hedges.model_construct)
    outliers: Outliers = Field(default_factory=Outliers.model_construct)
    admission: Room = Field(default_factory=Room.model_construct)
    mid_stream: Literal["continue", "end"] = "continue"


class BalanceSettings(Block):
    """How an alias's deployments of one tier share its calls."""

    by: Literal["order", "weights", "latency", "cost"] = "order"
    weights: dict[Text, Amount] = Field(default_factory=dict[str, float])
    """By model as it stands in the alias."""
    regions: Texts = ()


class InputCapSettings(Block):
    tokens: Positive
    then: Literal["refuse", "summarise", "truncate_middle"] = "refuse"
    model: Text = ""

    @model_validator(mode="after")
    def _has_model(self) -> InputCapSettings:
        if (self.then == "summarise") != bool(self.model):
            raise ValueError("expected `model` beside `then: summarise`, and nowhere else")
        return self


class ShapeSettings(Block):
    """What holds for the calls of one workflow, alias or model, whatever the caller sends."""

    input_cap: InputCapSettings | None = None
    max_output_tokens: Positive | None = None
    temperature: Annotated[Amount, Field(le=2)] | None = None
    top_p: Annotated[Amount, Field(le=1)] | None = None
    seed: Count | None = None
    priority: Priority = "normal"


def unknown_names(settings: Settings, node: Node) -> Iterator[Fault]:
    """Aliases and models that these sections name and that do not exist."""
    from .models import ref_of, tiers_of  # below schema, which this file is part of

    for alias, balance in settings.routing.balance.items():
        loc = ("routing", "balance", alias)
        if alias != "*" and alias not in settings.models:
            yield fault_at(place(node, loc), dotted("", loc), f"no alias {alias!r}", nearest(alias, settings.models))
            continue
        held = [
            model
            for name, tiers in settings.models.items()
            if alias in ("*", name)
            for each in tiers.values()
            for model in each
        ]
        for model in balance.weights:
            try:
                known = ref_of(settings, model) in [ref_of(settings, each) for each in held]
            except UnknownModel:
                known = False
            if not known:
                at = (*loc, "weights", model)
                yield fault_at(
                    place(node, at), dotted("", at), f"{alias!r} holds no model {model!r}", nearest(model, held)
                )
    for name, shape in settings.shaping.items():
        if shape.input_cap is not None and shape.input_cap.model:
            try:
                tiers_of(settings, shape.input_cap.model)
            except UnknownModel as error:
                at = ("shaping", name, "input_cap", "model")
                yield fault_at(place(node, at), dotted("", at), error.message, error.hint)
