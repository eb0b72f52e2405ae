"""What `pii:` and `guards:` in interlock.yaml may say: what is done about personal data, about injections, about what may not be said.

Above: schema, app. Below: blocks, core.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from interlock.core.caller import Secret

from .blocks import Block, Plain, SecretText, Text, Texts
from .shapes import is_section

Action = Literal["tokenise", "stand_in", "redact", "leave", "refuse"]


class Pii(Block):
    """Personal data and credentials in prompts, arguments, outputs, records and caches."""

    find: Texts = ()
    """Kinds that are looked for; empty: the usual ones."""
    also: Texts = ()
    """Kinds beside those, e.g. `url`, `person`, `address`."""
    then: Action = "tokenise"
    """What becomes of a find whose kind is not in `kinds`."""
    kinds: dict[str, Action] = Field(default_factory=dict[str, Action])
    """The same by kind."""
    answers: Literal["restore", "keep"] = "restore"
    """Whether callers outside of tasks read what their tokens stand for."""
    written: Literal["leave", "redact"] = "leave"
    """What becomes of personal data and credentials that a model wrote by itself: of what no token stands for."""
    key: SecretText = Secret("")
    """Tokens are made with it, apart for each tenant; without one, a file beside the store."""
    regions: Texts = ()
    """Countries whose national telephone numbers are looked for by their plans."""
    rules: Text = ""
    """Path of a gitleaks configuration that replaces the shipped rules for credentials."""
    detectors: Texts = ()
    """Names of plug-ins that look for more."""


class InjectionSettings(Block):
    """Signs that a text gives orders."""

    rules: bool = True
    classifier: bool = True
    """Reads what users say; what tools answer is left to the rules."""


def _rule(value: Any) -> Any:
    """`violence: pattern` is short for `{category: violence, pattern: pattern}`."""
    if not is_section(value) or len(value) != 1 or "category" in value:
        return value
    ((category, pattern),) = value.items()
    return {"category": category, "pattern": pattern}


class ModerationRule(Block):
    """What falls under a category of the workspace's own."""

    category: Annotated[Text, Field(min_length=1)]
    pattern: Annotated[Text, Field(min_length=1)]
    """Of RE2."""


class Moderation(Block):
    """What may not be said."""

    before: Texts = ()
    """Moderators that look at what users say: `rules`, `openai`, or a plug-in's name."""
    after: Texts = ()
    """Moderators that look at answers; none goes out before they have."""
    refuse: Texts = ()
    """Categories that are refused; empty: all. Others are signals."""
    when_unreachable: Literal["refuse", "pass"] = "refuse"
    rules: tuple[Annotated[ModerationRule, BeforeValidator(_rule)], ...] = ()
    """Of the moderator `rules`, beside the shipped ones."""
    shipped_rules: bool = True
    options: dict[str, dict[str, Plain]] = Field(default_factory=dict[str, dict[str, Any]])
    """Settings of moderators by name."""


class GuardSettings(Block):
    injection: InjectionSettings | None = None
    """Absent: nothing is looked for."""
    moderation: Moderation = Field(default_factory=Moderation.model_construct)
