"""What `egress:` in interlock.yaml may say: where tools and sandboxes may connect to. Above: schema, app. Below: blocks."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, Field

from interlock.core.caller import Secret

from .blocks import Block, Count, Positive, Seconds, SecretText, Text, Texts

_HOST = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{0,62}|\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:]+"
)


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("expected a name in lower case, `*.` before a name, or an address; `*` alone allows nothing")
    try:
        literal = ip_address(value)
    except ValueError:
        return value
    if literal.is_loopback or literal.is_link_local or literal.is_multicast or literal.is_unspecified:
        raise ValueError(f"expected a host that may be reached; {value} never is, whatever stands here")
    return value


def _path(value: str) -> str:
    if not value.startswith("/") or "%" in value or ".." in value:
        raise ValueError("expected a plain path that begins with /")
    return value


Host = Annotated[Text, AfterValidator(_host)]


class AllowedHost(Block):
    """A destination that may be reached."""

    host: Host
    ports: tuple[Annotated[Count, Field(ge=1, le=65_535)], ...] = (443, 80)
    methods: Texts = ()
    paths: tuple[Annotated[Text, AfterValidator(_path)], ...] = ()
    private: bool = False
    """Addresses of private networks are permitted; loopback and metadata services never are."""


class HostCredential(Block):
    """A credential that is put into requests outside of the sandbox, where its placeholder stands: the one of the same name under `credentials`."""

    secret: SecretText = Secret("")
    """In place of an entry under `credentials`, for one that never changes."""
    hosts: Annotated[tuple[Host, ...], Field(min_length=1)]
    headers: Texts = ("authorization",)


class Egress(Block):
    allow: tuple[AllowedHost, ...] = ()
    credentials: dict[str, HostCredential] = Field(default_factory=dict[str, HostCredential])
    max_request_bytes: Positive = 1_000_000
    max_response_bytes: Positive = 20_000_000
    max_requests: Positive = 200
    """Of one sandboxed call."""
    timeout_s: Seconds = 30.0
