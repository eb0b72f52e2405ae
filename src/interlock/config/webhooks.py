"""What `webhooks:` in interlock.yaml may say: who is told of questions and results. Above: schema, app. Below: blocks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .blocks import Address, Block, Seconds, SecretText, Texts

Told = Literal["approval_asked", "task_finished", "alert", "alert_closed"]


class Webhook(Block):
    """One receiver."""

    url: Annotated[Address, Field(min_length=1)]
    secret: SecretText
    """Signs what is sent, and what comes back (Standard Webhooks)."""
    events: tuple[Told, ...] = ("approval_asked", "task_finished")
    workflows: Texts = ()
    """Empty: of all."""
    give_up_after_s: Seconds = 86_400.0
    """How long an unreachable receiver is tried again."""
