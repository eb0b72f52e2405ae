"""What the HTTP dialects share: error statuses to typed errors, waits that vendors ask for, event streams.

Above: providers, third-party ones too. Below: `core`.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import AsyncIterator, Mapping

import msgspec

from interlock.core.chat import ChatRequest, Part
from interlock.core.errors import (
    BadReply,
    InvalidRequest,
    RateLimited,
    UpstreamAuth,
    UpstreamRefused,
    UpstreamRejected,
)
from interlock.core.ports import Deployment, HttpResponse
from interlock.core.time import NS_PER_S, Clock
from interlock.core.unreadable import UNREADABLE

LARGEST_EVENT = 16 * 1024 * 1024
FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""What a line of an event stream begins with (WHATWG HTML, server-sent events)."""
LONGEST_FIELD = 6
LONGEST_WAIT_S = 30 * 86_400.0
QUOTA_WORDS = (b"insufficient_quota", b"enforced_spend_limit_reached", b"billing_hard_limit_reached")
"""Error codes of vendors whose quota is used up: answered with 429, but waiting does not help (OpenAI, Anthropic; 2026-11)."""
HARMLESS = frozenset(
    (
        *("metadata", "store", "service_tier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
        *("safety_identifier", "top_logprobs", "cache_control", "context_management", "diagnostics", "speed"),
    )
)
"""Fields of a caller's dialect that change no answer, so that leaving them out loses nothing but a vendor's discount or comfort."""
BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 32_768, "max": 32_768}
"""Tokens to think with for each word of effort, for models that take a number; and the other way round."""
SILENCE = "(nothing yet)"
"""The user's first turn, for vendors that want one, where a conversation begins with the model's or with an empty one."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(r"\w{3}, (\d{2}) (\w{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT")
_STAMP = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class _ErrorBody(msgspec.Struct):
    message: str = ""
    code: str | int | None = None


class _ErrorReply(msgspec.Struct):
    error: _ErrorBody | str = ""


_error_decoder = msgspec.json.Decoder(_ErrorReply)


def check(response: HttpResponse, deployment: Deployment, clock: Clock) -> None:
    """Raises the error that the status stands for; returns when it is 200."""
    if response.status != 200:
        raise refusal(deployment, response.status, response.headers, response.body, clock)


def refusal(
    deployment: Deployment, status: int, headers: Mapping[str, str], body: bytes, clock: Clock
) -> UpstreamRefused:
    """The typed error of an error status, with the vendor's own words and the wait it asks for."""
    message = f"{deployment.name} answered with status {status}: {said(body)}"
    text = body.decode("utf-8", "replace")
    kind: type[UpstreamRefused] = UpstreamRefused
    wait_s: float | None = None
    if status in (401, 402, 403) or (status == 429 and any(word in body for word in QUOTA_WORDS)):
        kind = UpstreamAuth
    elif status == 429:
        kind = RateLimited
        wait_s = wait_of(headers, body, clock)
    elif status in (400, 404, 405, 413, 415, 422):
        kind = UpstreamRejected
    elif status >= 500:
        wait_s = wait_of(headers, b"", clock)
    error = kind(message, upstream_status=status, body=text, retry_after_s=wait_s)
    error.deployment = deployment.name
    return error


def media(part: Part) -> tuple[str, str] | None:
    """(media type, base64) of a part that carries its data, be it in a `data:` address; `None` for one that is elsewhere."""
    if part.data:
        return part.media_type, part.data
    if part.url.startswith("data:"):
        head, _, data = part.url[5:].partition(",")
        if head.endswith(";base64"):
            return head.removesuffix(";base64"), data
    return None


def budget_of(effort: str) -> int:
    """Tokens to think with for a word of effort."""
    return BUDGETS.get(effort, BUDGETS["medium"])


def effort_of(budget: int) -> str:
    """The word of effort nearest to a number of tokens to think with, from below."""
    return next((word for word in ("xhigh", "high", "medium", "low") if budget >= BUDGETS[word]), "low")


def only_known(request: ChatRequest, dialect: str) -> None:
    """Raises InvalidRequest where the caller set a field of its own dialect that this one cannot carry.

    Fields of the same dialect can be sent on, but for what stood inside a field and is gone with the caller's own bytes.
    """
    same = request.raw_dialect in (dialect, f"{dialect}_responses")
    lost = sorted(
        name
        for name, value in request.extra.items()
        if value is not None and ("." in name or "[" in name if same else name not in HARMLESS)
    )
    if lost:
        raise InvalidRequest(
            f"{', '.join(lost)} cannot be carried to the {dialect} dialect.",
            param=lost[0],
            hint="Leave it out, or route to a model of the caller's own dialect.",
        )


def one_answer(request: ChatRequest, dialect: str) -> None:
    """Raises InvalidRequest where the caller wants several answers or token probabilities, which most dialects do not have."""
    for name, lost in (("n", request.n > 1), ("logprobs", request.logprobs)):
        if lost:
            raise InvalidRequest(
                f"{name} cannot be carried to the {dialect} dialect.",
                param=name,
                hint="Leave it out, or route to a model of another vendor.",
            )


def said(body: bytes) -> str:
    """The vendor's message in an error body, cut short; the body itself where it has another form."""
    try:
        error = _error_decoder.decode(body).error
    except UNREADABLE:
        error = ""
    message = error if isinstance(error, str) else error.message
    return (message or body.decode("utf-8", "replace"))[:500] or "(empty body)"


def wait_of(headers: Mapping[str, str], body: bytes, clock: Clock) -> float | None:
    """Seconds that the vendor asks to wait, `LONGEST_WAIT_S` at most, from any of the places where vendors say so; `None` where it says nothing."""
    found = _wait_of(headers, body, clock)
    return None if found is None else min(found, LONGEST_WAIT_S)


def _wait_of(headers: Mapping[str, str], body: bytes, clock: Clock) -> float | None:
    value = headers.get("retry-after-ms")
    if value is not None and value.replace(".", "", 1).isdecimal():
        return float(value) / 1000
    value = headers.get("retry-after")
    if value is not None:
        if value.replace(".", "", 1).isdecimal():
            return float(value)
        until = _instant_s(value)
        return None if until is None else max(0.0, until - clock.wall_ns() / NS_PER_S)
    waits = [wait for wait in (_bucket_wait(name, value, headers, clock) for name, value in headers.items()) if wait]
    if waits:
        return max(waits)
    delay = re.search(rb'"retryDelay"\s*:\s*"(\d+(?:\.\d*)?)s"', body)
    return float(delay.group(1)) if delay else None


def _bucket_wait(name: str, value: str, headers: Mapping[str, str], clock: Clock) -> float | None:
    """The wait for one rate-limit bucket that is empty: `x-ratelimit-reset-requests: 6m0s`, `anthropic-ratelimit-…-reset: <time>`."""
    if "ratelimit" not in name or "reset" not in name:
        return None
    left = headers.get(name.replace("reset", "remaining"))
    if left is None or left.strip() not in ("0", "0.0"):
        return None
    until = _instant_s(value)
    if until is not None:
        return max(0.0, until - clock.wall_ns() / NS_PER_S)
    return sum(float(number) * _UNIT_S[unit] for number, unit in _SPAN.findall(value)) or None


def _instant_s(value: str) -> float | None:
    """Seconds since the epoch of an HTTP date or an RFC 3339 time in UTC."""
    if found := _DATE.match(value):
        day, month, year, hour, minute, second = found.groups()
        if month not in MONTHS:
            return None
        parts = (int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second))
    elif found := _STAMP.match(value):
        parts = tuple(int(each) for each in found.groups())
    else:
        return None
    try:
        return float(calendar.timegm((*parts, 0, 0, 0)))
    except ValueError:  # of the thirteenth month
        return None


class Events:
    """How far one stream of server-sent events has been read."""

    __slots__ = ("_deployment", "_seen", "left")

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._seen = False
        """That it is one."""
        self.left = b""
        """Of an event that has not come whole."""

    def feed(self, piece: bytes) -> tuple[bytes, list[bytes]] | None:
        """The events that are whole with `piece`: (their bytes as sent, the `data` of each); `None` where nothing is, or comments alone.

        Raises BadReply, as `events`.
        """
        buffer = self.left = self.left + piece if self.left else piece
        if not self._seen and len(buffer) >= LONGEST_FIELD:
            self._seen = True
            if not buffer.lstrip(b"\xef\xbb\xbf\r\n").startswith(FIELDS):
                raise _no_events(buffer, self._deployment)
        end = _end_of_events(buffer)
        if end:
            whole, self.left = buffer[:end], buffer[end:]
            data = data_of(whole)
            return (whole, data) if data else None
        if len(buffer) > LARGEST_EVENT:
            raise BadReply(f"{self._deployment.name} sent more than {LARGEST_EVENT} bytes without an end of event.")
        return None

    def last(self) -> tuple[bytes, list[bytes]] | None:
        """An event that the stream ends with, though it lacks its own end. Raises BadReply: it is none."""
        buffer = self.left
        if not buffer.strip():
            return None
        data = data_of(buffer)
        if not data and not buffer.lstrip().startswith(b":"):
            raise _no_events(buffer, self._deployment)
        return (buffer, data) if data else None


async def events(
    pieces: AsyncIterator[bytes], deployment: Deployment, reading: Events | None = None
) -> AsyncIterator[tuple[bytes, list[bytes]]]:
    """Whole server-sent events as they come: (their bytes as sent, the `data` of each). What came together stays together.

    Nothing comes out for comments alone, which some servers send before they know whether they can answer. `reading`: how far
    the stream has been read.

    Raises:
        BadReply: no event stream at all, or one event is larger than any vendor's. Whatever `pieces` raises.
    """
    reading = reading or Events(deployment)
    async for piece in pieces:
        if (found := reading.feed(piece)) is not None:
            yield found
    if (found := reading.last()) is not None:
        yield found


def apart(raw: bytes) -> list[bytes]:
    """The bytes of events that came together, one by one; those without data are left out."""
    events = [event + b"\n\n" for event in raw.replace(b"\r\n", b"\n").split(b"\n\n")]
    return [event for event in events if data_of(event)]


def _no_events(buffer: bytes, deployment: Deployment) -> BadReply:
    return BadReply(f"{deployment.name} sent no event stream: {buffer[:200].decode('utf-8', 'replace')}")


async def lines(pieces: AsyncIterator[bytes], deployment: Deployment) -> AsyncIterator[bytes]:
    """Lines of a file as they come, empty ones left out.

    Raises:
        BadReply: one line is larger than any vendor's. Whatever `pieces` raises.
    """
    buffer = b""
    async for piece in pieces:
        *whole, buffer = (buffer + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(buffer) > LARGEST_EVENT:
            raise BadReply(f"{deployment.name} sent more than {LARGEST_EVENT} bytes without an end of line.")
    if buffer.strip():
        yield buffer


def _end_of_events(buffer: bytes) -> int:
    if buffer.endswith(b"\n\n"):
        return len(buffer)
    plain = buffer.rfind(b"\n\n")
    carriage = buffer.rfind(b"\r\n\r\n")
    return max(plain + 2 if plain >= 0 else 0, carriage + 4 if carriage >= 0 else 0)


def data_of(block: bytes) -> list[bytes]:
    """The `data` of each event in `block`, lines of one event joined by a new line. Comments and other fields are left out."""
    if block.startswith(b"data: ") and block.find(b"\n") == len(block) - 2:
        return [block[6:-2]]  # one event of one line, as most are
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    found: list[bytes] = []
    for event in block.split(b"\n\n"):
        if event.startswith(b"data:") and b"\n" not in event:
            found.append(event[5:].lstrip())
            continue
        lines = [line[5:].lstrip() for line in event.split(b"\n") if line.startswith(b"data:")]
        if lines:
            found.append(b"\n".join(lines))
    return found
