"""What a vendor's replies say of its rate limits, so that the gateway keeps to them before they are hit.

Above: providers, third-party ones too: one call of `hear` per reply. Below: `core`. Sources (read 2026-11): OpenAI "Rate limits", headers `x-ratelimit-*`,
times such as `6m0s` until the bucket is full again (Azure, Groq, Mistral and vLLM's gateways use the same names); Anthropic "Rate limits", headers
`anthropic-ratelimit-*-{limit,remaining,reset}`, times in RFC 3339 at which the bucket is full again; Gemini's errors: `google.rpc.QuotaFailure` with
`quotaId` and `quotaValue`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from interlock.core.ports import Deployment, PluginEnv, Room
from interlock.core.time import NS_PER_S

Kind = Literal["requests", "tokens", "input_tokens", "output_tokens"]
MINUTE_S = 60.0
OPENAI = "x-ratelimit-remaining-requests"
OPENAI_TOKENS = "x-ratelimit-remaining-tokens"
ANTHROPIC = "anthropic-ratelimit-requests-remaining"
ANTHROPIC_INPUT = "anthropic-ratelimit-input-tokens-remaining"
_OPENAI_KINDS: tuple[Kind, ...] = ("requests", "tokens")
_ANTHROPIC_KINDS: tuple[tuple[Kind, str], ...] = (
    ("requests", "requests"),
    ("input_tokens", "input-tokens"),
    ("output_tokens", "output-tokens"),
)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s|d)?")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "": 1.0}
_QUOTA = re.compile(
    rb'"quotaId"\s*:\s*"(?P<id>[^"]{1,200})"(?:[^{}]|\{[^{}]*\})*?"quotaValue"\s*:\s*"(?P<value>\d{1,12})"'
)


def hear(
    env: PluginEnv, deployment: Deployment, headers: Mapping[str, str], status: int = 200, body: bytes = b""
) -> None:
    """Tells the gateway what a reply says of the vendor's limits; costs next to nothing where it says nothing."""
    if OPENAI in headers or OPENAI_TOKENS in headers:
        found = _openai(headers)
    elif ANTHROPIC in headers or ANTHROPIC_INPUT in headers:
        found = _anthropic(headers, env.clock.wall_ns() / NS_PER_S)
    elif status == 429 and b"quotaValue" in body:
        found = _gemini(body)
    else:
        return
    if found:
        env.heard(deployment.name, tuple(found))


def _openai(headers: Mapping[str, str]) -> list[Room]:
    rooms: list[Room] = []
    for kind in _OPENAI_KINDS:
        limit, left = (
            _number(headers.get(f"x-ratelimit-limit-{kind}")),
            _number(headers.get(f"x-ratelimit-remaining-{kind}")),
        )
        if limit is None or left is None or limit <= 0:
            continue
        reset = headers.get(f"x-ratelimit-reset-{kind}")
        full_in_s = _seconds(reset) if reset else MINUTE_S * (limit - left) / limit
        rooms.append(Room(kind, limit, left, full_in_s))
    return rooms


def _anthropic(headers: Mapping[str, str], wall_s: float) -> list[Room]:
    rooms: list[Room] = []
    for kind, name in _ANTHROPIC_KINDS:
        limit, left = (
            _number(headers.get(f"anthropic-ratelimit-{name}-limit")),
            _number(headers.get(f"anthropic-ratelimit-{name}-remaining")),
        )
        if limit is None or left is None or limit <= 0:
            continue
        full_in_s = MINUTE_S * (limit - left) / limit
        try:
            reset = datetime.fromisoformat(headers.get(f"anthropic-ratelimit-{name}-reset", ""))
            full_in_s = max(0.0, reset.timestamp() - wall_s)
        except ValueError:
            pass  # without a time, or with one of another form: a bucket is filled within its minute
        rooms.append(Room(kind, limit, left, full_in_s))
    return rooms


def _gemini(body: bytes) -> list[Room]:
    """Of the quotas by the minute that a refusal names; what is counted by the day is left to the wait that it asks for."""
    rooms: list[Room] = []
    for found in _QUOTA.finditer(body):
        name, value = found["id"].decode("ascii", "replace"), float(found["value"])
        if "PerMinute" not in name or value <= 0:
            continue
        kind: Kind = "requests" if "Request" in name else "input_tokens"
        rooms.append(Room(kind, value, 0.0, MINUTE_S))
    return rooms


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _seconds(text: str) -> float:
    """`6m0s`, `120ms`, `1.5`, `1h2m` → seconds."""
    return sum(float(number) * _UNIT_S[unit] for number, unit in _SPAN.findall(text))
