"""Mid-stream failover: whether a stream that broke off is restarted, continued by another deployment, or given up.

Above: taken. Below: attempt, exchange, tokens. As long as the client has seen nothing of the answer it may be begun anew anywhere. After that a
model has to go on at the very character where the other one stopped, which only some are able to: those whose profile says that an
unfinished message of the assistant at the end of a conversation is continued. Tool calls, thoughts and answers that have to satisfy a schema are
not pieced together from two models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from interlock.core.chat import ChatRequest, Message

from . import tokens
from .attempt import first
from .call import Call
from .desk import Desk
from .exchange import Exchange, Opened
from .route import Candidate

MOST = 3
"""Times that one answer is continued."""


class Seen(Struct, frozen=True):
    """What the client has seen of the answer."""

    text: str
    calls: bool
    """A tool call was begun."""
    more: bool
    """Thoughts, a refusal, or several answers were begun."""


class Verdict(Struct, frozen=True):
    """What is to be done."""

    do: Literal["restart", "continue", "give_up"]
    why: str = ""


def judge(request: ChatRequest, seen: Seen, times: int) -> Verdict:
    """What becomes of an answer that broke off, for the `times`-th time before, when the client has seen so much of it."""
    if times >= MOST:
        return Verdict("give_up", f"it broke off {times + 1} times")
    if not (seen.text or seen.calls or seen.more):
        return Verdict("restart")
    if seen.calls:
        return Verdict("give_up", "a tool call was begun")
    if seen.more:
        return Verdict("give_up", "it holds more than a text")
    if request.output_schema is not None or request.json_mode:
        return Verdict("give_up", "it has to satisfy a schema as a whole")
    return Verdict("continue")


def request_after(request: ChatRequest, text: str, profile_fields: dict[str, object]) -> ChatRequest:
    """`request` with the unfinished answer at its end. Vendors refuse one that ends in white space, so that is left out."""
    cap = request.max_output_tokens
    return request.but(
        messages=(*request.messages, Message("assistant", text.rstrip())),
        max_output_tokens=None if cap is None else max(1, cap - tokens.likely(text)),
        extra={**request.extra, **profile_fields},
    )


async def resume(desk: Desk, exchange: Exchange, call: Call, seen: Seen, verdict: Verdict) -> Opened | None:
    """A stream of the rest, or of the whole where nothing was seen; `None` where no deployment is able to give it.

    Raises:
        InterlockError: those that are able to failed too.
    """
    broke = {each.deployment for each in call.attempts if each.status != "ok"}
    planned = desk.router.plan(call.request.model, call.target, call.bounds).candidates
    candidates: Sequence[Candidate] = sorted(planned, key=lambda each: each.name in broke)
    request = call.request
    if verdict.do == "continue":
        profiles = [(each, desk.parts.profile_of(each.deployment)) for each in candidates]
        able = [(each, profile.continue_with) for each, profile in profiles if profile.continues]
        if not able:
            return None
        fields = able[0][1]
        candidates = [each for each, its in able if its == fields]
        request = request_after(request, seen.text, dict(fields))
    return await first(desk, call, candidates, request, exchange.open)


def joined(seam: str, text: str) -> str:
    """The first piece of a continuation, without the white space that was sent already."""
    return text[len(seam) :] if seam and text.startswith(seam) else text.lstrip() if seam else text
