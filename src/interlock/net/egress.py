"""May this request leave? The allowlist's answer, before anything is resolved or dialled.

Above: proxy, fetch. Below: walls, `core.egress`. Pure: the same request and policy give the same decision.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from interlock.core.caller import Secret
from interlock.core.egress import Allow, Credential, EgressDecision, EgressPolicy

from .walls import Place

_DOTS = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")


def judge(policy: EgressPolicy, method: str, place: Place) -> tuple[EgressDecision, Allow | None]:
    """The decision, and the entry that allowed it."""
    reason = "no entry of the allowlist names this host"
    for entry in policy.allow:
        if not names(entry.host, place.host):
            continue
        reason = _mismatch(entry, method, place)
        if not reason:
            return _decision(True, method, place, f"allowed by {entry.host}"), entry
    return _decision(False, method, place, reason), None


def judge_host(policy: EgressPolicy, host: str, port: int) -> tuple[bool, bool, str]:
    """For a tunnel, where only host and port are known: (allowed, must be looked into, reason)."""
    found = [entry for entry in policy.allow if names(entry.host, host) and port in entry.ports]
    if not found:
        return False, False, "no entry of the allowlist names this host and port"
    inspected = all(entry.looks_inside for entry in found) or any(
        names(h, host) for c in policy.credentials for h in c.hosts
    )
    return True, inspected, f"allowed by {found[0].host}"


def names(pattern: str, host: str) -> bool:
    """Whether an entry names the host: equal, or below `*.`; a wildcard stops at label boundaries."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def asked_for(policy: EgressPolicy, place: Place, headers: Sequence[tuple[str, str]]) -> tuple[list[Credential], str]:
    """(the credentials whose placeholders stand in the headers, why not). A placeholder towards another host is refused, and so is one elsewhere."""
    used: list[Credential] = []
    for name, value in headers:
        for credential in policy.credentials:
            if credential.placeholder not in value:
                continue
            bound = any(names(host, place.host) for host in credential.hosts)
            if not bound or name not in credential.headers or place.scheme != "https":
                return [], f"the credential {credential.name} is not for this host, header or scheme"
            used.append(credential)
    return used, ""


def put_in(headers: Sequence[tuple[str, str]], secrets: Mapping[str, Secret]) -> list[tuple[str, str]]:
    """The headers with each secret in the place of its placeholder."""
    made: list[tuple[str, str]] = []
    for name, given in headers:
        value = given
        for placeholder, secret in secrets.items():
            value = value.replace(placeholder, secret.reveal())
        made.append((name, value))
    return made


def _mismatch(entry: Allow, method: str, place: Place) -> str:
    if place.port not in entry.ports:
        return f"port {place.port} of this host is not on the allowlist"
    if entry.methods and method not in entry.methods:
        return f"{method} to this host is not on the allowlist"
    if not entry.paths:
        return ""
    path = unquote(place.path.partition("?")[0])
    if _DOTS.search(path) or "\\" in path or "%" in path or "//" in path:
        return "the path has more than one reading"
    inside = any(
        path == prefix or path.startswith(prefix if prefix.endswith("/") else f"{prefix}/") for prefix in entry.paths
    )
    return "" if inside else "this path of the host is not on the allowlist"


def _decision(allowed: bool, method: str, place: Place, reason: str) -> EgressDecision:
    return EgressDecision(allowed, method, place.host, place.port, place.path.partition("?")[0][:200], reason)
