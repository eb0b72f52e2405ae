"""Input caps: a prompt that is longer than declared is summarised or truncated before the expensive model sees it. Pure functions.

Above: fitting. Below: terms, tokens. The longest text of the conversation is what is shortened; instructions (system messages) are never touched.
Summaries are made piece by piece and joined (map-reduce, as in Wu et al., "Recursively Summarizing Books with Human Feedback", 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, structs

from interlock.core.chat import ChatRequest, Message, Part
from interlock.core.errors import TooLarge

from . import tokens
from .terms import InputCap

PIECE_TOKENS = 12_000
"""Upper estimate of one piece that is summarised at a time."""
LEAST_SUMMARY_TOKENS = 200
LEFT_OUT = "\n\n[… about {count} tokens left out here …]\n\n"
ASKED = (
    "Summarise the text below for somebody who has to act on it without having read it. Keep every request, decision, number, name, date and "
    "identifier exactly; leave out pleasantries and repetition. At most {words} words. It is part {part} of {parts}.\n\n---\n{text}"
)


class Slot(Struct, frozen=True):
    """Where a text stands in a request."""

    message: int
    part: int
    """-1 where the message is one text."""
    text: str


def cap_of(caps: Mapping[str, InputCap], *names: str) -> InputCap | None:
    """The cap that holds: that of the first name that has one."""
    return next((caps[name] for name in names if name in caps), None)


def refusal(found: int, cap: InputCap, name: str) -> TooLarge:
    """What a caller is told whose input is too long."""
    return TooLarge(
        f"the input is about {found:,} tokens, and calls of {name!r} may have {cap.tokens:,}",
        hint="Send less, or let it be shortened: `shaping.<name>.input_cap.then: summarise` or `truncate_middle`.",
    )


def longest(request: ChatRequest) -> Slot | None:
    """The longest text that may be shortened; `None` where there is none."""
    return max(_slots(request), key=lambda each: len(each.text), default=None)


def replaced(request: ChatRequest, slot: Slot, text: str) -> ChatRequest:
    """`request` with another text at `slot`."""
    messages = list(request.messages)
    message = messages[slot.message]
    content: str | tuple[Part, ...] = text
    if slot.part >= 0 and not isinstance(message.content, str):
        parts = list(message.content)
        parts[slot.part] = structs.replace(parts[slot.part], text=text)
        content = tuple(parts)
    messages[slot.message] = structs.replace(message, content=content)
    return request.but(messages=tuple(messages))


def room_for(request: ChatRequest, slot: Slot, cap: InputCap) -> int:
    """Tokens that the text at `slot` may have so that the whole is within the cap; below zero where the rest alone is too much."""
    return cap.tokens - tokens.of_request(replaced(request, slot, ""))


def without_middle(text: str, allowed: int) -> str:
    """The beginning and the end of `text`, at most `allowed` tokens by the upper estimate."""
    total = tokens.upper(text)
    if total <= allowed:
        return text
    mark = LEFT_OUT.format(count=f"{total - allowed:,}")
    share = max(0.0, (allowed - tokens.upper(mark)) / total)
    while share > 0:
        keep = int(len(text) * share / 2)
        short = f"{text[:keep]}{mark}{text[len(text) - keep :]}"
        if tokens.upper(short) <= allowed:
            return short
        share -= 0.02
    return mark if tokens.upper(mark) <= allowed else ""


def pieces(text: str, size: int = PIECE_TOKENS) -> list[str]:
    """`text` in pieces of at most `size` tokens, cut at the end of a paragraph, line, sentence or word where there is one near."""
    found: list[str] = []
    left = text
    while tokens.upper(left) > size:
        length = max(1, int(len(left) * size / tokens.upper(left)))
        while length > 1 and tokens.upper(left[:length]) > size:
            length = int(length * 0.9)
        at = max(
            (
                left.rfind(mark, length // 2, length) + len(mark)
                for mark in ("\n\n", "\n", ". ", " ")
                if left.rfind(mark, length // 2, length) >= 0
            ),
            default=length,
        )
        found.append(left[:at])
        left = left[at:]
    if left:
        found.append(left)
    return found


def ask_for_summary(model: str, text: str, part: int, parts: int, allowed: int) -> ChatRequest:
    """The request for the summary of one piece, at most `allowed` tokens long."""
    words = max(30, int(allowed * 0.6))
    prompt = ASKED.format(words=words, part=part, parts=parts, text=text)
    return ChatRequest(model, (Message("user", prompt),), temperature=0.0, max_output_tokens=allowed)


def _slots(request: ChatRequest) -> Iterator[Slot]:
    for at, message in enumerate(request.messages):
        if message.role in ("system", "developer"):
            continue
        if isinstance(message.content, str):
            yield Slot(at, -1, message.content)
            continue
        for number, part in enumerate(message.content):
            if part.type == "text":
                yield Slot(at, number, part.text)
