"""What `webhooks:` in interlock.yaml may say: who is told of questions and results. Above: schema, app. Below: blocks."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from interlock.core.caller import Secret

from .blocks import Address, Block, Seconds, SecretText, Texts

Told = Literal["approval_asked", "task_finished", "alert", "alert_closed"]


def _signing(secret: Secret) -> Secret:
    """Whoever knows the secret decides on approvals, and an empty one everybody knows."""
    text = secret.reveal()
    encoded = text.removeprefix("whsec_")
    try:
        usable = text if encoded == text else base64.b64decode(encoded, validate=True)
    except binascii.Error:
        usable = b""
    if not usable:
        raise ValueError("expected a secret: a text, or `whsec_` and base64 behind it")
    return secret


class Webhook(Block):
    """One receiver."""

    url: Annotated[Address, Field(min_length=1)]
    secret: Annotated[SecretText, AfterValidator(_signing)]
    """Signs what is sent, and what comes back (Standard Webhooks)."""
    events: tuple[Told, ...] = ("approval_asked", "task_finished")
    workflows: Texts = ()
    """Empty: of all."""
    give_up_after_s: Seconds = 86_400.0
    """How long an unreachable receiver is tried again."""
