"""What `encryption:` in interlock.yaml may say: what is kept, and the keys under which it is stored. Above: schema, app. Below: blocks."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from interlock.core.caller import Secret
from interlock.core.store import Kept

from .blocks import Block, Plain, SecretText, Text


class CallLogging(Block):
    store_prompts: Kept = "none"
    """What is kept of the prompts and answers of calls that belong to no contract."""


class EncryptionSettings(Block):
    """Every text of a tenant is sealed before it is stored; data keys are wrapped with a master key."""

    master_key: SecretText = Secret("")
    """32 bytes: 64 hexadecimal digits, or base64."""
    master_key_file: Text = ""
    """The same in a file; relative to the workspace."""
    kms: Text = ""
    """Name of a plug-in that wraps data keys with a key which it never gives out."""
    options: dict[str, Plain] = Field(default_factory=dict[str, Any])
    """Settings of that plug-in."""
    previous: tuple[SecretText, ...] = ()
    """Master keys of before: they open until `interlock vault rewrap` has been run."""
    keyring: Annotated[Text, Field(min_length=1)] = ".interlock/keyring.json"
    """File of the wrapped data keys, relative to the workspace. It is no part of a backup of the store: keep its copies apart."""

    @model_validator(mode="after")
    def _one_master(self) -> EncryptionSettings:
        if [bool(self.master_key), bool(self.master_key_file), bool(self.kms)].count(True) > 1:
            raise ValueError("expected one of master_key, master_key_file and kms")
        return self
