"""A contract as the loop uses it: everything looked up, compiled and checked once, so that no step of a task parses anything.

Above: `decide` and its helpers, `run`. Below: the tools' grants, config's conditions and templates. `compile.py` makes it from files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct, field

from interlock.config.conditions import Condition
from interlock.config.templates import Arguments, Template
from interlock.core.budget import Limits
from interlock.core.caller import Versions
from interlock.core.chat import Fact, OutputSchema
from interlock.core.events import Awaits, Effect
from interlock.core.ports import ON_DEVICE
from interlock.core.store import StorePrompts
from interlock.governance.decisions import Policy
from interlock.observe.anomaly import Terms as AnomalyTerms
from interlock.tools.call import Grant

SlotType = Literal["order_id", "email", "amount", "date", "integer", "number", "text", "choice", "product"]
TIER0_MODEL = f"{ON_DEVICE}/"
"""Prefix of the model names that the gateway answers on the device; what follows is the workflow."""


class Ends(Struct, frozen=True):
    """What a resolved task has to show before it is a success."""

    tool: str = ""
    """This tool has acknowledged it."""
    sla_s: float = 0.0
    """It took no longer, waiting included; zero: however long."""


class Checker(Protocol):
    """Checks a value against a JSON Schema."""

    def faults(self, value: Any) -> list[str]:
        """Everything that is wrong with it; empty when it is valid."""
        ...


class Input(Struct, frozen=True):
    """One field of a task's input."""

    type: Literal["string", "number", "integer", "boolean"] = "string"
    required: bool = True
    trust: Literal["user", "untrusted"] = "user"


class Slot(Struct, frozen=True):
    """Something a flow has to find in the text."""

    name: str
    type: SlotType
    required: bool = True
    pattern: re.Pattern[str] | None = None
    choices: tuple[str, ...] = ()


class FlowStep(Struct, frozen=True):
    """One step of a flow: a tool call or an answer, taken when its condition holds."""

    call: str = ""
    arguments: Arguments | None = None
    save_as: str = ""
    when: Condition | None = None
    answer: Template | None = None
    cite: tuple[str, ...] = ()


class Flow(Struct, frozen=True):
    """How one intent is handled without a model."""

    slots: tuple[Slot, ...] = ()
    steps: tuple[FlowStep, ...] = ()
    from_knowledge: bool = False
    """The passage that answers is the answer; there are no steps."""


class Await(Struct, frozen=True):
    """A tool that no worker performs: the task waits for what it names."""

    kind: Awaits
    workflow: str = ""
    """Of a child task."""
    share: float = 0.0
    """Of what is left of the task's budget, this much (0–1) is its child's."""


def _only_text() -> dict[str, Input]:
    return {"text": Input()}


class Contract(Struct, frozen=True):
    """What one workflow may do, spend and say."""

    workflow: str
    tenant: str = "default"
    model: str = ""
    """Empty: there is no model, and what no flow resolves goes to a person."""
    prompt: str = ""
    versions: Versions = Versions()
    inputs: dict[str, Input] = field(default_factory=_only_text)
    grants: dict[str, Grant] = {}
    """The tools it lists."""
    awaits: dict[str, Await] = {}
    """Those of them that are waited for."""
    undo_grants: dict[str, Grant] = {}
    """Tools that undo those, called by the runtime alone."""
    approvals: dict[str, Condition | Literal[True]] = {}
    """Tools whose calls a person has to approve, and when."""
    information: Policy | None = None
    """Where the values of the tools' calls have to come from; without it nothing is asked of them."""
    unsure: Literal["ask", "deny"] = "ask"
    """What becomes of a call whose values have no known origin."""
    ends: Ends = Ends()
    """What makes a resolved task a success."""
    limits: Limits = Limits()
    anomalies: AnomalyTerms = AnomalyTerms()
    """When a task goes in circles."""
    output_schema: OutputSchema | None = None
    output_checker: Checker | None = None
    store_prompts: StorePrompts = "redacted"
    trace_id: bool = True
    seed: int | None = None
    """Of a deterministic agent: its model calls have temperature 0 and this seed, and answers to the same words are compared."""
    """Model calls carry the task's trace id to the vendor."""
    approval_expires_s: float = 86_400.0
    approval_on_expiry: Literal["deny", "approve"] = "deny"
    remind_every_s: float = 0.0
    """How often a person is told again of a question that nobody has answered; zero: never."""
    when_changed: Literal["pin", "migrate", "fail"] = "migrate"
    """What becomes of a task under way when the contract has changed."""
    tier0: bool = False
    stream: bool = False
    """Its model calls are streamed though nobody follows yet, so that who comes late hears them from the beginning."""
    flows: dict[str, Flow] = {}

    @property
    def engine(self) -> str:
        """The workflow whose on-device engine it asks: its own, also for a fork."""
        return self.workflow.partition("~")[0]

    @property
    def text_input(self) -> str:
        """Name of the input that holds what the user wrote: `text`, else the first required string."""
        if "text" in self.inputs:
            return "text"
        strings = [name for name, field in self.inputs.items() if field.type == "string"]
        return next((name for name in strings if self.inputs[name].required), strings[0] if strings else "text")

    def effect_of(self, tool: str) -> Effect:
        """What repeating a call of this tool does; an unknown tool is never run, so nothing."""
        grant = self.grants.get(tool) or self.undo_grants.get(tool)
        return grant.tool.effect if grant else "none"

    def facts(self, given: Mapping[str, Any]) -> dict[str, Fact]:
        """Of a task's input, what routing conditions may look at."""
        text = self.text_input
        return {k: v for k, v in given.items() if k != text and isinstance(v, (str, int, float, bool))}
