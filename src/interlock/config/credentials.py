"""What `credentials:` in interlock.yaml may say: secrets that tools are lent. Above: schema, app. Below: blocks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from interlock.core.caller import Secret

from .blocks import Address, Block, Seconds, SecretText, Text, Texts


class TokenRequest(Block):
    """A short-lived token by OAuth 2 client credentials."""

    url: Annotated[Address, Field(min_length=1)]
    client_id: Text
    client_secret: SecretText
    scopes: Texts = ()


class CredentialSource(Block):
    """One credential: a value, a file that may be replaced while we run, or a token that is asked for."""

    value: SecretText = Secret("")
    file: Text = ""
    """Path; read again when it was changed, so that whoever rotates it only writes the file."""
    token: TokenRequest | None = None
    life_s: Seconds = 300.0
    """Of a file: how long what was read is used before the file is looked at again."""

    @model_validator(mode="after")
    def _one_source(self) -> CredentialSource:
        if [bool(self.value), bool(self.file), self.token is not None].count(True) != 1:
            raise ValueError("expected exactly one of value, file and token")
        return self
