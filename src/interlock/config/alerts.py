"""What `alerts:` in interlock.yaml may say: how often promises are looked at, and who gets mail. Above: schema, app. Below: blocks.

Webhooks hear of alerts where their `events` say so.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from interlock.core.caller import Secret

from .blocks import Address, Block, Positive, Seconds, SecretText, Text, Texts


class Email(Block):
    """Mail by SMTP."""

    host: Annotated[Text, Field(min_length=1)]
    port: Annotated[Positive, Field(le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: Text = ""
    password: SecretText = Secret("")
    sender: Annotated[Text, Field(alias="from", pattern=r"^[^\s@]+@[^\s@]+$")]
    to: Annotated[Texts, Field(min_length=1)]
    severities: Annotated[
        tuple[Literal["page", "ticket"], ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)
    ] = ("page", "ticket")

    @model_validator(mode="after")
    def _secret_in_the_clear(self) -> Email:
        if self.security == "none" and self.password:
            raise ValueError("security: none would send the password in the clear")
        return self


class Alerts(Block):
    """Who is told when a promise is at risk."""

    every_s: Annotated[Seconds, Field(ge=5)] = 60.0
    """How often promises and stopped tasks are looked at; changes once an hour."""
    asks_per_task: Annotated[float, Field(ge=0)] = 0.5
    """Questions of the information-flow policy by task, over a day, above which somebody is told; 0 for never."""
    month_usd: Annotated[float, Field(gt=0)] | None = None
    """What a month may cost; somebody is told when it is likely to come to more, and again when it has. None: nobody watches."""
    dashboard: Address = ""
    """Where the dashboard can be reached, for the links in messages: `https://interlock.example.com`."""
    email: Email | None = None
