"""The output cap and the upper cost estimate of one try, by its model's limits and by what its budget has left. Pure functions.

Above: attempt. Below: settings.
"""

from __future__ import annotations

from msgspec import Struct, structs

from interlock.core.budget import Budget, Spend
from interlock.core.chat import ChatRequest
from interlock.core.errors import LimitReached
from interlock.core.money import TOKENS_PER_RATE, Price

from . import tokens
from .settings import Profile


class Fitted(Struct, frozen=True):
    """A request that fits, with the most it can use."""

    request: ChatRequest
    ask: Spend
    cut_to: int = 0
    """Output tokens allowed where that is less than the caller asked for; zero when it is not."""


def fit(
    request: ChatRequest, input_tokens: int, budget: Budget | None, price: Price, profile: Profile, floor: int
) -> Fitted:
    """`request` with its output capped by the model and the budget, and the upper estimate of its use.

    Raises:
        LimitReached: less than `floor` output tokens are left, or the input alone is too much.
    """
    price = at_worst(price, request)
    wanted = request.max_output_tokens or profile.max_output
    natural = wanted if profile.assumed else min(wanted, profile.max_output, _room(input_tokens, profile, floor))
    n = request.n  # each of several answers may be that long
    allowed = natural
    if budget is not None:
        allowed = _within(budget, natural * n, input_tokens, price, min(floor, wanted) * n) // n
    ask = Spend(
        model_calls=1,
        input_tokens=input_tokens,
        output_tokens=allowed * n,
        cost_nano_usd=upper_cost(price, input_tokens, allowed * n),
    )
    asked_for = request.max_output_tokens
    capped = budget is not None and _caps_output(budget)
    if allowed == asked_for or (asked_for is None and not capped):
        return Fitted(request, ask)
    return Fitted(structs.replace(request, max_output_tokens=allowed), ask, allowed if allowed < natural else 0)


def _room(input_tokens: int, profile: Profile, floor: int) -> int:
    """Output tokens that the context window leaves, by the likely weight of the input: a refusal has to be surer than a reservation."""
    likely = int(input_tokens * tokens.LIKELY_SHARE)
    room = profile.context_window - likely
    if room < floor:
        error = LimitReached("context_window", used=0, asked=likely + floor, maximum=profile.context_window)
        # Clients of both vendors know this code, or these words, shorten the conversation and ask again; a 429 they would only repeat.
        error.status, error.code = 400, "context_length_exceeded"
        error.message = (
            f"prompt is too long: {likely + floor} tokens > {profile.context_window} maximum (context_window)"
        )
        error.hint = "Send less, route to a model with a larger window, or allow the rung shorter_context."
        raise error
    return room


def at_worst(price: Price, request: ChatRequest) -> Price:
    """The price to estimate by: of a request that brings or asks for pictures or sound, every token may be of the dearest kind."""
    rates = price.rates
    into, out = max(rates.input_image, rates.input_audio), max(rates.output_image, rates.output_audio)
    if (into <= rates.input and out <= rates.output) or not _has_media(request):
        return price
    return structs.replace(
        price, rates=structs.replace(rates, input=max(rates.input, into), output=max(rates.output, out))
    )


def _has_media(request: ChatRequest) -> bool:
    """Also where it asks for an answer that is not text, as OpenAI's dialect does by these fields."""
    if "modalities" in request.extra or "audio" in request.extra:
        return True
    parts = (each.content for each in request.messages if not isinstance(each.content, str))
    return any(part.type != "text" for content in parts for part in content)


def upper_cost(price: Price, input_tokens: int, output_tokens: int) -> int:
    """Nano-dollars that so many tokens cost at most: input at the dearest input rate, output at the dearest output rate."""
    rates = price.rates
    dear_in = max(rates.input, rates.cache_write, rates.cache_write_1h)
    dear_out = max(rates.output, rates.reasoning)
    return -(-(input_tokens * dear_in + output_tokens * dear_out) // TOKENS_PER_RATE)


def _caps_output(budget: Budget) -> bool:
    limits = budget.limits
    return limits.max_output_tokens is not None or limits.max_cost_nano_usd is not None


def _within(budget: Budget, allowed: int, input_tokens: int, price: Price, floor: int) -> int:
    left = budget.left("output_tokens")
    if left is not None and left < allowed:
        if left < floor:
            raise _reached(budget, "output_tokens", floor)
        allowed = left
    left = budget.left("cost_nano_usd")
    if left is not None and upper_cost(price, input_tokens, allowed) > left:
        rate = max(price.rates.output, price.rates.reasoning)
        spare = left - upper_cost(price, input_tokens, 0)
        affordable = spare * TOKENS_PER_RATE // rate if rate and spare > 0 else 0
        if affordable < floor:
            raise _reached(budget, "cost_nano_usd", upper_cost(price, input_tokens, floor))
        allowed = min(allowed, affordable)
    return allowed


def _reached(budget: Budget, field: str, asked: int) -> LimitReached:
    maximum: int = getattr(budget.limits, f"max_{field}")
    return LimitReached(f"max_{field}", used=getattr(budget.committed, field), asked=asked, maximum=maximum)
