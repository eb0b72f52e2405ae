"""What `server.oidc:` may say: where people sign in, and what they may do then. Above: schema, server. Below: blocks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from interlock.core.caller import Secret

from .blocks import Address, Block, SecretText, Text, Texts

PersonsRole = Literal["viewer", "approver", "auditor", "developer", "admin"]


class Oidc(Block):
    """An OpenID provider."""

    issuer: Annotated[Address, Field(min_length=1)]
    """As its discovery document spells it; `/.well-known/openid-configuration` is added."""
    client_id: Annotated[Text, Field(min_length=1)]
    client_secret: SecretText = Secret("")
    """None for a public client: PKCE is used either way."""
    public_url: Annotated[Address, Field(min_length=1)]
    """Of this server, as browsers reach it; `/ui/oidc/back` is where the provider sends them back to."""
    scopes: Texts = ("openid", "email", "profile")
    claim: Text = "groups"
    """Of the ID token: what `roles` looks at."""
    roles: dict[str, PersonsRole] = Field(default_factory=dict[str, PersonsRole])
    """By value of the claim; of several, the one with the most rights."""
    otherwise: PersonsRole | None = None
    """For those whom `roles` does not know; none: they are refused."""
