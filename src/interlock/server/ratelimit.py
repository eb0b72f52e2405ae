"""Rate-limit response headers, in each vendor's naming.

Sources: "Rate limits", headers (platform.openai.com/docs/guides/rate-limits); "Rate limits", response headers
(docs.claude.com/en/api/rate-limits), 2026-11.

Above: openai_write, anthropic_write. Below: `core`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from interlock.core.errors import InterlockError, QuotaReached
from interlock.core.time import NS_PER_S

PATIENT_S = 60.0
"""The official clients wait no longer than this by themselves; beyond it they are told not to try again."""


def openai_lines(error: InterlockError) -> bytes:
    """`x-ratelimit-limit-…`, `-remaining-…` and `-reset-…` (a span such as `1m0s`); nothing for other errors."""
    if not isinstance(error, QuotaReached):
        return b""
    lines = [
        f"x-ratelimit-limit-{kind}: {limit}\r\nx-ratelimit-remaining-{kind}: {left}\r\n"
        f"x-ratelimit-reset-{kind}: {span(reset_s)}\r\n"
        for kind, limit, left, reset_s in error.headers
    ]
    if error.retry_after_s > PATIENT_S:
        lines.append("x-should-retry: false\r\n")
    return "".join(lines).encode()


def anthropic_lines(error: InterlockError) -> bytes:
    """`anthropic-ratelimit-…-limit`, `-remaining` and `-reset` (an instant, RFC 3339); nothing for other errors."""
    if not isinstance(error, QuotaReached):
        return b""
    asked = datetime.fromtimestamp(error.at_ns / NS_PER_S, UTC)
    return "".join(
        f"anthropic-ratelimit-{kind}-limit: {limit}\r\nanthropic-ratelimit-{kind}-remaining: {left}\r\n"
        f"anthropic-ratelimit-{kind}-reset: {(asked + timedelta(seconds=reset_s)).isoformat(timespec='seconds')}\r\n"
        for kind, limit, left, reset_s in error.headers
    ).encode()


def span(seconds: float) -> str:
    """`6m12s`, `1.5s` or `20ms`, as OpenAI writes it."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}h' if hours else ''}{minutes}m{left}s"
