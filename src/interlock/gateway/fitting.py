"""Request shaping: input caps and fixed settings that a workflow, alias or model declares are applied before any model is asked.

Above: climb, stream. Below: attempt, caps, exchange. Costs a call nothing where nothing is declared. What was done stands in the call's reasons, and in its
event as `input_cap`; summaries are tries of the call like any other, with the purpose `input_cap`.
"""

from __future__ import annotations

import asyncio

from interlock.core.chat import ChatRequest
from interlock.core.errors import InterlockError

from . import caps, tokens
from .attempt import first
from .call import Call
from .desk import Desk
from .exchange import Exchange
from .route import Plan
from .terms import InputCap

AT_ONCE = 4
"""Pieces that are summarised at the same time."""
ROUNDS = 3
"""How often summaries are summarised again before the middle is left out."""
PURPOSE = "input_cap"


async def fit(desk: Desk, exchange: Exchange, call: Call, plan: Plan) -> None:
    """Puts the call's request into the shape that is declared for it.

    Raises:
        TooLarge: the input is over its cap, and nothing is to be done about it. InterlockError: as `attempt.first`, of the summaries.
    """
    settings = desk.settings
    if not settings.shaping and not settings.input_caps:
        return
    names = (call.caller.workflow, call.request.model, plan.candidates[0].name)
    shapes = [settings.shaping[name] for name in names if name in settings.shaping]
    if shapes:
        shape = shapes[0]
        changes = shape.fixed
        wanted = call.request.max_output_tokens
        if shape.max_output_tokens is not None and (wanted is None or wanted > shape.max_output_tokens):
            changes["max_output_tokens"] = shape.max_output_tokens
        if any(getattr(call.request, name) != value for name, value in changes.items()):
            call.request = call.request.but(**changes)
            call.note(f"shaped: {', '.join(f'{name} {value}' for name, value in changes.items())}")
    cap = caps.cap_of(settings.input_caps, *names)
    if cap is not None and call.input_tokens > cap.tokens:
        await _within(desk, exchange, call, cap, next(name for name in names if name in settings.input_caps))


async def _within(desk: Desk, exchange: Exchange, call: Call, cap: InputCap, name: str) -> None:
    before = call.input_tokens
    if cap.then == "refuse":
        raise caps.refusal(before, cap, name)
    request = call.request
    while (found := tokens.of_request(request)) > cap.tokens:
        slot = caps.longest(request)
        if slot is None or tokens.upper(slot.text) < caps.LEAST_SUMMARY_TOKENS:
            raise caps.refusal(found, cap, name)
        allowed = max(caps.LEAST_SUMMARY_TOKENS // 2, caps.room_for(request, slot, cap))
        if cap.then == "summarise":
            short = await _summary(desk, exchange, call, slot.text, allowed, cap.model)
        else:
            short = caps.without_middle(slot.text, allowed)
        if len(short) >= len(slot.text):
            raise caps.refusal(found, cap, name)
        request = caps.replaced(request, slot, short)
    call.request, call.input_tokens = request, tokens.of_request(request)
    done = "summarised" if cap.then == "summarise" else "truncated"
    call.input_cap = f"{done} {before}>{call.input_tokens}"
    call.note(
        f"input {done} from about {before:,} to {call.input_tokens:,} tokens: the cap of {name!r} is {cap.tokens:,}"
    )


async def _summary(desk: Desk, exchange: Exchange, call: Call, text: str, allowed: int, model: str) -> str:
    """`text` in at most `allowed` tokens: its pieces summarised, and their summaries again where they are still too long."""
    size = _piece_tokens(desk, model)
    for _ in range(ROUNDS):
        found = caps.pieces(text, size)
        share = max(caps.LEAST_SUMMARY_TOKENS // 2, allowed // len(found))
        asks = [caps.ask_for_summary(model, each, at, len(found), share) for at, each in enumerate(found, 1)]
        text = "\n\n".join(await _all(desk, exchange, call, asks))
        if tokens.upper(text) <= allowed:
            return text
    return caps.without_middle(text, allowed)


def _piece_tokens(desk: Desk, model: str) -> int:
    """Of one piece: half of what the summarising model can take, at most."""
    profile = desk.parts.profile_of(desk.router.plan(model).candidates[0].deployment)
    return caps.PIECE_TOKENS if profile.assumed else min(caps.PIECE_TOKENS, profile.context_window // 2)


async def _all(desk: Desk, exchange: Exchange, call: Call, asks: list[ChatRequest]) -> list[str]:
    """The answers to `asks`, in order, a few at a time."""
    candidates = desk.router.plan(asks[0].model, "", call.bounds).candidates
    room = asyncio.Semaphore(AT_ONCE)

    async def one(request: ChatRequest) -> str:
        async with room:
            answer = await first(desk, call, candidates, request, exchange.whole)
            return answer.response.text.strip()

    purpose, call.purpose = call.purpose, PURPOSE
    made = [asyncio.ensure_future(one(request)) for request in asks]
    try:
        return await asyncio.gather(*made)
    except InterlockError as error:
        call.note(f"input could not be summarised: {error.message}")
        raise
    finally:
        for each in made:
            each.cancel()
        await asyncio.gather(*made, return_exceptions=True)
        call.purpose = purpose
