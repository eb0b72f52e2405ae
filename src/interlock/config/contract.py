"""What `agents/*.yaml` may say: the agent contract. Above: load, agents. Below: blocks, flow, schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from interlock.core.store import Kept

from .anomalies import Anomalies, switched
from .blocks import (
    Amount,
    Block,
    BoolOrCondition,
    ConditionText,
    Count,
    Name,
    NanoUsd,
    Plain,
    Positive,
    Promise,
    Seconds,
    Share,
    Text,
    Texts,
)
from .flow import Flow
from .flow_terms import FlowRules, FlowTerms
from .schema import LimitsBlock, Verifiers
from .slo import Slo, Time

InputType = Literal["string", "number", "integer", "boolean"]


class Input(Block):
    """One input of a task; in a file `string` or, when it may be left out, `string?`."""

    type: InputType
    required: bool = True
    trust: Literal["user", "untrusted"] = "user"
    """Whose word it is: what `untrusted` inputs hold gives no call its authority."""


def _input(value: Any) -> Any:
    if isinstance(value, str):
        return {"type": value.removesuffix("?"), "required": not value.endswith("?")}
    return value


class ToolRule(Block):
    """A rule over the arguments of a tool's calls."""

    when: ConditionText
    then: Literal["deny", "modify"]
    because: Text = ""
    """What the model is told."""
    instead: Text = ""
    """What it may do instead."""
    changes: Annotated[dict[Name, Plain], Field(alias="set")] = Field(default_factory=dict[str, Any])
    """Of `modify`: arguments and their values."""

    @model_validator(mode="after")
    def _something_to_set(self) -> ToolRule:
        if (self.then == "modify") != bool(self.changes):
            raise ValueError("then: modify and `set` go together")
        return self


class ToolUse(Block):
    """A tool that the agent may call, and on which terms."""

    name: Text
    timeout_ms: Annotated[Positive, Field(le=86_400_000)] = 10_000
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    """Further tries after a failure that may pass, for tools whose effect allows it."""
    requires_human_approval: BoolOrCondition = False
    """A condition looks at the call's arguments."""
    max_calls: Positive | None = None
    """Most calls of this tool in one task."""
    justify_after: Positive | None = None
    """Calls beyond so many are made only where the model says why; asked for once, then the task stops."""
    max_concurrency: Positive | None = None
    """Most calls of this tool at the same time, of all tasks of a process."""
    max_output_bytes: Annotated[Positive, Field(le=10_000_000)] = 65_536
    """Of a result as JSON; more is cut and labelled."""
    cache_ttl_s: Amount = 0.0
    """How long an answer may be given again; for tools whose effect is `none`."""
    breaker_failures: Count = 5
    """Failures in a row after which the tool is left alone; 0: never."""
    breaker_cool_s: Seconds = 30.0
    fallback: Text = ""
    """Name of the tool that is asked when this one could not answer and certainly did nothing."""
    credentials: Texts = ()
    """Of the workspace's credentials, those that the tool is lent."""
    share: Share = 0.5
    """Of `agent.NAME`: how much of what is left of the task's budget the task that it begins may use."""
    fields: Texts = ()
    """Paths of a result's fields that are let through; none: all."""
    reveal: Texts = ()
    """Kinds of personal data whose tokens the tool is given as what they stand for; `*` for all."""
    rules: tuple[ToolRule, ...] = ()
    flow: FlowTerms | None = None
    """Where the values of its calls have to come from. Where any tool of a contract has it, calls of those without are denied."""

    @property
    def timeout_s(self) -> float:
        return self.timeout_ms / 1000


class Logging(Block):
    trace_id: bool = True
    store_prompts: Kept = "redacted"


class Approval(Block):
    expires_after_s: Seconds = 86_400.0
    on_expiry: Literal["deny", "approve"] = "deny"
    remind_every_s: Amount = 0.0
    """How often webhooks are told again of a question that nobody has answered; 0: never."""


class Tier0(Block):
    """The on-device tier."""

    promise: Promise = 0.98
    """What it answers is right at least this often."""
    intents: Text
    """Path of the file with examples of each intent."""
    knowledge: Text = ""
    """Path of the folder of articles; empty for none."""


class Value(Block):
    """What a task is worth, for the P&L."""

    revenue_nano_usd: NanoUsd = Field(default=0, alias="revenue_usd")
    """Per success."""
    human_minute_nano_usd: NanoUsd = Field(default=0, alias="human_minute_usd")
    human_minutes: Amount = 0.0
    """Minutes a person spends on a task that is handed over."""

    @property
    def human_nano_usd(self) -> int:
        """What handing one task to a person costs."""
        return round(self.human_minute_nano_usd * self.human_minutes)


class JudgeRule(Block):
    """A model that says of finished tasks whether they were done well."""

    model: Annotated[Text, Field(min_length=1)]
    """Alias, model, or provider/model."""
    question: Text = "Was what was asked done, correctly and completely, with nothing invented?"
    share: Share = 0.1
    """Of the resolved tasks, so many are judged."""


class OutcomeRules(Block):
    """What a resolved task has to show before it counts as a success; users, judges and people may say otherwise later."""

    tool: Text = ""
    """This tool has acknowledged it: a call of it settled well."""
    sla: Time | None = None
    """It took no longer, waiting included."""
    judge: JudgeRule | None = None
    """Asked by `interlock serve`, beside the tasks."""


def _default_inputs() -> dict[str, Input]:
    return {"text": Input(type="string")}


class Deterministic(Block):
    """Same input, same output, or the difference is reported: temperature 0, a seed, and each answer compared with the first one to the same words."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Sent to models that take one."""


class AgentContract(Block):
    """What an agent may do, what it may spend, and what it owes."""

    name: Text = ""
    """Default: the file's name."""
    model: Text = ""
    """Alias, model, or provider/model; default: `routing.default_model`."""
    prompt: Text = ""
    """Path of the system prompt; empty for none."""
    output_schema: Text = ""
    """Name of the file in schemas/ that every answer satisfies; empty for free text."""
    inputs: dict[Name, Annotated[Input, BeforeValidator(_input)]] = Field(default_factory=_default_inputs)
    tools: tuple[ToolUse, ...] = ()
    limits: LimitsBlock = Field(default_factory=LimitsBlock.model_construct)
    logging: Logging = Field(default_factory=Logging.model_construct)
    approval: Approval = Field(default_factory=Approval.model_construct)
    tier0: Tier0 | None = None
    verifiers: Verifiers | None = None
    """Instead of those of `routing.verifiers`; `{}` for none."""
    route: Text = ""
    """Path of a learned route; default: `routing.route`."""
    flows: dict[str, Flow] = Field(default_factory=dict[str, Flow])
    information: FlowRules = Field(default_factory=FlowRules.model_construct)
    value: Value = Field(default_factory=Value.model_construct)
    anomalies: Annotated[Anomalies, BeforeValidator(switched)] = Field(default_factory=Anomalies.model_construct)
    """When a task goes in circles or costs far more than it should."""
    when_changed: Literal["pin", "migrate", "fail"] = "migrate"
    """What becomes of a task under way when this contract or its prompt has changed since it began."""
    outcome: OutcomeRules = Field(default_factory=OutcomeRules.model_construct)
    """What makes a resolved task a success."""
    slo: Slo | None = None
    """What was promised of it."""
    stream: bool = False
    """Models' answers are streamed whether or not somebody follows the task at that moment, so that who comes later has them from their beginning."""
    deterministic: Deterministic | None = None
    """`{}`: its model calls are made as repeatable as models allow, and a different answer to the same words is noted and counted."""

    @model_validator(mode="after")
    def _tools_once(self) -> AgentContract:
        seen: set[str] = set()
        for tool in self.tools:
            if tool.name in seen:
                raise ValueError(f"tools: {tool.name!r} is listed twice")
            seen.add(tool.name)
        return self
