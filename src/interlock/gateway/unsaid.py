"""Events name what happened and hold nothing that anybody said: a vendor's error may repeat the prompt, and is kept without it.

Above: settle. Below: `core`. The caller reads the vendor's words as they are, since what they repeat is the caller's own; the ledger, its readers and spans outlive
what was said.
"""

from __future__ import annotations

from msgspec import structs

from interlock.core.chat import ChatRequest
from interlock.core.events import Settled

LEAST = 20
"""Characters that stand in both, from which on they are a quotation and no chance."""
MOST = 400_000
"""Characters of a request that are looked through."""
GONE = "[…]"


def unsaid(event: Settled, request: ChatRequest) -> Settled:
    """The event without passages of the request in its messages and reasons; itself where no try has failed with words."""
    if not event.message and not any(each.message for each in event.attempts):
        return event
    said = _said(request)
    return structs.replace(
        event,
        message=without(event.message, said),
        reasons=tuple(without(each, said) for each in event.reasons),
        attempts=tuple(
            structs.replace(each, message=without(each.message, said)) if each.message else each
            for each in event.attempts
        ),
    )


def without(text: str, said: str) -> str:
    """`text` with `[…]` in the place of every passage of `LEAST` characters or more that stands in `said`."""
    kept: list[str] = []
    at = 0
    while at < len(text):
        if text[at : at + LEAST] not in said or len(text) - at < LEAST:
            kept.append(text[at])
            at += 1
            continue
        end = at + LEAST
        while end < len(text) and text[at : end + 1] in said:
            end += 1
        kept.append(GONE)
        at = end
    return "".join(kept)


def _said(request: ChatRequest) -> str:
    """Everything that the request says in words; the caller's bytes too, in which a vendor may quote them escaped."""
    texts = [each.text for each in request.messages]
    return "\n".join([*texts, request.raw.decode(errors="replace")])[:MOST]
