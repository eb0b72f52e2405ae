"""What the gateway is told: frozen values that the composition root fills from the configuration.

Above: every file of the gateway, and `app`, which makes these. Below: terms, `core`. The gateway reads no file and knows no vendor.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from interlock.core.answers import AnswerCache, SimilarAnswers
from interlock.core.budget import Limits
from interlock.core.caller import Caller
from interlock.core.circuits import Changed
from interlock.core.events import RUNGS, Rung
from interlock.core.guards import Guards
from interlock.core.ids import Ids
from interlock.core.ports import Deployment, Ledger, PriceOf, Provider
from interlock.core.residency import Bounds
from interlock.core.time import Clock
from interlock.core.verify import CodeRunner

from .checks import Check, Learned, PremiumCap
from .quota import Quotas
from .terms import Balance, Ejecting, Hedging, InputCap, Shaping


class Tier(Struct, frozen=True):
    """Deployments that are as good as one another, the preferred one first."""

    name: str
    deployments: tuple[Deployment, ...]


class Condition(Protocol):
    """A compiled condition over facts."""

    @property
    def text(self) -> str: ...

    def evaluate(self, facts: Mapping[str, Any]) -> bool | None:
        """`None` when a name that it needs is not known."""
        ...

    def explain(self, facts: Mapping[str, Any]) -> str:
        """The condition with the values it saw: `confidence < 0.72 (confidence=0.41)`."""
        ...


class Rule(Struct, frozen=True):
    """Where `condition` holds, the call goes to `target`: a tier of the alias, an alias or a model."""

    condition: Condition
    target: str


class Profile(Protocol):
    """What a model is able to take and give."""

    @property
    def context_window(self) -> int:
        """Tokens of input and output together."""
        ...

    @property
    def max_output(self) -> int:
        """The most output tokens of one answer; the upper estimate where neither caller nor budget set a cap."""
        ...

    @property
    def assumed(self) -> bool:
        """The figures are assumed ones, so that nothing is refused or capped for their sake."""
        ...

    @property
    def logprobs(self) -> bool:
        """Token probabilities can be asked for; they are, where a rule looks at the confidence of answers."""
        ...

    @property
    def continues(self) -> bool:
        """An unfinished message of the assistant at the end of a conversation is gone on with at its last character."""
        ...

    @property
    def continue_with(self) -> Mapping[str, Any]:
        """Fields of its dialect that say so, where it has to be told."""
        ...


class Workflow(Struct, frozen=True):
    """What holds for one workflow's calls."""

    limits: Limits = Limits()
    """For tasks that come without a budget of their own; an agent brings its own, already tightened by these."""
    p95_latency_slo_ms: int | None = None
    store_prompts: Literal["none", "redacted", "full"] = "none"
    """What a lone call keeps of its texts; a task's answers are kept while it runs in any case."""
    checks: tuple[Check, ...] = ()
    """What looks at every answer before it is given out, cheap ones first."""
    learned: Learned | None = None


class Retrying(Struct, frozen=True):
    """How often, how long, and how much in all."""

    max_tries: int = 3
    """Tries of one candidate, the first included."""
    base_s: float = 0.25
    cap_s: float = 8.0
    """Waits are drawn evenly from 0 to min(cap_s, base_s * 2^n)."""
    retry_after_max_s: float = 30.0
    """The longest wait that a vendor may ask for; the deadline bounds it too."""
    budget: float = 10.0
    """Retries a deployment may have in hand; this bounds what an outage can add."""
    earned: float = 0.1
    """Retries that each answer earns back: in the long run at most this share of calls is a retry."""
    extra: float = 3.0
    """Further sends, after a call's first one failed, that all calls together have in hand for deployments that failed last; one that is
    answered is given back."""
    extra_per_call: float = 0.02
    """What each call adds to that."""
    extra_per_s: float = 0.2
    """What each second adds to that."""


class Breaking(Struct, frozen=True):
    """When a deployment is left alone, and for how long."""

    consecutive: int = 8
    """Failures in a row. A vendor that fails one call in three is worth its retries and must not be shut out by chance."""
    share: float = 0.8
    """Share of failures among the last 20 calls, at least `consecutive` of them."""
    cool_s: float = 2.0
    """Until the first probe; doubles with each probe that fails."""
    cool_max_s: float = 30.0


class Caching(Struct, frozen=True):
    """Caching of answers; everything off unless a workspace says otherwise."""

    exact: bool = False
    exact_ttl_s: float = 3600.0
    sampled: bool = False
    """Answers of requests with a temperature above 0 are kept and served too."""
    refusals: bool = False
    """Refusals and filtered answers are kept too."""
    coalesce: bool = False
    """Identical calls at the same time share one upstream call."""
    semantic: bool = False
    stale_s: float = 86_400.0
    """How long after its time an answer may still serve the rung `cached_answer`."""

    @property
    def used(self) -> bool:
        """Whether there is anything to look for."""
        return self.exact or self.coalesce or self.semantic


class Admission(Struct, frozen=True):
    """How many calls at once; the rest waits in line or is turned away."""

    max_concurrent: int = 2_000
    max_waiting: int = 2_000
    max_wait_s: float = 10.0
    retry_after_s: float = 1.0
    """The least that whoever is turned away is told to wait."""
    tenant_weights: Mapping[str, float] = {}
    """A tenant's share of the room when it is short, 1 for one that is not named."""
    adaptive: bool = True
    """Each deployment has a limit of its own that follows its latency."""
    deployment_floor: int = 16
    """The adaptive limit never goes below this."""


class Settings(Struct, frozen=True):
    """Everything a workspace decides about model calls."""

    rules: tuple[Rule, ...] = ()
    """In the order of the file; the first that holds counts."""
    default_model: str = ""
    premium: PremiumCap | None = None
    degradation: tuple[Rung, ...] = RUNGS
    workflows: Mapping[str, Workflow] = {}
    anywhere: Workflow = Workflow()
    """For calls of no workflow, or of one that is not in `workflows`."""
    caching: Caching = Caching()
    retrying: Retrying = Retrying()
    breaking: Breaking = Breaking()
    admission: Admission = Admission()
    balance: Mapping[str, Balance] = {}
    """By alias; `*` for every other."""
    hedging: Hedging | None = None
    ejecting: Ejecting = Ejecting()
    input_caps: Mapping[str, InputCap] = {}
    """By alias, model or workflow."""
    shaping: Mapping[str, Shaping] = {}
    """By alias, model or workflow."""
    priorities: Mapping[str, str] = {}
    """`high` or `low` by workflow, alias or model: who of one tenant goes first when calls have to wait."""
    continuing: bool = True
    """An answer that broke off in the middle is continued by another deployment, where one is able to."""
    timeout_s: float = 600.0
    """Seconds a call may take in all when nobody says less."""
    self_judging: frozenset[str] = frozenset({"local"})
    """Dialects whose answers carry their own verdict, so that escalation rules leave them alone."""
    min_output_tokens: int = 16
    """Below this many tokens left in the budget a call is refused: its answer could say nothing."""
    slo_miss_share: float = 0.05
    """A p95 promise is at risk once this share of a workflow's recent calls was slower."""

    def workflow(self, name: str) -> Workflow:
        return self.workflows.get(name, self.anywhere)


Validate = Callable[[Any], list[str]]
"""A value → what is wrong with it, empty when nothing is."""


class Parts(Struct, frozen=True):
    """What the gateway works with; `app` puts the concrete things in."""

    ledger: Ledger
    clock: Clock
    ids: Ids
    rng: random.Random
    price_of: PriceOf
    providers: Mapping[str, Provider]
    """By dialect."""
    tiers_of: Callable[[str], tuple[Tier, ...]]
    """Alias, model or provider/model → tiers, smallest first. Raises UnknownModel."""
    target_of: Callable[[str, str], tuple[Tier, ...]]
    """(a rule's target, the alias asked for) → tiers. Raises UnknownModel."""
    profile_of: Callable[[Deployment], Profile]
    validator_of: Callable[[dict[str, Any]], Validate]
    """JSON Schema → its check."""
    unusable: Callable[[Deployment], str] = lambda _: ""
    """Why a deployment cannot be called at all, e.g. that its key is not set; empty when it can."""
    bounds_of: Callable[[Caller], Bounds | None] | None = None
    """Where a caller's data may go; `None`: everybody's anywhere."""
    answers: AnswerCache | None = None
    quotas: Quotas | None = None
    """Limits of keys, tenants, users, workflows and models by period."""
    semantic: SimilarAnswers | None = None
    prompt_vector: Callable[[str], Awaitable[Sequence[float] | None]] | None = None
    """A prompt's sentence vector for learned routes, worked out off the event loop; `None` while too many wait for theirs."""
    code_runner: CodeRunner | None = None
    """For checks that run an answer's code; without it they say nothing."""
    short_of_cpu: Callable[[], bool] | None = None
    """Whether this process has too little CPU; slowness is then not put down to a vendor."""
    redact: Callable[[str], str] | None = None
    """Takes what is personal out of a text; without it `store_prompts: redacted` stores no prompt."""
    guards: Guards | None = None
    """What is done about personal data, injections and what may not be said; `None`: nothing is looked at."""
    changed: Changed | None = None
    """Told when a breaker opens, lets a probe out, or closes."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


__all__ = [
    "RUNGS",
    "Admission",
    "Breaking",
    "Caching",
    "Condition",
    "Parts",
    "Profile",
    "Retrying",
    "Rule",
    "Rung",
    "Settings",
    "Tier",
    "Validate",
    "Workflow",
]
