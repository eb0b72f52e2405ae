"""What is sent to the addresses of tasks, and how it is read. Above: tasks, openapi. Below: `core`."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request

from interlock.agents.verdicts import Source
from interlock.app.taskdesk import Decision
from interlock.core.due import MOST_URGENT
from interlock.core.errors import InvalidRequest, TooLarge
from interlock.core.unreadable import UNREADABLE

T = TypeVar("T")
MOST_BYTES = 1_000_000
LONGEST_WAIT_S = 60.0
_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class NewTask(Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /api/tasks takes."""

    workflow: str
    input: dict[str, Any]
    user: str = ""
    priority: Annotated[int, Meta(ge=-MOST_URGENT, le=MOST_URGENT)] = 0
    """Of the tenant's due tasks those of a higher number are taken first; `workers.priorities` of its workflow is added."""
    lock: Annotated[str, Meta(max_length=200)] = ""
    """It does not begin while an older task of the tenant with the same lock is not over."""
    text: bool = False
    """Its events are about to be followed with `text=1`: from now on, or for half a minute where nobody comes, its models' answers are streamed."""


class Decided(Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /api/approvals/{task}/{step} takes."""

    decision: Decision
    who: str = ""
    note: str = ""
    arguments: dict[str, Any] | None = None
    """Of `edit`."""
    result: Any = None
    """Of `done`: what the call returned, as far as somebody knows."""


class Sent(Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /api/tasks/{task}/signals takes."""

    name: _Name
    payload: Any = None


class Became(Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /api/tasks/{task}/outcome takes."""

    success: bool
    source: Source = "user"
    who: str = ""
    note: str = ""


class Closed(Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /api/tasks/{task}/close takes."""

    success: bool
    note: str = ""


async def body_of(request: Request, kind: type[T]) -> T:
    """The body as one of the forms above. Raises InvalidRequest, TooLarge."""
    return read(await bytes_of(request), kind)


async def bytes_of(request: Request) -> bytes:
    """The body. Raises TooLarge."""
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise TooLarge(f"the request's body is larger than {MOST_BYTES} bytes", hint="Send less at once.")
    return b"".join(pieces)


def read(body: bytes, kind: type[T]) -> T:
    """JSON as one of the forms above. Raises InvalidRequest."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as wrong:
        raise InvalidRequest(
            f"the body is not as it should be: {wrong}", param="body", hint="See docs/tasks-api.md."
        ) from wrong


def whole(given: str, name: str, default: int, most: int) -> int:
    """A number of the query. Raises InvalidRequest."""
    if not given:
        return default
    number = digits(given)
    if not 1 <= number <= most:
        raise InvalidRequest(f"{name} is 1 to {most}", param=name)
    return number


def digits(text: str) -> int:
    """The number that nine decimal digits at most stand for; -1 for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def flag(given: str, name: str) -> bool:
    """`1`, or `0` like nothing. Raises InvalidRequest."""
    if given not in ("", "0", "1"):
        raise InvalidRequest(f"{name} is 1 or 0", param=name)
    return given == "1"


def seconds(given: str) -> float:
    """How long a caller wants to wait. Raises InvalidRequest."""
    try:
        wait_s = float(given or 0)
    except ValueError:
        wait_s = -1.0
    if not 0 <= wait_s <= LONGEST_WAIT_S:
        raise InvalidRequest(f"wait_s is 0 to {LONGEST_WAIT_S:.0f}", param="wait_s")
    return wait_s
