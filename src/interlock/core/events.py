"""What is written down: the ledger's one event per call, and the log whose fold is a task's state.

Both are one record. The *done* of a step is its `Settled` event, and a lone gateway call is a task of one step. A record's
place is (task, seq); its sensitive content (inputs, arguments, answers) travels beside the event, never inside it, so that
retention and redaction can touch the one and leave the other.

Above: gateway, tools, agents write these; ledger, economics, cli read them. Below: budget, caller, chat, money.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .budget import Limits, Spend
from .caller import Caller, Versions
from .chat import Fact
from .money import Usage

CacheKind = Literal["", "exact", "semantic", "coalesced", "tool"]
"""Where an answer was taken from; empty when it was made."""
CallKind = Literal["model", "tool"]
Status = Literal[
    "ok",
    "error",
    "cache_hit",
    "refused",  # a limit or the request itself: nothing was sent
    "shed",
    "timeout",
    "client_gone",
    "crashed",  # found open after a restart; usage and cost are the reservation's upper estimate
]
Effect = Literal["none", "idempotent", "reconcile", "once"]
"""What repeating a tool call does: nothing · nothing if the key is the same · ask the tool first · harm."""
Rung = Literal["smaller_model", "shorter_context", "cached_answer", "best_effort"]
RUNGS: tuple[Rung, ...] = ("smaller_model", "shorter_context", "cached_answer", "best_effort")
"""Of the degradation ladder, in its default order."""
Awaits = Literal["", "child", "signal", "timer"]
"""What a call waits for that no worker performs."""
Outcome = Literal[
    "resolved",
    "waiting",  # for time, a signal or another task
    "waiting_approval",
    "handed_to_human",
    "simulated",
    "denied",
    "failed",
    "limit_reached",
    "cancelled",
]


class Attempt(Struct, frozen=True, gc=False, omit_defaults=True):
    """One try against one deployment. A failed attempt that the vendor bills has usage and cost like any other."""

    deployment: str
    """`provider/model`."""
    status: Status
    started_ns: int
    duration_us: int
    tier: str = ""
    usage: Usage = Usage()
    cost_nano_usd: int = 0
    price: str = ""
    """Version of the price that was applied."""
    error: str = ""
    """Error code, empty on success."""
    message: str = ""
    simulated: bool = False
    region: str = ""
    """Of the deployment, where the files say it."""
    purpose: str = ""
    """Empty where the caller is answered; `check:agreement` for a call that a check of the answer made."""


class Escalation(Struct, frozen=True):
    """The next tier was asked because the answer of this one was not good enough."""

    from_model: str
    to_model: str
    reason: str
    """The rule as it stands in the file, with the values it saw: `confidence < 0.72 (confidence=0.41)`."""


class Settled(Struct, frozen=True, gc=False, omit_defaults=True, tag="settled"):
    """The one event of one model or tool call, whatever way it ended."""

    call: str
    kind: CallKind
    name: str
    """Model alias or tool name as the caller wrote it."""
    caller: Caller
    status: Status
    started_ns: int
    duration_us: int = 0
    first_token_us: int = 0
    deployment: str = ""
    """`provider/model` that gave the answer; empty when none did."""
    tier: str = ""
    attempts: tuple[Attempt, ...] = ()
    usage: Usage = Usage()
    """Sum over the attempts."""
    cost_nano_usd: int = 0
    """Sum over the attempts."""
    reserved_nano_usd: int = 0
    saved_nano_usd: int = 0
    """What a cache hit would have cost otherwise."""
    price: str = ""
    simulated: bool = False
    degraded: str = ""
    """The rung of the degradation ladder that gave the answer; empty for a full answer."""
    cache: CacheKind = ""
    confidence: float | None = None
    escalations: tuple[Escalation, ...] = ()
    reasons: tuple[str, ...] = ()
    """Decisions in the order in which they were taken, one line each."""
    error: str = ""
    message: str = ""
    limit: str = ""
    """The limit that refused the call, where one did."""
    retry_after_s: float = 0.0
    """Of a failure that may pass: after so many seconds the same call is worth another try. Zero for one that will not."""
    input_cap: str = ""
    """What was done to input that was over its cap: `summarised 61234>7900`, in tokens."""
    schema_violations: int = 0
    """Answers, this one's tries included, that did not keep to the output schema; those that were mended on our side count too."""
    private: dict[str, int] = {}
    """How many pieces of personal data and credentials were covered on its way, by kind."""
    signals: tuple[str, ...] = ()
    """What stood out in its texts without being refused: `injection:override`, `moderation:violence`."""


def is_lone(task: str, call: str) -> bool:
    """Whether a call is a task of its own: one id was drawn and given to both (`lone_ids`), so nobody else has it."""
    return call[3:] == task[3:]


def lone_ids(drawn: str) -> tuple[str, str]:
    """(task, call) of a call that is a task of its own, out of one fresh `tsk_…` id."""
    return drawn, "cal" + drawn[3:]


class Usual(Struct, frozen=True, omit_defaults=True):
    """What successful runs of a workflow needed, as far as it was known when a task began."""

    runs: int = 0
    """How many of them there were."""
    share: float = 0.0
    """Of them, this share (0–1) needed at most so much:"""
    cost_nano_usd: int = 0
    model_calls: int = 0


class Started(Struct, frozen=True, omit_defaults=True, tag="started"):
    """A task began. Content: `{"input": {...}}`."""

    workflow: str
    caller: Caller
    versions: Versions
    batch: str = ""
    """Name of the input file it came from, and below the line; together they let a rerun resume."""
    line: int = 0
    facts: dict[str, Fact] = {}
    usual: Usual | None = None
    depth: int = 0
    """How many tasks stand above this one."""
    parent: str = ""
    """The task that waits for this one, at the step below."""
    parent_step: int = 0
    limits: Limits | None = None
    """What its parent gave it of its own budget; its contract's limits hold beside them."""
    priority: int = 0
    """Of a tenant's due tasks those of a higher number are taken first, the workflow's own number (`workers.priorities`) added; -1,000 to 1,000."""
    lock: str = ""
    """It does not begin while an older task of the tenant with the same lock is not over."""


class Intended(Struct, frozen=True, omit_defaults=True, tag="intended"):
    """An action is about to be performed. Content: `{"arguments": {...}}` of a tool call.

    Without a `Settled` at `step` after a crash the action is in doubt, and `effect` decides.
    """

    step: int
    """The seq at which the action's settlement will stand; the step's number."""
    kind: CallKind
    name: str
    key: str
    """Idempotency key, passed down to the tool: `task:step` of the first try."""
    effect: Effect = "none"
    arguments_hash: str = ""
    """Of a model call: of its whole request, words and tools included."""
    tool_call_id: str = ""
    """The model's own id of the call; `flow:3` for the third step of a flow."""
    compensates: int = 0
    """Step whose effect this one undoes."""
    reserved_nano_usd: int = 0
    awaits: Awaits = ""
    """What ends it, where that is nothing that a worker does: the task is a row until an `Arrived` stands at `step`."""
    until_ns: int = 0
    """When a timer fires, or a signal is no longer waited for; zero: never."""
    child: str = ""
    """The child task that was begun for it."""
    share: Spend = Spend()
    """What is held of the budget until the child has ended."""


class Arrived(Struct, frozen=True, omit_defaults=True, tag="arrived"):
    """What a call waited for is there: its place is the step that was announced. Content: `{"result": ...}` or `{"error": {...}}`."""

    name: str
    """Of the call."""
    by: Awaits
    ok: bool = True
    what: str = ""
    """The child task, or the id of the signal."""
    then: Literal["", "running", "waiting"] = ""
    """How the task stands now, for lists; empty: as before."""
    spent: Spend = Spend()
    """What the child used; its calls are in the ledger as its own."""
    worked_ms: int = 0
    """How long it worked, its own children included and what it waited left out."""
    labels: tuple[str, ...] = ()
    """What the child's answer bears."""


FLOW = "information flow: "
"""How the reason begins where the information-flow policy asks."""


class ApprovalAsked(Struct, frozen=True, omit_defaults=True, tag="approval_asked"):
    """A person has to decide before a tool runs. Content: `{"arguments": {...}, "why": "..."}`."""

    step: int
    tool: str
    arguments_hash: str
    rule: str
    """What asked for it, as it stands in the contract."""
    expires_ns: int
    on_expiry: Literal["deny", "approve"] = "deny"
    tool_call_id: str = ""
    workflow: str = ""
    """Whose tasks ask: for the hours' meters."""


class ApprovalDecided(Struct, frozen=True, omit_defaults=True, tag="approval_decided"):
    """A person (or the clock) decided. Content: `{"arguments": {...}}` when they were edited."""

    step: int
    """Seq of the `ApprovalAsked` that this answers."""
    decision: Literal["approve", "edit", "deny", "expire"]
    who: str
    arguments_hash: str
    """Of the arguments decided on: a changed call needs a new decision."""
    note: str = ""


class InDoubt(Struct, frozen=True, omit_defaults=True, tag="in_doubt"):
    """A `once` effect was intended before a crash and nobody knows whether it happened; a person settles it."""

    step: int
    tool: str


class DoubtSettled(Struct, frozen=True, omit_defaults=True, tag="doubt_settled"):
    """A person settled a doubt. Content: `{"result": ...}` when it was done."""

    step: int
    decision: Literal["done", "redo", "skip", "compensate"]
    """It happened · do it again · it did not and shall not · undo it, whether or not it happened."""
    who: str


class Noted(Struct, frozen=True, omit_defaults=True, tag="noted"):
    """A decision of the task that called nothing: which way it went and why. Content: whatever it gathered."""

    name: str
    """E.g. `flow_chosen`, `left_flow`, `to_human`, `schema_violation`."""
    reason: str = ""


class Finished(Struct, frozen=True, omit_defaults=True, tag="finished"):
    """The task is over. Content: `{"answer": ..., "citations": [...]}`."""

    outcome: Outcome
    tier: str = ""
    confidence: float | None = None
    escalations: int = 0
    simulated: bool = False
    degraded: str = ""
    error: str = ""
    message: str = ""
    workflow: str = ""
    """Whose task ends: for the hours' meters, as the two below."""
    searched: Literal["", "hit", "miss"] = ""
    """Whether its text was looked up in the contract's knowledge, and whether a passage was good enough."""
    cited: int | None = None
    """Sources that its answer names; `None` where it gave none, or had looked nothing up that could be named."""
    parent: str = ""
    """The task that waits for this one at `parent_step`: the store signals it in the transaction that writes this."""
    parent_step: int = 0
    labels: tuple[str, ...] = ()
    """What its answer bears, sorted: all that its texts bore by then."""


class OutcomeSeen(Struct, frozen=True, omit_defaults=True, tag="outcome_seen"):
    """What became of the task according to somebody who knows, possibly later."""

    success: bool
    source: str
    """`expected` (labels in the input file), `user`, `person`, `sla`."""
    note: str = ""


Event = (
    Started
    | Intended
    | Settled
    | Arrived
    | ApprovalAsked
    | ApprovalDecided
    | InDoubt
    | DoubtSettled
    | Noted
    | Finished
    | OutcomeSeen
)


class Record(Struct, frozen=True, gc=False, omit_defaults=True):
    """One event at its place in the log."""

    task: str
    seq: int
    tenant: str
    at_ns: int
    event: Event
    content: dict[str, Any] | None = None
    fence: int = 0
    """The lease the writer holds; a store refuses a record whose fence is no longer the task's. Zero: unfenced."""
    encoded: bytes = b""
    """The event as JSON (msgspec's, `omit_defaults`), where whoever settled it has encoded it already."""
    body: bytes = b""
    """Likewise the content as JSON, where there is any."""
