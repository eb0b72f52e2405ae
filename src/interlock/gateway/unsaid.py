"""Removes quotations of the prompt from error messages before they are recorded: ledger events hold no content, and vendors' errors may repeat it.

Above: settle. Below: `core`. The caller reads the vendor's words as they are, since what they repeat is the caller's own; the ledger, its readers and spans outlive
what was said.
"""

from __future__ import annotations

from msgspec import structs

from interlock.core.chat import ChatRequest
from interlock.core.events import Settled

LEAST = 20
"""Characters that stand in both, from which on they are a quotation and no chance."""
BLOCK = LEAST // 2
"""Blocks of this length, side by side, make up a request; whatever is `LEAST` characters long in it holds one of them whole."""
MOST = 400_000
"""Characters of a request that are looked through."""
MOST_LOOKS = 200
"""Searches through them for the texts of one event; beyond that the rest of a text goes, so that no failure holds up the event loop."""
GONE = "[…]"


def unsaid(event: Settled, request: ChatRequest) -> Settled:
    """The event without passages of the request in its messages and reasons; itself where no try has failed with words."""
    if not event.message and not any(each.message for each in event.attempts):
        return event
    said = Said(_said(request))
    return structs.replace(
        event,
        message=said.without(event.message),
        reasons=tuple(said.without(each) for each in event.reasons),
        attempts=tuple(
            structs.replace(each, message=said.without(each.message)) if each.message else each
            for each in event.attempts
        ),
    )


class Said:
    """What a request says, looked up by its blocks: most of what vendors write stands nowhere in it, and that is seen without a search."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._blocks = {text[at : at + BLOCK] for at in range(0, len(text) - BLOCK + 1, BLOCK)}
        self._looks_left = MOST_LOOKS

    def without(self, text: str) -> str:
        """`text` with `[…]` in the place of every passage of `LEAST` characters or more that stands in it."""
        known = [text[at : at + BLOCK] in self._blocks for at in range(len(text) - BLOCK + 1)]
        kept: list[str] = []
        at = 0
        while at < len(text):
            end = self._end_of_quotation(text, at) if any(known[at : at + BLOCK + 1]) else at
            kept.append(text[at] if end == at else GONE)
            at = max(at + 1, end)
        return "".join(kept)

    def _end_of_quotation(self, text: str, begin: int) -> int:
        """Behind the longest passage from `begin` on that stands here; `begin` itself where there is none that is long enough."""
        said, end, length, found = self._text, begin, LEAST, 0
        while begin + length <= len(text):
            self._looks_left -= 1
            if self._looks_left < 0:
                return len(text)
            found = said.find(text[begin : begin + length], found)
            if found < 0:
                break
            while begin + length < len(text) and said.startswith(text[begin + length], found + length):
                length += 1
            end = begin + length
            length, found = length + 1, found + 1
        return end


def _said(request: ChatRequest) -> str:
    """Everything that the request says in words; the caller's bytes too, in which a vendor may quote them escaped."""
    texts = [each.text for each in request.messages]
    return "\n".join([*texts, request.raw.decode(errors="replace")])[:MOST]
