"""What the gateway is told of balancing, hedging, input caps and the shape of answers: frozen values, like those of `settings`.

Above: settings, `app`, which fills them from the configuration. Below: the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

By = Literal["order", "weights", "latency", "cost"]
Then = Literal["refuse", "summarise", "truncate_middle"]


class Balance(Struct, frozen=True):
    """How an alias's deployments of one tier share its calls."""

    by: By = "order"
    """`order`: the first that works. `weights`: at random by weight. `latency`: the better of two drawn at random, by peak-EWMA latency and calls
    under way. `cost`: the cheapest for this call."""
    weights: Mapping[str, float] = {}
    """By deployment (`provider/model`), 1 for one that is not named; 0 keeps it for when all others fail."""
    regions: tuple[str, ...] = ()
    """Only deployments of these regions may be asked at all; empty for all."""


class Hedging(Struct, frozen=True):
    """A second try, at another deployment of the tier, for calls that take longer than most."""

    share: float = 0.05
    """At most this share of calls gets one."""
    quantile: float = 0.95
    """It is sent when the first has taken longer than this share of the deployment's recent calls."""
    min_wait_s: float = 0.05


class Ejecting(Struct, frozen=True):
    """When one of several deployments of a tier is left out because it does much worse than the others."""

    least_calls: int = 10
    """Calls that must be known of a deployment before it is judged."""
    worse_by: float = 0.3
    """Its share of failures above the others' mean."""
    slower_by: float = 5.0
    """Its latency over the others' median."""
    seconds: float = 15.0
    """For how long at first; each further time as much longer, up to ten times."""
    most_share: float = 0.5
    """At most this share of a tier is out at once."""


class InputCap(Struct, frozen=True):
    """What becomes of input that is longer than a model or workflow should get."""

    tokens: int
    """Upper estimate of everything that is sent."""
    then: Then = "refuse"
    model: str = ""
    """Alias or model that summarises; for `summarise`."""


class Shaping(Struct, frozen=True):
    """Settings of answers that hold for one route or workflow, whatever the caller sends."""

    max_output_tokens: int | None = None
    """A cap on what the caller may ask for, and what holds where it asks for nothing."""
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None

    @property
    def fixed(self) -> dict[str, Any]:
        """Fields of a request that are set to these values."""
        fields = {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seed}
        return {name: value for name, value in fields.items() if value is not None}
